"""Event data to a chunk or an error.

The order of attempts: the typed decode for a whole read at once, then one event at a time: `[DONE]`, the typed decode,
errors, the lenient path. An event means the same wherever it stands: what came before it decides only how fast it is
decoded.
"""

from collections.abc import Iterable

import msgspec

from firsttoken._json import as_object, excerpt, parse_json
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._protocol import lenient
from firsttoken._protocol.learned_fields import DecodeChunk, LearnedFields, build_decoder
from firsttoken._protocol.server_error import body_error, is_error, stream_error
from firsttoken._protocol.sse import ServerSentEvent, SSEDecoder
from firsttoken._protocol.struct_fields import JSONObject
from firsttoken.errors import ChatCompletionError, ResponseFormatError

DONE = b"[DONE]"
MAX_LEARNED_CHUNKS = 8
"""How many chunks of a stream are learned from: what is not learned by then is not worth it."""

_decode_chunk = msgspec.json.Decoder(ChatCompletionChunk).decode
_decode_completion = msgspec.json.Decoder(ChatCompletion).decode


class DecodeResult:
    """The outcome of the events of one read.

    Attributes:
        chunks: in order, those before `done` or `failure`.
        done: whether `[DONE]` came after them.
        failure: what came after them instead: an error of the server, or data that is not a chunk.
    """

    __slots__ = ("chunks", "done", "failure")

    def __init__(self, chunks: list[ChatCompletionChunk], *, done: bool = False) -> None:
        self.chunks = chunks
        self.done = done
        self.failure: ChatCompletionError | None = None


class ChunkDecoder:
    """Decodes the events of one stream, and learns on the way what its chunks have beyond the schema."""

    __slots__ = ("_decode", "_learned", "_learned_chunks")

    def __init__(self) -> None:
        self._decode: DecodeChunk = _decode_chunk
        self._learned = LearnedFields()
        self._learned_chunks = 0

    def decode_blocks(self, sse: SSEDecoder, blocks: bytes) -> DecodeResult:
        """Decode the events that a read completed, at once where the types know every field of them."""
        payloads = sse.split_simple_events(blocks)
        if payloads is None:
            return self.decode_events(sse.parse_blocks(blocks))
        done = payloads[-1] == DONE
        if done:
            payloads.pop()
        try:
            chunks = list(map(self._decode, payloads))
        except (ValueError, RecursionError):
            payloads += [DONE] * done
            return self.decode_events(ServerSentEvent("message", payload) for payload in payloads if payload.strip())
        for chunk, payload in zip(chunks, payloads, strict=True):
            chunk.raw = payload
        return DecodeResult(chunks, done=done)

    def decode_events(self, events: Iterable[ServerSentEvent]) -> DecodeResult:
        """Decode events one by one, up to the first that ends the stream."""
        decoded = DecodeResult([])
        for event in events:
            if event.data.strip() == DONE and event.event != "error":
                decoded.done = True
                break
            try:
                chunk = None if event.event == "error" else self.try_decode(event.data)
                decoded.chunks.append(chunk or self._decode_leniently(event))
            except ChatCompletionError as failure:
                decoded.failure = failure
                break
        return decoded

    def try_decode(self, data: bytes) -> ChatCompletionChunk | None:
        """Decode an event's data by the types alone; None where it has anything that they don't know."""
        try:
            chunk = self._decode(data)
        except (ValueError, RecursionError):
            return None
        chunk.raw = data
        return chunk

    def _decode_leniently(self, event: ServerSentEvent) -> ChatCompletionChunk:
        value = _object_in(event)
        if self._learned_chunks < MAX_LEARNED_CHUNKS:
            self._learn(value)
        return _chunk_of(value, event.data)

    def _learn(self, value: JSONObject) -> None:
        """Learn the fields that made a chunk take the lenient path; a second such chunk builds a decoder."""
        self._learned_chunks += 1
        self._learned = self._learned.merged_with(value)
        if self._learned_chunks > 1 and any(self._learned):
            self._decode = build_decoder(self._learned)


def _object_in(event: ServerSentEvent) -> JSONObject:
    """The JSON object of an event.

    Raises:
        APIStatusError: it is an error.
        ResponseFormatError: it is not a JSON object.
    """
    if event.event == "error":
        raise stream_error(_json_or_text(event.data))
    value = as_object(parse_json(event.data))
    if value is None:
        raise ResponseFormatError(f"expected a JSON object in the event: {excerpt(event.data)}")
    if is_error(value):
        raise stream_error(value)
    return value


def _chunk_of(value: JSONObject, data: bytes) -> ChatCompletionChunk:
    chunk = lenient.read(data, value, ChatCompletionChunk)
    chunk.raw = data
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
            completion.raw = data
            return completion
    value = as_object(parse_json(data))
    if value is not None and is_error(value):
        raise body_error(value)
    if value is None or "choices" not in value:
        raise ResponseFormatError(f"expected a chat completion: {excerpt(data)}")
    completion = lenient.read(data, value, ChatCompletion)
    completion.raw = data
    return completion


def decode_body_as_chunk(data: bytes) -> ChatCompletionChunk:
    """The chunk of a body that is one JSON object, for servers that don't stream though a stream was requested.

    Raises:
        APIStatusError: it is an error.
        ResponseFormatError: it is neither an error nor a completion.
    """
    value = as_object(parse_json(data))
    if value is not None and is_error(value):
        raise body_error(value)
    if value is not None and "choices" not in value:
        raise ResponseFormatError(f"expected a chat completion: {excerpt(data)}")
    return _chunk_of(_object_in(ServerSentEvent("message", data)), data)
