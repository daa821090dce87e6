// Reads UI message streams with Vercel's own client, and prints what an application would see of each.
// node ai_sdk.mjs <folder of node_modules> <url>...

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, ...addresses] = process.argv.slice(2);
const { AbstractChat, DefaultChatTransport } = await import(pathToFileURL(createRequire(`${folder}/`).resolve("ai")));

class State {
  status = "ready";
  error = undefined;
  messages = [];
  pushMessage = (message) => this.messages.push(message);
  popMessage = () => this.messages.pop();
  replaceMessage = (index, message) => (this.messages[index] = message);
  snapshot = (value) => structuredClone(value);
}

class Chat extends AbstractChat {}

const seen = [];
for (const api of addresses) {
  const types = [];
  const transport = new DefaultChatTransport({ api });
  const send = transport.sendMessages.bind(transport);
  transport.sendMessages = async (options) =>
    (await send(options)).pipeThrough(
      new TransformStream({
        transform(chunk, controller) {
          types.push(chunk.type);
          controller.enqueue(chunk);
        },
      }),
    );
  const result = { api, types, calls: [] };
  const chat = new Chat({
    state: new State(),
    transport,
    onToolCall: ({ toolCall }) => void result.calls.push({ name: toolCall.toolName, input: toolCall.input }),
    onFinish: ({ isAbort, isDisconnect, isError, finishReason }) => Object.assign(result, { isAbort, isDisconnect, isError, finishReason }),
  });
  await chat.sendMessage({ text: "Why is the sky blue?" });
  const message = chat.messages.at(-1);
  Object.assign(result, { status: chat.status, error: chat.error?.message, role: message.role, parts: message.parts, metadata: message.metadata });
  seen.push(result);
}
console.log(JSON.stringify(seen));
