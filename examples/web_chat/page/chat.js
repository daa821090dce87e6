import { element, link, markdown } from "./markdown.js";
import { ask } from "./stream.js";

const URL_OF_CHAT = new URLSearchParams(location.search).get("api") ?? "/api/chat";
const NEAR_THE_END_PX = 80;
const CUTS = { length: "The answer was cut off: it reached the token limit.", "content-filter": "The answer was cut off by the content filter." };
const TOOL_STATES = { "input-streaming": "preparing…", "input-available": "running…", "output-available": "done", "output-error": "failed" };

const [list, main, form, question, send, stop, status] = ["#messages", "main", "#form", "#question", "#send", "#stop", "#status"].map((it) => document.querySelector(it));
let messages = [];
let running = null; // the AbortController of the answer that is being written

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = question.value.trim();
  if (!text || running) return;
  question.value = "";
  add({ role: "user", parts: [{ type: "text", text }] });
  answer();
});

question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});

stop.addEventListener("click", () => running?.abort());
document.addEventListener("keydown", (event) => event.key === "Escape" && running?.abort());
document.querySelector("#new").addEventListener("click", () => {
  running?.abort();
  messages = [];
  list.replaceChildren();
  question.focus();
});

// A page that is left may be kept in the back/forward cache, its fetch still open: the model would go on writing.
addEventListener("pagehide", () => running?.abort());

function add(message) {
  message.node = element("li", { class: `message ${message.role}` });
  messages.push(message);
  list.append(message.node);
  render(message);
  main.scrollTop = main.scrollHeight;
  return message;
}

async function answer() {
  const asked = messages.map(({ role, parts }) => ({ role, parts }));
  const message = add({ role: "assistant", parts: [] });
  const controller = (running = new AbortController());
  show("The model is answering.");
  await ask(URL_OF_CHAT, asked, message, controller.signal, () => renderSoon(message));
  render(message);
  if (running === controller) running = null;
  if (messages.includes(message)) show(summary(message));
}

/** What a screen reader says: once, not with every word. An error speaks for itself, by role="alert". */
function show(text) {
  status.textContent = text;
  const [shown, gone] = running ? [stop, send] : [send, stop];
  const hadFocus = document.activeElement === gone;
  shown.hidden = false;
  gone.hidden = true;
  if (hadFocus) (running ? stop : question).focus();
}

function summary(message) {
  const said = message.parts.filter((part) => part.type === "text").map((part) => part.text).join("\n");
  if (message.outcome === "finished") return `${CUTS[message.finishReason] ?? "The answer is complete."} ${said}`;
  return message.outcome === "stopped" ? "Stopped." : "";
}

function renderSoon(message) {
  message.frame ??= requestAnimationFrame(() => render(message));
}

function render(message) {
  cancelAnimationFrame(message.frame);
  message.frame = undefined;
  if (message.role === "user") return message.node.replaceChildren(message.parts[0].text);
  const isAtEnd = main.scrollHeight - main.scrollTop - main.clientHeight < NEAR_THE_END_PX;
  const opened = new Set([...message.node.querySelectorAll("details[open]")].map((it) => it.dataset.key));
  message.node.classList.toggle("writing", !message.outcome);
  message.node.setAttribute("aria-busy", String(!message.outcome));
  message.node.replaceChildren(...nodesOf(message));
  for (const it of message.node.querySelectorAll("details")) it.open = opened.has(it.dataset.key);
  if (isAtEnd) main.scrollTop = main.scrollHeight;
}

function nodesOf(message) {
  const nodes = message.parts.map(nodeOf).filter(Boolean);
  const sources = message.parts.filter((part) => part.type === "source-url");
  if (sources.length) nodes.push(element("ol", { class: "sources", "aria-label": "Sources" }, ...sources.map((it) => element("li", {}, link(it.url, it.title ?? it.url)))));
  if (!message.outcome && !nodes.length) nodes.push(element("span", { class: "waiting" }));
  if (message.outcome === "stopped") nodes.push(element("p", { class: "note" }, "You stopped this answer."));
  if (CUTS[message.finishReason]) nodes.push(element("p", { class: "note" }, CUTS[message.finishReason]));
  if (message.outcome === "failed") nodes.push(errorOf(message));
  return nodes;
}

function nodeOf(part, index) {
  if (part.type === "text") return part.text && element("div", { class: part.isRefusal ? "text refusal" : "text" }, ...markdown(part.text));
  if (part.type === "reasoning") {
    return element("details", { "data-key": index }, element("summary", {}, part.state === "done" ? "Reasoning" : "Reasoning…"), element("div", {}, part.text));
  }
  if (!part.toolCallId) return null;
  const result = part.errorText ?? part.output;
  const shown = [part.input ? JSON.stringify(part.input, null, 2) : part.rawInput, result === undefined ? "" : `→ ${typeof result === "string" ? result : JSON.stringify(result)}`];
  return element(
    "details",
    { class: "tool", "data-key": index },
    element("summary", {}, `Tool: ${part.type.slice(5)}`, element("span", { class: "state" }, TOOL_STATES[part.state])),
    element("pre", {}, shown.filter(Boolean).join("\n")),
  );
}

function errorOf(message) {
  const again = element("button", { type: "button" }, "Try again");
  again.addEventListener("click", () => {
    if (running) return;
    messages.splice(messages.indexOf(message), 1);
    message.node.remove();
    question.focus();
    answer();
  });
  const text = element("p", {}, element("strong", {}, "Error: "), message.error);
  return element("div", { class: "error", role: "alert" }, text, again);
}
