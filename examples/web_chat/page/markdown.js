// The Markdown that models write, as DOM nodes. Text never becomes HTML, so nothing in it can run.

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** Blocks of Markdown; what is not closed yet, because it is still being written, goes on to the end. */
export function markdown(text) {
  const lines = text.split("\n");
  const blocks = [];
  while (lines.length) {
    const line = lines[0];
    let match;
    if (!line.trim()) lines.shift();
    else if ((match = line.match(/^\s*(`{3,}|~{3,})\s*(\S*)/))) blocks.push(code(lines, match));
    else if ((match = line.match(/^(#{1,6})\s+(.*?)#*$/))) blocks.push(element(`h${Math.min(4, match[1].length + 1)}`, {}, ...inline(lines.shift() && match[2])));
    else if (/^\s*([-*_])(\s*\1){2,}\s*$/.test(line)) blocks.push(element("hr", {}, ...(lines.shift(), [])));
    else if (/^\s*>/.test(line)) blocks.push(element("blockquote", {}, ...markdown(take(lines, /^\s*>/).map((it) => it.replace(/^\s*> ?/, "")).join("\n"))));
    else if (/^\s*\|.*\|\s*$/.test(line) && /^\s*\|[\s:|-]+\|\s*$/.test(lines[1] ?? "")) blocks.push(table(lines));
    else if (ITEM.test(line)) blocks.push(list(lines));
    else blocks.push(element("p", {}, ...inline([lines.shift(), ...take(lines, /^(?!\s*$|\s*[`~]{3}|#{1,6}\s|\s*>|\s*([-*+]|\d+[.)])\s|\s*\|.*\|\s*$)/)].join("\n"))));
  }
  return blocks;
}

const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;

function take(lines, pattern) {
  const taken = [];
  while (lines.length && pattern.test(lines[0])) taken.push(lines.shift());
  return taken;
}

function code(lines, [, fence, language]) {
  lines.shift();
  const body = [];
  while (lines.length && !lines[0].trim().startsWith(fence)) body.push(lines.shift());
  if (!lines.length && body.at(-1) === "") body.pop();
  lines.shift();
  return element("pre", { tabindex: "0", "aria-label": language ? `Code, ${language}` : "Code" }, element("code", {}, body.join("\n")));
}

function list(lines) {
  const [, indent, mark] = lines[0].match(ITEM);
  const isNumbered = /\d/.test(mark);
  const made = element(isNumbered ? "ol" : "ul", { start: isNumbered && parseInt(mark) !== 1 ? parseInt(mark) : undefined });
  while (lines.length) {
    const match = lines[0].match(ITEM);
    if (!match || match[1].length !== indent.length || /\d/.test(match[2]) !== isNumbered) break;
    lines.shift();
    const body = [match[3]];
    // What is indented further belongs to the item, blank lines in between too.
    while (lines.length && (lines[0].search(/\S/) > indent.length || (!lines[0].trim() && (lines[1] ?? "").search(/\S/) > indent.length))) {
      body.push(lines.shift().slice(indent.length + 2));
    }
    const blocks = markdown(body.join("\n"));
    made.append(element("li", {}, ...(blocks[0]?.tagName === "P" ? [...blocks[0].childNodes, ...blocks.slice(1)] : blocks)));
    if (!lines[0]?.trim() && ITEM.test(lines[1] ?? "")) lines.shift();
  }
  return made;
}

function table(lines) {
  const rows = take(lines, /^\s*\|.*\|\s*$/).map((line) => line.trim().slice(1, -1).split("|").map((cell) => inline(cell.trim())));
  const [head, , ...body] = rows;
  const row = (cells, name) => element("tr", {}, ...cells.map((cell) => element(name, {}, ...cell)));
  return element("div", { class: "table", tabindex: "0" }, element("table", {}, element("thead", {}, row(head, "th")), element("tbody", {}, ...body.map((cells) => row(cells, "td")))));
}

const INLINE = /(`+)(.+?)\1(?!`)|\*\*(?=\S)(.+?)\*\*|\*(?=\S)([^*\n]+?)\*(?!\*)|\[([^\]\n]+)\]\(<?(https?:\/\/[^\s)>]+)>?\)|(https?:\/\/[^\s<>()*`]+[^\s<>()*`.,;:!?'"])/s;

function inline(text) {
  const nodes = [];
  let match;
  while ((match = text.match(INLINE))) {
    const [all, , codeText, bold, italic, label, address, bare] = match;
    nodes.push(text.slice(0, match.index));
    if (codeText !== undefined) nodes.push(element("code", {}, codeText));
    else if (bold !== undefined) nodes.push(element("strong", {}, ...inline(bold)));
    else if (italic !== undefined) nodes.push(element("em", {}, ...inline(italic)));
    else nodes.push(link(address ?? bare, label ?? bare));
    text = text.slice(match.index + all.length);
  }
  return [...nodes, text];
}

export function link(address, label) {
  return element("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, label);
}
