// Asks with one client of Node: a line of JSON in for each question, one out for what came of it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { createInterface } from "node:readline";

const [path, packages] = process.argv.slice(2);
const modules = join(process.cwd(), "node_modules");
const versions = {};
for (const name of packages.split(" ")) {
  versions[name] = JSON.parse(readFileSync(join(modules, name, "package.json"), "utf8")).version;
}
const reply = (value) => process.stdout.write(JSON.stringify(value) + "\n");
process.on("unhandledRejection", () => {});
console.log = console.error;
const { answer } = await import(pathToFileURL(path).href);
reply({ versions: { ...versions, node: process.versions.node } });
for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  question.key = "sk-of-the-comparison";
  question.text = "Why is the sky blue?";
  question.messages = [{ role: "user", content: question.text }];
  let text = "";
  let error = null;
  try {
    await answer(question, (piece) => { if (typeof piece === "string") text += piece; });
  } catch (caught) {
    error = `${caught?.name ?? typeof caught}: ${caught?.message ?? caught}`.slice(0, 300);
  }
  reply({ text, error });
}
process.exit(0);
