"""OpenAI's own event stream, and what both formats share: how an event is written, and what is shown of an error."""

import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from firsttoken._json import as_array, as_object, parse_json
from firsttoken.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ChatCompletionError,
    ConfigurationError,
    RateLimitError,
    RefusalError,
    ResponseFormatError,
    StreamTruncatedError,
)
from firsttoken.types import ChatCompletionChunk

if TYPE_CHECKING:
    from firsttoken import AsyncChatCompletionStream, ChatCompletionStream


logger = logging.getLogger("firsttoken.web")

DONE = b"data: [DONE]\n\n"

StreamError = ChatCompletionError | ConfigurationError
ErrorText = Callable[[StreamError], str]
"""Gives the message that a client is shown for an error. `str` shows all that firsttoken knows."""

_Item = TypeVar("_Item")


class Encoder(Protocol[_Item]):
    """Writes a stream down in one of the formats; knows nothing of waiting."""

    def items(self, stream: "ChatCompletionStream") -> Iterator[_Item]:
        """What the stream is to be read by."""
        ...

    def async_items(self, stream: "AsyncChatCompletionStream") -> AsyncIterator[_Item]:
        """What the stream is to be read by."""
        ...

    def begin(self) -> bytes:
        """What comes before the first item."""
        ...

    def encode(self, item: _Item) -> bytes:
        """One item."""
        ...

    def end(self, stream: "ChatCompletionStream | AsyncChatCompletionStream") -> bytes:
        """What comes after the last item of a stream that did not fail."""
        ...

    def fail(self, error: StreamError) -> bytes:
        """What comes after the last item of a stream that failed."""
        ...


def encode_json(value: object) -> bytes:
    """Write JSON; lone surrogates, which UTF-8 can't encode, are escaped."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value).encode()


def encode_event(value: object) -> bytes:
    """Write a server-sent event whose data is JSON."""
    return b"data: " + encode_json(value) + b"\n\n"


def error_object(error: StreamError, text: str) -> Mapping[str, object]:
    """An error as OpenAI's API writes it; its type is the class of the exception, as in `rate_limit_error`."""
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(error).__name__).lower()
    return {"error": {"message": text, "type": kind, "param": None, "code": None}}


def log_failure(error: StreamError) -> None:
    """Log what the browser is not told."""
    logger.warning("the relayed stream failed: %s: %s", type(error).__name__, error)


def public_error_text(error: StreamError) -> str:
    """What may be shown to anybody: what went wrong, without the server's words, addresses or names."""
    return next(text for kind, text in _PUBLIC_TEXTS if isinstance(error, kind))


_PUBLIC_TEXTS: tuple[tuple[type[Exception], str], ...] = (
    (RefusalError, "The model refused to answer."),
    (StreamTruncatedError, "The answer broke off before it was complete."),
    (APITimeoutError, "The model took too long to answer."),
    (RateLimitError, "The model is busy. Try again later."),
    (APIStatusError, "The model's server reported an error."),
    (APIConnectionError, "The connection to the model failed."),
    (ResponseFormatError, "The model's server sent an answer that can't be read."),
    (Exception, "The answer failed."),
)


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
