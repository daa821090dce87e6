"""The stream that a caller gets: an async iterator over chunks, an async context manager, and awaitable."""

from collections import deque
from collections.abc import AsyncIterator, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from firsttoken._async.driver import Call
from firsttoken._async.pool import ConnectionPool
from firsttoken._client.call import concurrency_error
from firsttoken._client.prepared import PreparedRequest
from firsttoken._client.stream import PartialBase, StreamBase, check_no_gap
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken.errors import ChatCompletionError

if TYPE_CHECKING:
    from firsttoken._protocol.events import EventBuilder
    from firsttoken.events import StreamEvent


class AsyncChatCompletionStream(StreamBase[Call]):
    """A streamed completion: iterate over it for its chunks, with `async for`.

    Nothing is sent before the first `anext()`, `async with` or `await` (which opens it and gives itself). Leaving the
    `async with`, `aclose()`, cancelling the task that waits in it, and dropping the last reference all close the
    connection at once; a stream that was read to its end releases it for the next request.

    Iterating raises any error of `firsttoken.errors`, after the chunks that came before it; its `partial` holds them.
    """

    def __init__(self, pool: ConnectionPool, request: PreparedRequest) -> None:
        super().__init__()
        self._pool = pool
        self._request = request
        self._pending: deque[ChatCompletionChunk] = deque()
        self._is_waiting = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChatCompletionChunk:
        if self._pending:
            return self._pending.popleft()
        return await self._wait_for_chunk()

    def __await__(self) -> Generator[object, None, Self]:
        """Open the stream, as `async with` does, and return it."""
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Self:
        """Send the request and wait for the head of the response.

        Raises:
            ChatCompletionError: the server sent an error response, or no response came.
        """
        if self.state == "idle":
            await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if self._call is not None and not self._call.is_closed:
            self._call.close_threadsafe()

    def iter_text(self) -> AsyncIterator[str]:
        """Iterate over the non-empty text of choice 0."""
        return _TextIterator(self)

    def iter_events(self) -> "AsyncIterator[StreamEvent]":
        """Iterate over the events of `firsttoken.events`, of all choices.

        A second call continues where the first stopped.

        Raises:
            ConfigurationError: while iterating: a chunk was taken from the stream in another way, so its event is
                missing.
        """
        return _EventIterator(self, self._events())

    def iter_partial(self) -> AsyncIterator[object]:
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

    async def final_completion(self) -> ChatCompletion:
        """Consume the stream and return the final completion.

        Raises:
            ChatCompletionError: the answer is not complete: the stream failed, now or before, or was stopped. Its
                `partial` holds what was yielded.
        """
        if self.state in ("idle", "open"):
            async for _ in self:
                pass
        if self.state != "complete":
            raise self._incomplete_error()
        return self.completion

    async def aclose(self) -> None:
        """End the stream; an answer that is not complete is "stopped".

        May be called from any task and any number of times. A task that waits in this stream, at any point from the
        connecting on, is woken, and its loop ends normally.
        """
        self._is_closed = True
        self._pending = deque()
        if self._call is not None:
            self._call.close()

    async def _open(self) -> None:
        call = self._begin()
        try:
            await call.wait(until_open=True)
        finally:
            self._is_waiting = False
            if call.machine.outcome is not None:
                self._pending = call.machine.pending

    async def _wait_for_chunk(self) -> ChatCompletionChunk:
        if self.state not in ("idle", "open"):
            raise StopAsyncIteration
        call = self._begin()
        try:
            is_pending = await call.wait()
        finally:
            self._is_waiting = False
            self._pending = call.machine.pending  # also if the task was cancelled: for who continues to read
        if not is_pending:
            raise StopAsyncIteration
        return self._pending.popleft()

    def _begin(self) -> Call:
        """The call, in which one task at a time may wait."""
        if self._is_waiting:
            raise concurrency_error()
        if self._call is None:
            self._call = Call(self._pool, self._request)
        self._is_waiting = True
        return self._call


class _TextIterator:
    """The non-empty text of choice 0, chunk by chunk."""

    __slots__ = ("_stream",)

    def __init__(self, stream: AsyncChatCompletionStream) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        while True:
            text = (await anext(self._stream)).text
            if text:
                return text


class _EventIterator:
    """The events of a stream. A class, not a generator: dropping it drops the stream at once."""

    __slots__ = ("_builder", "_stream")

    def __init__(self, stream: AsyncChatCompletionStream, builder: "EventBuilder") -> None:
        self._stream = stream
        self._builder = builder

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> "StreamEvent":
        builder, stream = self._builder, self._stream
        while not builder.ready:
            check_no_gap(builder.chunks, stream._chunks_yielded())
            try:
                chunk = await anext(stream)
            except StopAsyncIteration:
                if builder.finished or stream.state != "complete":
                    raise
                builder.finish(stream.completion)
            else:
                builder.add(chunk)
        return builder.ready.popleft()


AsyncChatCompletionStream.__module__ = "firsttoken"  # the public module, for reprs, tracebacks and pickles


class PartialIterator(PartialBase[AsyncChatCompletionStream]):
    """The values of choice 0's content. A class, not a generator: dropping it drops the stream at once."""

    __slots__ = ()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> object:
        stream = self._stream
        if self._failed:
            self._failed = False
            raise stream._incomplete_error()
        while True:
            self._resync()
            try:
                chunk = await anext(stream)
            except StopAsyncIteration:
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
