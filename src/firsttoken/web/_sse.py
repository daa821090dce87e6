"""OpenAI's own event stream."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from firsttoken.types import ChatCompletionChunk
from firsttoken.web._encoder import DONE, ErrorText, StreamError, encode_event, error_object, log_failure

if TYPE_CHECKING:
    from firsttoken import AsyncChatCompletionStream, ChatCompletionStream

_LINE_END = re.compile(rb"\r\n|\r|\n")


class SSEEncoder:
    """Writes chunks as they came, and the end as OpenAI does."""

    def __init__(self, error_text: ErrorText) -> None:
        self._error_text = error_text

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
