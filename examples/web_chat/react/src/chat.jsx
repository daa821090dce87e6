import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";
import { useEffect, useRef, useState } from "react";
import { markdown } from "../../page/markdown.js";

const CUTS = {
  length: "The answer was cut off: it reached the token limit.",
  "content-filter": "The answer was cut off by the content filter.",
};
const TOOL_STATES = {
  "input-streaming": "preparing…",
  "input-available": "running…",
  "output-available": "done",
  "output-error": "failed",
};
const transport = new DefaultChatTransport({ api: new URLSearchParams(location.search).get("api") ?? "/api/chat" });

export function Chat() {
  const { messages, setMessages, sendMessage, regenerate, status, stop, error, clearError } = useChat({ transport });
  const [question, setQuestion] = useState("");
  const main = useRef(null);
  const isWriting = status === "submitted" || status === "streaming";

  useEffect(() => {
    const escape = (event) => event.key === "Escape" && stop();
    // A page that is left may be kept in the back/forward cache, its fetch still open: the model would go on writing.
    addEventListener("pagehide", stop);
    addEventListener("keydown", escape);
    return () => {
      removeEventListener("pagehide", stop);
      removeEventListener("keydown", escape);
    };
  }, [stop]);
  useEffect(() => {
    main.current.scrollTop = main.current.scrollHeight;
  }, [messages, status]);

  const submit = (event) => {
    event.preventDefault();
    if (!question.trim() || isWriting) return;
    sendMessage({ text: question.trim() });
    setQuestion("");
  };
  const startAnew = () => {
    stop();
    clearError();
    setMessages([]);
  };

  return (
    <>
      <header>
        <h1>Chat</h1>
        <button type="button" className="quiet" onClick={startAnew}>New chat</button>
      </header>
      <main ref={main}>
        <ol id="messages" aria-label="Conversation">
          {messages.map((message) => (
            <Message key={message.id} message={message} isLast={message === messages.at(-1)} isWriting={isWriting} error={error} />
          ))}
          {status === "submitted" && <li className="message writing" aria-busy="true"><span className="waiting" /></li>}
          {error && (
            <li className="message">
              <div className="error" role="alert">
                <p><strong>Error:</strong> {error.message}</p>
                <button type="button" onClick={() => regenerate()}>Try again</button>
              </div>
            </li>
          )}
        </ol>
        {!messages.length && <p id="empty">Ask something. The answer appears while it is written, and you can stop it at any time.</p>}
      </main>
      <form onSubmit={submit}>
        <label htmlFor="question" className="hidden">Your question</label>
        <textarea
          id="question"
          rows="1"
          autoFocus
          placeholder="Ask something"
          value={question}
          onChange={(event) => setQuestion(event.target.value)}
          onKeyDown={(event) => event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing && submit(event)}
        />
        {isWriting ? <button type="button" id="stop" onClick={stop}>Stop</button> : <button type="submit" id="send">Send</button>}
        <p className="hint">Enter sends, Shift+Enter begins a new line, Escape stops.</p>
      </form>
      <p id="status" role="status" className="hidden">{isWriting ? "The model is answering." : messages.length ? "The model has stopped writing." : ""}</p>
    </>
  );
}

function Message({ message, isLast, isWriting, error }) {
  if (message.role === "user") return <li className="message user">{message.parts.map((part) => part.text).join("")}</li>;
  const isBeingWritten = isLast && isWriting;
  const sources = message.parts.filter((part) => part.type === "source-url");
  const reason = message.metadata?.finishReason;
  return (
    <li className={`message assistant ${isBeingWritten ? "writing" : ""}`} aria-busy={isBeingWritten}>
      {message.parts.map((part, index) => <Part key={index} part={part} />)}
      {sources.length > 0 && (
        <ol className="sources" aria-label="Sources">
          {sources.map((it) => <li key={it.sourceId}><a href={it.url} target="_blank" rel="noopener noreferrer">{it.title ?? it.url}</a></li>)}
        </ol>
      )}
      {CUTS[reason] && <p className="note">{CUTS[reason]}</p>}
      {/* `finish` brings the reason: an answer without it is not complete, whatever its text looks like. */}
      {!reason && !isBeingWritten && !(isLast && error) && <p className="note">This answer was not completed.</p>}
    </li>
  );
}

function Part({ part }) {
  if (part.type === "text") return <Markdown text={part.text} isRefusal={part.providerMetadata?.firsttoken?.refusal} />;
  if (part.type === "reasoning") {
    return <details><summary>{part.state === "done" ? "Reasoning" : "Reasoning…"}</summary><div>{part.text}</div></details>;
  }
  if (!part.toolCallId) return null;
  const result = part.errorText ?? part.output;
  return (
    <details className="tool">
      <summary>Tool: {part.toolName ?? part.type.slice(5)}<span className="state">{TOOL_STATES[part.state]}</span></summary>
      <pre>{JSON.stringify(part.input, null, 2)}{result !== undefined && `\n→ ${typeof result === "string" ? result : JSON.stringify(result)}`}</pre>
    </details>
  );
}

function Markdown({ text, isRefusal }) {
  const node = useRef(null);
  useEffect(() => {
    node.current.replaceChildren(...markdown(text));
  }, [text]);
  return <div ref={node} className={isRefusal ? "text refusal" : "text"} />;
}
