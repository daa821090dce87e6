"""The stream that a caller gets: an iterator over chunks, and a context manager."""

from collections import deque
from collections.abc import Iterator
from operator import attrgetter
from types import TracebackType
from typing import TYPE_CHECKING, Self

from firsttoken._client.prepared import PreparedRequest
from firsttoken._client.stream import PartialBase, StreamBase, check_no_gap
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._sync.driver import Call
from firsttoken._sync.pool import ConnectionPool
from firsttoken.errors import ChatCompletionError

if TYPE_CHECKING:
    from firsttoken._protocol.events import EventBuilder
    from firsttoken.events import StreamEvent

_text_of = attrgetter("text")


class ChatCompletionStream(StreamBase[Call]):
    """A streamed completion: iterate over it for its chunks.

    Nothing is sent before the first `next()` or `with`. Leaving the `with`, `close()`, and dropping the last
    reference (a `break` out of a bare `for` does) all close the connection at once; a stream that was read to its end
    releases it for the next request.

    Iterating raises any error of `firsttoken.errors`, after the chunks that came before it; its `partial` holds them.
    """

    def __init__(self, pool: ConnectionPool, request: PreparedRequest) -> None:
        self._pool = pool
        self._request = request
        self._pending: deque[ChatCompletionChunk] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ChatCompletionChunk:
        if self._pending:
            try:
                return self._pending.popleft()
            except IndexError:
                pass  # another thread has just closed the stream
        return self._wait_for_chunk()

    def __enter__(self) -> Self:
        """Send the request and wait for the head of the response.

        Raises:
            ChatCompletionError: the server sent an error response, or no response came.
        """
        if self.state == "idle":
            self._begin().wait(until_open=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def iter_text(self) -> Iterator[str]:
        """Iterate over the non-empty text of choice 0.

        A character that the server split into two surrogates is yielded with the second one.
        """
        return filter(None, map(_text_of, self))

    def iter_events(self) -> "Iterator[StreamEvent]":
        """Iterate over the events of `firsttoken.events`, of all choices.

        A second call continues where the first stopped.

        Raises:
            ConfigurationError: while iterating: a chunk was taken from the stream in another way, so its event is
                missing.
        """
        return _EventIterator(self, self._events())

    def iter_partial(self) -> Iterator[object]:
        """Iterate over the growing value of choice 0's content, which must be JSON, as plain Python objects.

        A value is yielded when it differs from the one before. Text at its end may be cut, and fields may be missing; a
        number at its end is left out until it is complete. It is not validated: `completion.parse()` does that, once
        the stream has ended. A stream that fails raises after the last value; one that is stopped just ends.

        The chunks of one read are taken together and parsed once. Chunks taken from the stream in another way, before
        or in between, are in the value too. Each parse begins at the start of the text: at each read up to 16 KiB,
        then whenever a 64th more has come, so that the work stays linear.

        Raises:
            ConfigurationError: at once: jiter is not installed (extra `structured`).
            ResponseFormatError: while iterating: the content is not JSON; text after the JSON is only noticed at
                the end of the stream. The stream itself does not fail.
        """
        return PartialIterator(self)

    def final_completion(self) -> ChatCompletion:
        """Consume the stream and return the final completion.

        Raises:
            ChatCompletionError: the answer is not complete: the stream failed, now or before, or was stopped. Its
                `partial` holds what was yielded.
        """
        if self.state in ("idle", "open"):
            deque(self, maxlen=0)
        if self.state != "complete":
            raise self._incomplete_error()
        return self.completion

    def close(self) -> None:
        """End the stream; an answer that is not complete is "stopped".

        May be called from any thread and signal handler, any number of times. A thread that waits in this stream,
        connecting or reading, is woken, and its loop ends normally.
        """
        self._is_closed = True
        if self._call is not None:
            self._call.close()

    def _wait_for_chunk(self) -> ChatCompletionChunk:
        call = self._call
        if call is None and not self._is_closed:
            call = self._begin()
        if call is None or call.machine.outcome is not None:
            raise StopIteration
        is_pending = call.wait()
        self._pending = call.machine.pending
        if not is_pending:
            raise StopIteration
        return next(self)

    def _begin(self) -> Call:
        call = self._call = Call(self._pool, self._request)
        if self._is_closed:  # another thread has just closed the stream, and found no call to close
            call.close()
        return call


class _EventIterator:
    """The events of a stream. A class, not a generator: dropping it drops the stream at once."""

    __slots__ = ("_builder", "_stream")

    def __init__(self, stream: ChatCompletionStream, builder: "EventBuilder") -> None:
        self._stream = stream
        self._builder = builder

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> "StreamEvent":
        builder, stream = self._builder, self._stream
        while not builder.ready:
            check_no_gap(builder.chunks, stream._chunks_yielded())
            try:
                chunk = next(stream)
            except StopIteration:
                if builder.finished or stream.state != "complete":
                    raise
                builder.finish(stream.completion)
            else:
                builder.add(chunk)
        return builder.ready.popleft()


ChatCompletionStream.__module__ = "firsttoken"  # the public module, for reprs, tracebacks and pickles


class PartialIterator(PartialBase[ChatCompletionStream]):
    """The values of choice 0's content. A class, not a generator: dropping it drops the stream at once."""

    __slots__ = ()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> object:
        stream = self._stream
        if self._failed:
            self._failed = False
            raise stream._incomplete_error()
        while True:
            self._resync()
            try:
                chunk = next(stream)
            except StopIteration:
                if self._update(is_complete=stream.state == "complete"):
                    return self._json.value
                raise
            except ChatCompletionError:
                self._failed = self._update()
                if self._failed:
                    return self._json.value
                raise
            if self._feed(chunk):
                return self._json.value
