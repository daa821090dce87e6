"""What both formats share: how an event is written, and what the browser sees of an error."""

import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

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
