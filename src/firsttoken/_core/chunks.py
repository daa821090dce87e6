"""Event payload to chunk, or to the failure that it is.

Owns the order of trials: the typed decode for a whole read at once, then one event at a time: `[DONE]`, the typed
decode, errors, the tolerant path. Refuses to know what came before: an event means the same wherever it stands.
"""

from collections.abc import Iterable

import msgspec

from firsttoken._core import quirks
from firsttoken._core.payload import as_object, parse_json, quoted
from firsttoken._core.server_error import body_error, is_error, stream_error
from firsttoken._core.sse import ServerSentEvent, SSEDecoder
from firsttoken._types.chunk import ChatCompletionChunk
from firsttoken._types.completion import ChatCompletion
from firsttoken.errors import ChatCompletionError, ResponseFormatError

DONE = b"[DONE]"

_decode_chunk = msgspec.json.Decoder(ChatCompletionChunk).decode
_decode_completion = msgspec.json.Decoder(ChatCompletion).decode


class Decoded:
    """What the events of a read are.

    Attributes:
        chunks: in order, those before `done` or `failure`.
        done: whether `[DONE]` came after them.
        failure: what came after them instead: an error of the server, or data that is no chunk.
    """

    __slots__ = ("chunks", "done", "failure")

    def __init__(self, chunks: list[ChatCompletionChunk], *, done: bool = False) -> None:
        self.chunks = chunks
        self.done = done
        self.failure: ChatCompletionError | None = None


def decode_blocks(sse: SSEDecoder, blocks: bytes) -> Decoded:
    """Decode what a read has ended, at once where every event is a chunk that the types know whole."""
    payloads = sse.plain(blocks)
    if payloads is None:
        return decode_events(sse.events(blocks))
    done = payloads[-1] == DONE
    if done:
        payloads.pop()
    try:
        chunks = list(map(_decode_chunk, payloads))
    except (ValueError, RecursionError):
        payloads += [DONE] * done
        return decode_events(ServerSentEvent("message", payload) for payload in payloads if payload.strip())
    for chunk, payload in zip(chunks, payloads, strict=True):
        chunk.raw = payload
    return Decoded(chunks, done=done)


def decode_events(events: Iterable[ServerSentEvent]) -> Decoded:
    """The chunks of any events, up to the first that ends the stream."""
    decoded = Decoded([])
    tolerant = False
    for event in events:
        if event.data.strip() == DONE and event.event != "error":
            decoded.done = True
            break
        try:
            chunk = None if tolerant or event.event == "error" else decode_typed(event.data)
            if chunk is None:
                tolerant = True  # a server with fields of its own has them in every chunk: don't try in vain
                chunk = _tolerant(event)
        except ChatCompletionError as failure:
            decoded.failure = failure
            break
        decoded.chunks.append(chunk)
    return decoded


def decode_typed(data: bytes) -> ChatCompletionChunk | None:
    """The chunk of an event's data that the types know whole; else None."""
    try:
        chunk = _decode_chunk(data)
    except (ValueError, RecursionError):
        return None
    chunk.raw = data
    return chunk


def _tolerant(event: ServerSentEvent) -> ChatCompletionChunk:
    """Read an event one field at a time.

    Raises:
        APIStatusError: it is an error.
        ResponseFormatError: it is neither an error nor a chunk.
    """
    if event.event == "error":
        raise stream_error(_json_or_text(event.data))
    value = as_object(parse_json(event.data))
    if value is None:
        raise ResponseFormatError(f"the server sent an event that is no JSON object: {quoted(event.data)}")
    if is_error(value):
        raise stream_error(value)
    chunk = quirks.read(event.data, value, ChatCompletionChunk)
    chunk.raw = event.data
    return chunk


def _json_or_text(data: bytes) -> object:
    try:
        return parse_json(data)
    except ResponseFormatError:
        return data.decode("utf-8", "replace")


def decode_completion(data: bytes) -> ChatCompletion:
    """The completion of a body that is one JSON object.

    Raises:
        APIStatusError: it is an error.
        ResponseFormatError: it is neither an error nor a completion.
    """
    try:
        completion = _decode_completion(data)
    except (ValueError, RecursionError):
        pass
    else:
        if completion.choices:
            return completion
    value = as_object(parse_json(data))
    if value is not None and is_error(value):
        raise body_error(value)
    if value is None or "choices" not in value:
        raise ResponseFormatError(f"the server sent JSON that is no chat completion: {quoted(data)}")
    return quirks.read(data, value, ChatCompletion)


def decode_body_as_chunk(data: bytes) -> ChatCompletionChunk:
    """The chunk that a body of one JSON object makes, for servers that answer a stream's request with a whole.

    Raises:
        APIStatusError: it is an error.
        ResponseFormatError: it is neither an error nor a completion.
    """
    value = as_object(parse_json(data))
    if value is not None and is_error(value):
        raise body_error(value)
    if value is not None and "choices" not in value:
        raise ResponseFormatError(f"the server sent JSON that is no chat completion: {quoted(data)}")
    return _tolerant(ServerSentEvent("message", data))
