"""Event data to a chunk or an error.

The order of attempts: the typed decode for all of a read at once, then one event at a time: `[DONE]`, the typed decode,
errors, the lenient path. An event means the same wherever it stands: what came before it decides only how fast it is
decoded.
"""

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from firsttoken._json import (
    LARGE_BYTES,
    JSONObject,
    as_array,
    as_object,
    as_text,
    excerpt,
    has_too_many_values,
    objects,
    parse_json,
)
from firsttoken._models.chunk import ChatCompletionChunk, ChunkChoice
from firsttoken._models.completion import ChatCompletion, Choice
from firsttoken._models.tables import TRUNCATED_BY, finish_class
from firsttoken._protocol import lenient
from firsttoken._protocol.accumulator import has_total, with_total
from firsttoken._protocol.completeness import has_content
from firsttoken._protocol.item_count import excess_of
from firsttoken._protocol.learned_fields import DecodeChunk, LearnedFields, build_decoder
from firsttoken._protocol.server_error import KEEP_ALIVES, body_error, error_object, stream_error
from firsttoken._protocol.sse import ServerSentEvent, SSEDecoder
from firsttoken._protocol.text_filters import has_half
from firsttoken.errors import APIStatusError, ChatCompletionError, ResponseFormatError

DONE = b"[DONE]"
MAX_LEARNED_CHUNKS = 8
"""How many chunks of a stream are learned from; later ones are not worth the work."""


_decode_chunk: DecodeChunk = msgspec.json.Decoder(ChatCompletionChunk).decode
"""Made here and not by the first chunk, which would wait a millisecond for it."""


@functools.cache
def _completion_decoder() -> Callable[[bytes], ChatCompletion]:
    return msgspec.json.Decoder(ChatCompletion).decode


class DecodeResult:
    """The outcome of the events of one read.

    Attributes:
        chunks: in order, those before `done` or `failure`.
        done: whether `[DONE]` came after them.
        failure: what came after them instead: an error of the server, or data that is not a chunk.
        has_replacements: whether a chunk has a complete message instead of a delta, so that deltas before it have to
            be looked for (`Accumulator.resolve_replacements`).
        has_halves: whether a text ends in half a character, whose other half is to follow (`SplitPairs`).
    """

    __slots__ = ("chunks", "done", "failure", "has_halves", "has_replacements")

    def __init__(self, chunks: list[ChatCompletionChunk], *, done: bool = False) -> None:
        self.chunks = chunks
        self.done = done
        self.failure: ChatCompletionError | None = None
        self.has_replacements = False
        self.has_halves = False


class ChunkDecoder:
    """Decodes the events of one stream, and learns which fields its chunks have beyond the schema."""

    __slots__ = ("_decode", "_learned", "_learned_chunks")

    def __init__(self) -> None:
        self._decode = _decode_chunk
        self._learned = LearnedFields()
        self._learned_chunks = 0

    def decode_blocks(self, sse: SSEDecoder, blocks: bytes) -> DecodeResult:
        """Decode the events that a read completed: all at once if the types know every field."""
        payloads = sse.split_simple_events(blocks)
        if payloads is None:
            return self.decode_events(sse.parse_blocks(blocks))
        if len(blocks) > LARGE_BYTES and has_too_many_values(blocks):
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
            if event.event not in _ERROR_EVENTS:
                if event.data.strip() == DONE:
                    decoded.done = True
                    break
                chunk = self.try_decode(event.data)
                if chunk is not None and (chunk.choices or event.event == "message"):
                    chunk.event = event.event
                    decoded.chunks.append(chunk)
                    continue
            try:
                self._decode_leniently(event, decoded)
            except ChatCompletionError as failure:
                decoded.failure = failure
            if decoded.failure is not None or decoded.done:
                break
        return decoded

    def try_decode(self, data: bytes) -> ChatCompletionChunk | None:
        """Decode an event's data by the types alone; None if it has anything that they don't know."""
        if len(data) > LARGE_BYTES and has_too_many_values(data):
            return None
        try:
            chunk = self._decode(data)
        except (ValueError, RecursionError):
            return None
        chunk.raw = data
        return chunk

    def _decode_leniently(self, event: ServerSentEvent, decoded: DecodeResult) -> None:
        """Add an event's chunk or failure; nothing if it is not part of the answer.

        Raises:
            ResponseFormatError: it should have been a chunk, but is not.
        """
        try:
            value = parse_json(event.data)
        except ResponseFormatError:
            if event.event in _ERROR_EVENTS:
                decoded.failure = stream_error(event.data.decode("utf-8", "replace"))
            elif _is_done(event.data):
                decoded.done = True
            elif event.event == "message" and not is_keep_alive(event.data):
                raise
            return
        if event.event not in _OWN_EVENTS and not _is_chunk(value):
            decoded.chunks += _foreign_chunk(event, as_object(value))
        elif event.event in _ERROR_EVENTS or error_object(value) is not None:
            decoded.failure = stream_error(value)
            decoded.chunks += _chunk_beside_error(event)
        else:
            node = as_object(value)
            if node is None and _is_done(event.data):
                decoded.done = True
                return
            if node is None and is_keep_alive(event.data):
                return
            if node is None:
                raise ResponseFormatError(f"expected a JSON object in the event: {excerpt(event.data)}")
            if self._learned_chunks < MAX_LEARNED_CHUNKS:
                self._learn(node)
            repeats = [lenient.is_message(choice) for choice in objects(node.get("choices"))]
            chunk = _chunk_of(node, event)
            for choice, may_repeat in zip(chunk.choices, repeats, strict=True):
                choice.replacement = choice.delta if may_repeat else None
            decoded.chunks.append(chunk)
            decoded.has_replacements |= any(choice.replacement is not None for choice in chunk.choices)
            decoded.has_halves |= _HALF.search(event.data) is not None and has_half(chunk)

    def _learn(self, value: JSONObject) -> None:
        """Learn the fields that made a chunk take the lenient path; a second such chunk builds a decoder."""
        self._learned_chunks += 1
        self._learned = self._learned.merged_with(value)
        if self._learned_chunks > 1 and any(self._learned):
            self._decode = build_decoder(self._learned)


_HALF = re.compile(rb"\\u[dD][89abAB]")  # the first half of a pair, as JSON has it
_ERROR_EVENTS = frozenset({"error", "Error", "ERROR"})
_OWN_EVENTS = _ERROR_EVENTS | {"message"}
_TIMESTAMP = re.compile(rb"\d{10,19}(\.\d+)?|\d{4}-\d\d-\d\d[T ][\d:.,+Z -]*", re.ASCII)


def _is_done(data: bytes) -> bool:
    """Whether data is `[DONE]` in another spelling."""
    return len(data) < 20 and data.strip().strip(b'"').upper() in (DONE, b"DONE")


def is_keep_alive(data: bytes) -> bool:
    """Whether the data of an event without a name only keeps the connection alive.

    It is a comment that a proxy framed as data (": OPENROUTER PROCESSING"), a word like "ping", or a timestamp.
    """
    text = data.strip()
    return (
        text[:1] == b":"
        or (len(text) < 20 and text.strip(b'"').decode("utf-8", "replace").lower() in KEEP_ALIVES)
        or (len(text) < 40 and _TIMESTAMP.fullmatch(text) is not None)
    )


def _is_chunk(value: object) -> bool:
    """Whether the JSON of a named event is a chunk of the answer."""
    node = as_object(value) or {}
    return as_array(node.get("choices")) is not None or node.get("object") == "chat.completion.chunk"


def _foreign_chunk(event: ServerSentEvent, value: JSONObject | None) -> list[ChatCompletionChunk]:
    """The chunk of a named event that is not part of the answer: all its data is in `extra`."""
    if value is None or event.event.lower() in KEEP_ALIVES:
        return []
    return [ChatCompletionChunk(event=event.event, raw=event.data, extra=value)]


def _chunk_beside_error(event: ServerSentEvent) -> list[ChatCompletionChunk]:
    """The chunk of an event that is an error, where it also has text or calls."""
    value = as_object(parse_json(event.data))  # anew: reading leniently changes it, and the error has the other as body
    if value is None or not as_array(value.get("choices")):
        return []
    try:
        chunk = _chunk_of(value, event)
    except ResponseFormatError:
        return []
    return [chunk] if has_content(chunk) else []


def _chunk_of(value: JSONObject, event: ServerSentEvent) -> ChatCompletionChunk:
    chunk = lenient.read(event.data, value, ChatCompletionChunk)
    chunk.raw = event.data
    chunk.event = event.event
    return chunk


def decode_completion(data: bytes, expected_choices: int | None = None) -> ChatCompletion:
    """The completion of a body that is JSON.

    Args:
        data: the body.
        expected_choices: the request's `n`; None where it is not known.

    Raises:
        APIStatusError: it is an error; a part of an answer in it is its `partial`.
        ResponseFormatError: it is neither an error nor a completion.
    """
    try:
        completion = ChatCompletion() if has_too_many_values(data) else _completion_decoder()(data)
    except (ValueError, RecursionError):
        pass
    else:
        if completion.choices:
            return _received(completion, data, expected_choices)
    value = _completion_object(data)
    error = error_object(value)
    if error is None:
        return _received(lenient.read(data, value, ChatCompletion), data, expected_choices)
    raise _with_partial(body_error(value), data)


def decode_models(data: bytes) -> list[str] | None:
    """The ids in a body that is a list of models: `{"data": [{"id": …}]}`, or the array alone (Together AI).

    Returns:
        None where it is neither that nor an error.

    Raises:
        APIStatusError: it is an error.
    """
    try:
        value = parse_json(data)
    except ResponseFormatError:
        return None
    found = as_object(value)
    models = as_array(value if found is None else found.get("data"))
    if models is None:
        if error_object(value) is not None:
            raise body_error(value)
        return None
    ids = (as_text((as_object(model) or {}).get("id")) for model in models)
    return [model_id for model_id in ids if model_id]


def _received(completion: ChatCompletion, data: bytes, expected_choices: int | None) -> ChatCompletion:
    choices = completion.choices
    excess = excess_of([choice.message for choice in choices])
    if excess:
        raise ResponseFormatError(f"{excess}: {excerpt(data)}")
    completion.raw = data
    if len(choices) > 1 and _unite_choices(choices, expects_one=expected_choices == 1):
        del choices[1:]
    if len(choices) == 1 and expected_choices == 1:
        choices[0].index = 0
    if completion.usage is not None and not has_total(completion.usage, data):
        completion.usage = with_total(completion.usage)
    return completion


def _unite_choices(choices: Sequence[Choice | ChunkChoice], *, expects_one: bool) -> bool:
    """Merge reasoning, text and tool calls that come in separate choices into the first (GitHub Copilot).

    They are one where one was asked for, they have the same index, or the first has the finish reason of calls and
    none: and only one has text, so that they can't be several answers. A reason that one of them was cut for counts.

    Returns:
        Whether they are one; the others are not needed then.
    """
    messages = [choice.delta if isinstance(choice, ChunkChoice) else choice.message for choice in choices]
    calls: list[Any] = [call for message in messages for call in message.tool_calls or ()]
    is_one = len({choice.index for choice in choices}) == 1 or (
        choices[0].finish_reason == "tool_calls" and not messages[0].tool_calls
    )
    if not (expects_one or (is_one and calls)) or sum(bool(message.content) for message in messages) > 1:
        return False
    first: Any = messages[0]
    for message in messages[1:]:
        for name in message.__struct_fields__:
            setattr(first, name, getattr(first, name) or getattr(message, name))
        if message.extra:
            first.extra = {**message.extra, **first.extra}
    first.tool_calls = calls or first.tool_calls
    reasons = [choice.finish_reason for choice in choices if choice.finish_reason]
    cut = next((reason for reason in reasons if finish_class(reason) in TRUNCATED_BY), None)
    choices[0].finish_reason = cut or (reasons[-1] if reasons else None)
    return True


def _with_partial(failure: APIStatusError, data: bytes) -> APIStatusError:
    """The error of a blocking answer, with the part that was received."""
    value = as_object(parse_json(data))
    if value is not None and as_array(value.get("choices")):
        try:
            partial = lenient.read(data, value, ChatCompletion)
        except ResponseFormatError:
            return failure
        partial.raw = data
        partial.complete = False
        failure.partial = partial
    return failure


def decode_streamed_body(data: bytes, expected_choices: int | None = None) -> DecodeResult:
    """Decode a body that is JSON, of a server that does not stream though a stream was requested.

    Args:
        data: the body.
        expected_choices: the request's `n`; None where it is not known.

    Raises:
        ResponseFormatError: it is neither an error nor a completion.
    """
    value = _completion_object(data)
    event = ServerSentEvent("message", data)
    if error_object(value) is None:
        chunk = _chunk_of(value, event)
        for choice in chunk.choices:
            choice.replacement = None
        if len(chunk.choices) > 1 and _unite_choices(chunk.choices, expects_one=expected_choices == 1):
            del chunk.choices[1:]
        return DecodeResult([chunk], done=True)
    decoded = DecodeResult(_chunk_beside_error(event))
    decoded.failure = body_error(value)
    return decoded


def _completion_object(data: bytes) -> JSONObject:
    """The JSON object of a body that is an error, or has choices.

    Raises:
        APIStatusError: it is a list with an error, or an error before events.
        ResponseFormatError: it is neither.
    """
    try:
        value = parse_json(data)
    except ResponseFormatError:
        failure = _error_before_events(data)
        if failure is not None:
            raise failure from None
        raise
    node, error = as_object(value), error_object(value)
    if node is None and error is not None:
        raise body_error(value)
    if node is None or (error is None and "choices" not in node):
        raise ResponseFormatError(f"expected a chat completion: {excerpt(data)}")
    if error is None and not node["choices"]:
        raise ResponseFormatError(f"expected a chat completion, got one without choices: {excerpt(data)}")
    return node


def _error_before_events(data: bytes) -> APIStatusError | None:
    """The error that a body begins with, where events follow it."""
    sse = SSEDecoder()
    first = next(iter([*sse.receive_data(data), *sse.receive_eof()]), None)
    return stream_error(parse_json(first.data)) if first is not None and first.event == "error" else None
