"""Event payload to chunk, or to the failure that it is.

Owns the order of trials: the typed decode for a whole read at once, then one event at a time: `[DONE]`, the typed
decode, errors, the tolerant path. An event means the same wherever it stands: what came before it decides only how
fast it is decoded.
"""

from collections.abc import Iterable

import msgspec

from firsttoken._json import as_object, excerpt, parse_json
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._protocol import lenient as tolerant
from firsttoken._protocol.learned_fields import DecodeChunk, OwnFields, build_decoder
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


class ChunkDecoder:
    """Decodes the events of one stream, and learns on the way what its chunks have beyond the schema."""

    __slots__ = ("_decode", "_learned_chunks", "_own")

    def __init__(self) -> None:
        self._decode: DecodeChunk = _decode_chunk
        self._own = OwnFields()
        self._learned_chunks = 0

    def blocks(self, sse: SSEDecoder, blocks: bytes) -> DecodeResult:
        """Decode what a read has ended, at once where every event is a chunk that the types know whole."""
        payloads = sse.plain(blocks)
        if payloads is None:
            return self.events(sse.events(blocks))
        done = payloads[-1] == DONE
        if done:
            payloads.pop()
        try:
            chunks = list(map(self._decode, payloads))
        except (ValueError, RecursionError):
            payloads += [DONE] * done
            return self.events(ServerSentEvent("message", payload) for payload in payloads if payload.strip())
        for chunk, payload in zip(chunks, payloads, strict=True):
            chunk.raw = payload
        return DecodeResult(chunks, done=done)

    def events(self, events: Iterable[ServerSentEvent]) -> DecodeResult:
        """The chunks of any events, up to the first that ends the stream."""
        decoded = DecodeResult([])
        for event in events:
            if event.data.strip() == DONE and event.event != "error":
                decoded.done = True
                break
            try:
                chunk = None if event.event == "error" else self.typed(event.data)
                decoded.chunks.append(chunk or self._tolerant(event))
            except ChatCompletionError as failure:
                decoded.failure = failure
                break
        return decoded

    def typed(self, data: bytes) -> ChatCompletionChunk | None:
        """The chunk of an event's data that the types know whole; else None."""
        try:
            chunk = self._decode(data)
        except (ValueError, RecursionError):
            return None
        chunk.raw = data
        return chunk

    def _tolerant(self, event: ServerSentEvent) -> ChatCompletionChunk:
        value = _object_in(event)
        if self._learned_chunks < MAX_LEARNED_CHUNKS:
            self._learn(value)
        return _chunk_of(value, event.data)

    def _learn(self, value: JSONObject) -> None:
        """Note what made a chunk take the tolerant path; a second one shows that it is worth a decoder."""
        self._learned_chunks += 1
        self._own = self._own.merged_with(value)
        if self._learned_chunks > 1 and any(self._own):
            self._decode = build_decoder(self._own)


def _object_in(event: ServerSentEvent) -> JSONObject:
    """The JSON object of an event.

    Raises:
        APIStatusError: it is an error.
        ResponseFormatError: it is no object.
    """
    if event.event == "error":
        raise stream_error(_json_or_text(event.data))
    value = as_object(parse_json(event.data))
    if value is None:
        raise ResponseFormatError(f"the server sent an event that is no JSON object: {excerpt(event.data)}")
    if is_error(value):
        raise stream_error(value)
    return value


def _chunk_of(value: JSONObject, data: bytes) -> ChatCompletionChunk:
    chunk = tolerant.read(data, value, ChatCompletionChunk)
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
            return completion
    value = as_object(parse_json(data))
    if value is not None and is_error(value):
        raise body_error(value)
    if value is None or "choices" not in value:
        raise ResponseFormatError(f"the server sent JSON that is no chat completion: {excerpt(data)}")
    return tolerant.read(data, value, ChatCompletion)


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
        raise ResponseFormatError(f"the server sent JSON that is no chat completion: {excerpt(data)}")
    return _chunk_of(_object_in(ServerSentEvent("message", data)), data)
