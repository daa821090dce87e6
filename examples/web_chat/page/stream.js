// Reads the AI SDK's UI message stream, version 1, from a fetch.

/** The events of a response, decoded, as they come. Comments (keep-alives) and `[DONE]` are left out. */
export async function* eventsOf(response) {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of chunksOf(response.body)) {
    rest += decoder.decode(bytes, { stream: true });
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const data = block.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart()).join("\n");
      if (data && data !== "[DONE]") yield JSON.parse(data);
    }
  }
}

/** A body's bytes. (Safari's streams are not iterable.) */
async function* chunksOf(body) {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * Asks, and keeps `message` up to date: `parts` as the AI SDK has them, `outcome` once there is one ("finished", "stopped"
 * or "failed"), `finishReason` and `error`. Calls `changed` after each event.
 */
export async function ask(url, messages, message, signal, changed) {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ messages }),
      signal,
    });
    if (!response.ok) throw new Error(`The server answered ${response.status}.`);
    for await (const event of eventsOf(response)) {
      apply(event, message);
      changed();
      if (message.outcome) return;
    }
    throw new Error("The connection broke off before the answer was complete.");
  } catch (error) {
    message.outcome = signal.aborted ? "stopped" : "failed";
    // A fetch that breaks is a TypeError whose message differs from browser to browser.
    message.error = error instanceof TypeError ? "The connection to the server failed." : error.message;
  } finally {
    changed();
  }
}

function apply(event, message) {
  const { parts } = message;
  const part = parts.findLast((it) => (event.toolCallId ? it.toolCallId === event.toolCallId : it.id && it.id === event.id && it.state !== "done"));
  switch (event.type) {
    case "start-step":
      parts.push({ type: "step-start" });
      break;
    case "text-start":
    case "reasoning-start":
      parts.push({ type: event.type.split("-")[0], id: event.id, text: "", state: "streaming", isRefusal: event.providerMetadata?.firsttoken?.refusal });
      break;
    case "text-delta":
    case "reasoning-delta":
      part.text += event.delta;
      break;
    case "text-end":
    case "reasoning-end":
      part.state = "done";
      break;
    case "tool-input-start":
      parts.push({ type: `tool-${event.toolName}`, toolCallId: event.toolCallId, state: "input-streaming", rawInput: "" });
      break;
    case "tool-input-delta":
      part.rawInput += event.inputTextDelta;
      break;
    case "tool-input-available":
      Object.assign(part, { state: "input-available", input: event.input });
      break;
    case "tool-output-available":
      Object.assign(part, { state: "output-available", output: event.output });
      break;
    case "tool-input-error":
    case "tool-output-error":
      Object.assign(part, { state: "output-error", errorText: event.errorText });
      break;
    case "source-url":
      parts.push(event);
      break;
    case "finish":
      Object.assign(message, { outcome: "finished", finishReason: event.finishReason });
      break;
    case "abort":
      message.outcome = "stopped";
      break;
    case "error":
      Object.assign(message, { outcome: "failed", error: event.errorText });
      break;
  }
}
