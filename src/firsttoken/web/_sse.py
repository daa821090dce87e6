"""OpenAI's own event stream."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import msgspec

from firsttoken._json import as_array, as_object, parse_json
from firsttoken.types import ChatCompletionChunk
from firsttoken.web._encoder import DONE, ErrorText, StreamError, encode_event, encode_json, error_object, log_failure

if TYPE_CHECKING:
    from firsttoken import AsyncChatCompletionStream, ChatCompletionStream

_LINE_END = re.compile(rb"\r\n|\r|\n")


class SSEEncoder:
    """Writes chunks as they came, and the end as OpenAI does."""

    def __init__(self, error_text: ErrorText) -> None:
        self._error_text = error_text
        self._is_first = True

    def items(self, stream: "ChatCompletionStream") -> Iterator[ChatCompletionChunk]:
        """The chunks."""
        return stream

    def async_items(self, stream: "AsyncChatCompletionStream") -> AsyncIterator[ChatCompletionChunk]:
        """The chunks."""
        return stream

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def encode(self, item: ChatCompletionChunk) -> bytes:
        """The chunk's own bytes; a line break in them begins another line of data."""
        data = item.raw
        if self._is_first and item.choices and b'"delta"' not in data:
            data = _as_chunk(item)
        if b'"error"' in data:
            data = _without_errors(data)
        self._is_first = False
        if b"\n" in data or b"\r" in data:
            data = _LINE_END.sub(b"\ndata: ", data)
        return b"data: " + data + b"\n\n"

    def end(self, stream: "ChatCompletionStream | AsyncChatCompletionStream") -> bytes:
        """`[DONE]`, of a complete answer only."""
        return DONE if stream.state == "complete" else b""

    def fail(self, error: StreamError) -> bytes:
        """The error, and no `[DONE]`."""
        log_failure(error)
        return encode_event(error_object(error, self._error_text(error)))


def _as_chunk(item: ChatCompletionChunk) -> bytes:
    """A complete answer, which some servers send in place of a stream, as the chunk that readers of streams expect."""
    return msgspec.structs.replace(item, raw=b"", object="chat.completion.chunk").to_json()


def _without_errors(data: bytes) -> bytes:
    """A chunk without the error that came with its text: the error event comes after the chunk."""
    value = parse_json(data)
    return encode_json(value) if _drop_errors(value) else data


def _drop_errors(value: object) -> bool:
    """Drop what is called "error", anywhere; whether there was something."""
    fields = as_object(value)
    has_error = fields is not None and fields.pop("error", None) is not None
    inner = [_drop_errors(item) for item in (as_array(value) if fields is None else fields.values()) or ()]
    return has_error or any(inner)
