"""The AI SDK's UI message stream, version 1.

The events and their fields: https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol, and `ui-message-chunks.ts` of the `ai`
package.
"""

import json
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING

from firsttoken._json import as_array, as_object
from firsttoken._models.tables import finish_class
from firsttoken.errors import RefusalError
from firsttoken.events import (
    FinishedEvent,
    ReasoningEvent,
    RefusalEvent,
    StreamEvent,
    TextEvent,
    ToolCallArgumentsEvent,
    ToolCallFinishedEvent,
    ToolCallStartedEvent,
    UsageEvent,
)
from firsttoken.types import ChatCompletion, CompletionUsage, ToolCall
from firsttoken.web._encoder import DONE, ErrorText, StreamError, encode_event, log_failure

if TYPE_CHECKING:
    from firsttoken import AsyncChatCompletionStream, ChatCompletionStream

_FINISH_REASONS = {"complete": "stop", "cut": "length", "filtered": "content-filter"}
"""The AI SDK's words for the classes of finish reasons; "other" for the rest."""

_TOOL_CALLS = ("tool_calls", "tool_call", "tool_use", "function_call")

_REFUSAL = {"firsttoken": {"refusal": True}}
"""The `providerMetadata` of a text part that holds a refusal, for which the AI SDK has no part of its own."""


class UIMessageEncoder:
    """Writes the events of choice 0 as parts of one message."""

    def __init__(
        self,
        error_text: ErrorText,
        *,
        message_id: str | None = None,
        send_start: bool = True,
        end_after_tool_calls: bool = True,
    ) -> None:
        self._error_text = error_text
        self._message_id = message_id
        self._send_start = send_start
        self._end_after_tool_calls = end_after_tool_calls
        self._has_calls = False  # that the application has to answer
        self._kind = ""  # of the part that is being written: "text", "reasoning" or "refusal"
        self._parts = 0
        self._call_ids: dict[int, str] = {}  # as the client knows them, by the call's place
        self._refusal: list[str] = []
        self._usage: CompletionUsage | None = None
        self._finish_reason: str | None = None

    def items(self, stream: "ChatCompletionStream") -> Iterator[StreamEvent]:
        """The events."""
        return stream.iter_events()

    def async_items(self, stream: "AsyncChatCompletionStream") -> AsyncIterator[StreamEvent]:
        """The events."""
        return stream.iter_events()

    def begin(self) -> bytes:
        """The start of the message and of its step."""
        start: dict[str, object] = {"type": "start"}
        if self._message_id is not None:
            start["messageId"] = self._message_id
        return (encode_event(start) if self._send_start else b"") + encode_event({"type": "start-step"})

    def encode(self, item: StreamEvent) -> bytes:
        """What an event adds to the message; nothing for other choices."""
        if isinstance(item, UsageEvent):
            self._usage = item.usage
            return b""
        if item.choice_index != 0:
            return b""
        match item:
            case TextEvent():
                return self._piece("text", item.delta)
            case ReasoningEvent():
                return self._piece("reasoning", item.delta)
            case RefusalEvent():
                self._refusal.append(item.delta)
                return self._piece("refusal", item.delta)
            case ToolCallStartedEvent():
                call_id = self._call_ids[item.call_index] = item.id or f"call_{uuid.uuid4().hex}"
                return self._close_part() + encode_event(
                    {"type": "tool-input-start", "toolCallId": call_id, "toolName": item.name}
                )
            case ToolCallArgumentsEvent():
                return encode_event(
                    {
                        "type": "tool-input-delta",
                        "toolCallId": self._call_ids[item.call_index],
                        "inputTextDelta": item.delta,
                    }
                )
            case ToolCallFinishedEvent():
                self._has_calls = True
                return self._close_part() + encode_event(_tool_input(self._call_ids[item.call_index], item.call))
            case FinishedEvent():
                self._finish_reason = item.finish_reason
                return self._close_part()

    def end(self, stream: "ChatCompletionStream | AsyncChatCompletionStream") -> bytes:
        """`finish` of a complete answer, `error` of a refusal, `abort` of a stopped stream."""
        if stream.state != "complete":
            return encode_event({"type": "abort"}) + DONE
        sources = _sources(stream.completion)
        if self._refusal:
            words = "".join(self._refusal)
            error = RefusalError(f"the model refused: {words}", refusal=words)
            return sources + self._error(error)
        ended = sources + encode_event({"type": "finish-step"})
        if self._has_calls and not self._end_after_tool_calls:
            return ended
        return ended + encode_event(self._finish()) + DONE

    def fail(self, error: StreamError) -> bytes:
        """`error`; the parts that were being written stay unfinished, as they are."""
        log_failure(error)
        partial = getattr(error, "partial", None)
        return (_sources(partial) if isinstance(partial, ChatCompletion) else b"") + self._error(error)

    def _error(self, error: StreamError) -> bytes:
        return encode_event({"type": "error", "errorText": self._error_text(error)}) + DONE

    def _finish(self) -> dict[str, object]:
        finish: dict[str, object] = {"type": "finish"}
        metadata: dict[str, object] = {}
        if self._finish_reason:
            finish["finishReason"] = _finish_reason(self._finish_reason)
            metadata["finishReason"] = finish["finishReason"]
        if self._usage is not None:
            metadata["usage"] = _usage(self._usage)
        if metadata:
            finish["messageMetadata"] = metadata
        return finish

    def _piece(self, kind: str, delta: str) -> bytes:
        opened = b"" if kind == self._kind else self._close_part() + self._open_part(kind)
        return opened + encode_event({"type": f"{_part_type(kind)}-delta", "id": self._part_id(), "delta": delta})

    def _open_part(self, kind: str) -> bytes:
        self._kind = kind
        self._parts += 1
        start: dict[str, object] = {"type": f"{_part_type(kind)}-start", "id": self._part_id()}
        if kind == "refusal":
            start["providerMetadata"] = _REFUSAL
        return encode_event(start)

    def _close_part(self) -> bytes:
        if not self._kind:
            return b""
        ended = encode_event({"type": f"{_part_type(self._kind)}-end", "id": self._part_id()})
        self._kind = ""
        return ended

    def _part_id(self) -> str:
        return f"{self._kind}-{self._parts}"


def _finish_reason(reason: str) -> str:
    """A server's finish reason in the AI SDK's words."""
    is_calls = reason.lower() in _TOOL_CALLS
    return "tool-calls" if is_calls else _FINISH_REASONS.get(finish_class(reason), "other")


def _part_type(kind: str) -> str:
    return "text" if kind == "refusal" else kind


def _tool_input(call_id: str, call: ToolCall) -> dict[str, object]:
    """A call whose input is there, or is not what it should be: it is never repaired."""
    event: dict[str, object] = {"type": "tool-input-available", "toolCallId": call_id, "toolName": call.name}
    if call.function is None:
        return event | {"input": call.arguments}
    try:
        arguments = as_object(json.loads(call.arguments or "{}", parse_constant=_refuse_constant))
    except (ValueError, RecursionError):
        arguments = None
    if arguments is not None:
        return event | {"input": arguments}
    text = "invalid tool input: expected a JSON object"
    return event | {"type": "tool-input-error", "input": call.arguments, "errorText": text}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _usage(usage: CompletionUsage) -> dict[str, object]:
    """Usage, as the AI SDK names it."""
    counts: dict[str, object] = {
        "inputTokens": usage.prompt_tokens,
        "outputTokens": usage.completion_tokens,
        "totalTokens": usage.total_tokens,
    }
    completion, prompt = usage.completion_tokens_details, usage.prompt_tokens_details
    if completion is not None and completion.reasoning_tokens is not None:
        counts["reasoningTokens"] = completion.reasoning_tokens
    if prompt is not None and prompt.cached_tokens is not None:
        counts["cachedInputTokens"] = prompt.cached_tokens
    return counts


def _sources(completion: ChatCompletion) -> bytes:
    """The pages that the answer cites, each once."""
    titles: dict[str, str] = {}
    for url, title in _citations(completion):
        if url.lower().startswith(("https://", "http://")):  # a page links to it: no "javascript:"
            titles[url] = titles.get(url) or title
    return b"".join(
        encode_event({"type": "source-url", "sourceId": url, "url": url} | ({"title": title} if title else {}))
        for url, title in titles.items()
    )


def _citations(completion: ChatCompletion) -> Iterator[tuple[str, str]]:
    """Addresses and titles, from wherever servers put them.

    Annotations of the message (OpenAI, OpenRouter), `citations` and `search_results` beside the choices (Perplexity,
    xAI), `context.citations` of the message (Azure, on your data).
    """
    found: list[object] = []
    for choice in completion.choices:
        if choice.index == 0:
            annotations = map(as_object, choice.message.annotations or ())
            found += [annotation.get("url_citation") for annotation in annotations if annotation is not None]
            found += as_array((as_object(choice.message.extra.get("context")) or {}).get("citations")) or ()
    for name in ("search_results", "citations"):
        found += as_array(completion.extra.get(name)) or ()
    for citation in found:
        fields: Mapping[str, object] = as_object(citation) or {"url": citation}
        url, title = fields.get("url"), fields.get("title")
        if isinstance(url, str):
            yield url, title if isinstance(title, str) else ""
