"""From the model to the browser: relay a stream through a web framework, and stop the model when the browser leaves.

    @app.post("/api/chat")
    async def chat(question: Question):
        return sse_response(client.chat_completion_stream(MODEL, question.messages))

`sse` and `ui_message_stream` are generators of bytes, for the streaming response of any framework: sync generators for
the streams of `Client`, async generators for those of `AsyncClient`. `sse_response` and `ui_message_response` are ASGI
applications, which FastAPI, Starlette and Litestar take as responses. They also notice a client that leaves while
nothing is being sent, and take streams of either client.

All of them close the stream when they end. An answer that is not complete never looks complete: `sse` sends an error
and no `[DONE]`, `ui_message_stream` an `error` and no `finish`. What the browser sees of an error is
`public_error_text`, or a function of your own; the error itself goes to the logger "firsttoken.web".
"""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from typing import TYPE_CHECKING, overload

from firsttoken.web._asgi import RelayResponse, completion_response, relay_response
from firsttoken.web._encoder import ErrorText, SSEEncoder, encode_event, public_error_text
from firsttoken.web._relay import async_relay, relay, relay_any
from firsttoken.web._ui_message import UIMessageEncoder

if TYPE_CHECKING:
    from firsttoken import AsyncChatCompletionStream, ChatCompletionStream

__all__ = [
    "SSE_HEADERS",
    "UI_MESSAGE_STREAM_HEADERS",
    "ErrorText",
    "RelayResponse",
    "completion_response",
    "public_error_text",
    "sse",
    "sse_response",
    "ui_message_event",
    "ui_message_response",
    "ui_message_stream",
]

SSE_HEADERS: Mapping[str, str] = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}
"""The headers of a response with server-sent events: nothing on the way may store, compress or buffer it."""

UI_MESSAGE_STREAM_HEADERS: Mapping[str, str] = {**SSE_HEADERS, "x-vercel-ai-ui-message-stream": "v1"}
"""The headers of a response with the AI SDK's UI message stream, version 1."""


@overload
def sse(
    stream: "ChatCompletionStream", *, keepalive_s: float | None = 15, error_text: ErrorText = public_error_text
) -> Generator[bytes]: ...
@overload
def sse(
    stream: "AsyncChatCompletionStream", *, keepalive_s: float | None = 15, error_text: ErrorText = public_error_text
) -> AsyncGenerator[bytes]: ...
def sse(
    stream: "ChatCompletionStream | AsyncChatCompletionStream",
    *,
    keepalive_s: float | None = 15,
    error_text: ErrorText = public_error_text,
) -> Generator[bytes] | AsyncGenerator[bytes]:
    """Relay a stream as OpenAI's own event stream, which any client of the API reads.

    Each chunk goes out with the bytes that came (`chunk.raw`). A failure becomes `data: {"error": {…}}`. `[DONE]` is
    sent only when the answer is complete. The stream is closed when the generator ends or is closed; a sync one reads
    the stream in a thread, so that it can send keep-alives.

    Args:
        stream: a stream of `Client` or `AsyncClient`; it need not be open.
        keepalive_s: after how many seconds of silence a comment is sent; None sends none.
        error_text: gives the message that the client is shown for an error.

    Raises:
        ValueError: `keepalive_s` is not positive.
    """
    _check(keepalive_s)
    encoder = SSEEncoder(error_text)
    if isinstance(stream, AsyncIterator):
        return async_relay(stream, encoder, keepalive_s)
    return relay(stream, encoder, keepalive_s)


@overload
def ui_message_stream(
    stream: "ChatCompletionStream",
    *,
    keepalive_s: float | None = 15,
    error_text: ErrorText = public_error_text,
    message_id: str | None = None,
    send_start: bool = True,
    end_after_tool_calls: bool = True,
) -> Generator[bytes]: ...
@overload
def ui_message_stream(
    stream: "AsyncChatCompletionStream",
    *,
    keepalive_s: float | None = 15,
    error_text: ErrorText = public_error_text,
    message_id: str | None = None,
    send_start: bool = True,
    end_after_tool_calls: bool = True,
) -> AsyncGenerator[bytes]: ...
def ui_message_stream(
    stream: "ChatCompletionStream | AsyncChatCompletionStream",
    *,
    keepalive_s: float | None = 15,
    error_text: ErrorText = public_error_text,
    message_id: str | None = None,
    send_start: bool = True,
    end_after_tool_calls: bool = True,
) -> Generator[bytes] | AsyncGenerator[bytes]:
    """Relay a stream as a UI message stream, version 1, which `useChat` of Vercel's AI SDK reads (5 and later).

    The choice with index 0 becomes text, reasoning, tool-input and source parts. A complete answer ends in `finish`;
    its `messageMetadata` has `usage` and `finishReason`. A failed stream ends in `error`, and so does an answer in
    which the model refused, after the words of the refusal; a stopped one ends in `abort`. `tool-input-available` is
    sent only when the answer is complete and was not cut by a token limit or a filter.

    Args:
        stream: a stream of `Client` or `AsyncClient`; nothing may have been read from it yet.
        keepalive_s: after how many seconds of silence a comment is sent; None sends none.
        error_text: gives the message that the client is shown for an error; a refusal is a `RefusalError`.
        message_id: the message's id; None leaves it to the client.
        send_start: whether to begin the message. False goes on with one that was begun before.
        end_after_tool_calls: whether an answer that calls tools ends the message. False leaves it open, for the tools'
            results (`ui_message_event`) and another stream.

    Raises:
        ValueError: `keepalive_s` is not positive.
    """
    _check(keepalive_s)
    encoder = UIMessageEncoder(
        error_text, message_id=message_id, send_start=send_start, end_after_tool_calls=end_after_tool_calls
    )
    if isinstance(stream, AsyncIterator):
        return async_relay(stream, encoder, keepalive_s)
    return relay(stream, encoder, keepalive_s)


def ui_message_event(event: Mapping[str, object]) -> bytes:
    """Encode one event of a UI message stream: a tool's result, data of your own.

    Args:
        event: as the AI SDK describes it: `{"type": "tool-output-available", "toolCallId": …, "output": …}`.
    """
    return encode_event(event)


def sse_response(
    source: "ChatCompletionStream | AsyncChatCompletionStream | AsyncIterator[bytes]",
    *,
    keepalive_s: float | None = 15,
    error_text: ErrorText = public_error_text,
    headers: Mapping[str, str] | None = None,
) -> RelayResponse:
    """Make an ASGI application that answers with what `sse` gives, until the client leaves.

    It watches for the client also while nothing is being sent, and then closes the stream: one of `AsyncClient` in its
    own task, one of `Client` (which is read in a thread) by `close()`. Where Starlette is loaded, it is a Starlette
    response too, so that FastAPI takes it.

    Args:
        source: a stream, or an async generator of bytes that is made of several.
        keepalive_s: after how many seconds of silence a comment is sent; None sends none.
        error_text: gives the message that the client is shown for an error.
        headers: further headers of the response.

    Raises:
        ValueError: `keepalive_s` is not positive.
    """
    _check(keepalive_s)
    parts = relay_any(source, SSEEncoder(error_text), keepalive_s)
    return relay_response(parts, {**SSE_HEADERS, **(headers or {})})


def ui_message_response(
    source: "ChatCompletionStream | AsyncChatCompletionStream | AsyncIterator[bytes]",
    *,
    keepalive_s: float | None = 15,
    error_text: ErrorText = public_error_text,
    message_id: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> RelayResponse:
    """Make an ASGI application that answers with what `ui_message_stream` gives, until the client leaves.

    Args:
        source: a stream, or an async generator of bytes that is made of several.
        keepalive_s: after how many seconds of silence a comment is sent; None sends none.
        error_text: gives the message that the client is shown for an error.
        message_id: the message's id; None leaves it to the client.
        headers: further headers of the response.

    Raises:
        ValueError: `keepalive_s` is not positive.
    """
    _check(keepalive_s)
    parts = relay_any(source, UIMessageEncoder(error_text, message_id=message_id), keepalive_s)
    return relay_response(parts, {**UI_MESSAGE_STREAM_HEADERS, **(headers or {})})


def _check(keepalive_s: float | None) -> None:
    if keepalive_s is not None and not keepalive_s > 0:
        raise ValueError(f"keepalive_s must be positive or None: {keepalive_s!r}")


for _public in (RelayResponse, completion_response, public_error_text):
    _public.__module__ = __name__  # so that reprs, tracebacks and pickles show the public module
