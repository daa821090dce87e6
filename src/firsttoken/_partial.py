"""What both iterators over a growing value share; loaded only by `iter_partial`."""

from collections import deque
from typing import Generic, Protocol, TypeVar

from firsttoken._base import StreamState
from firsttoken._core.partial_json import PartialJSON
from firsttoken._types.chunk import ChatCompletionChunk
from firsttoken._types.completion import ChatCompletion
from firsttoken.errors import ChatCompletionError, ResponseFormatError


class StreamLike(Protocol):
    """What the value of a stream is made of."""

    _ready: deque[ChatCompletionChunk]

    @property
    def state(self) -> StreamState:
        """Where the stream is."""
        ...

    @property
    def completion(self) -> ChatCompletion:
        """The chunks handed out, folded."""
        ...

    def _chunks_handed_out(self) -> int: ...

    def _fill_in(self, error: ChatCompletionError) -> None: ...


_Stream = TypeVar("_Stream", bound=StreamLike)


class PartialBase(Generic[_Stream]):
    """The values of choice 0's content while it is written; each differs from the one before."""

    __slots__ = ("_has_failed", "_json", "_seen", "_stream")

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._json = PartialJSON()
        self._seen = 0  # chunks that are in `_json`
        self._has_failed = False  # and the failure is to be raised behind the value that was given instead

    def _catch_up(self) -> None:
        """Start anew with the whole text where chunks were taken from the stream in another way."""
        handed_out = self._stream._chunks_handed_out()
        if handed_out != self._seen:
            self._json = PartialJSON()
            self._json.add(self._stream.completion.text)
            self._seen = handed_out

    def _take(self, chunk: ChatCompletionChunk) -> bool:
        """Take a chunk and those that are ready behind it: the work of a read, done at once.

        Returns:
            Whether there is another value.
        """
        texts = [chunk.text]
        ready = self._stream._ready
        while ready:
            try:
                texts.append(ready.popleft().text)
            except IndexError:
                break  # another thread has closed the stream this moment
        self._json.add("".join(texts))
        self._seen = self._stream._chunks_handed_out()
        return self._json.is_due and self._update()

    def _update(self, *, is_whole: bool = False) -> bool:
        try:
            return self._json.update(is_whole=is_whole)
        except ResponseFormatError as error:
            self._stream._fill_in(error)
            raise
