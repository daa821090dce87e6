"""Reading a stream in one place and sending it in another: bounded buffers, keep-alives, and the end of both.

A reader (a task, or a thread for the sync streams) encodes what comes and puts it into a buffer; a generator takes all
that is there, or a keep-alive where nothing comes. A client that reads slowly stops the reader, and so the server: at
most `MAX_BUFFER_BYTES` and one more part wait in the buffer.
"""

import asyncio
import contextvars
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from typing import TYPE_CHECKING, TypeVar, cast

from firsttoken.errors import ChatCompletionError, ConfigurationError
from firsttoken.web._encoder import Encoder

if TYPE_CHECKING:
    from firsttoken import AsyncChatCompletionStream, ChatCompletionStream

KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, which readers of events skip."""

MAX_BUFFER_BYTES = 64 * 1024

_Item = TypeVar("_Item")


def relay(stream: "ChatCompletionStream", encoder: Encoder[_Item], keepalive_s: float | None) -> Generator[bytes]:
    """The bytes of a sync stream, and keep-alives; read in a thread."""
    buffer = _ThreadBuffer(_encoded(stream, encoder), stop=stream.close)
    try:
        while (data := buffer.take(keepalive_s)) is not None:
            yield data or KEEP_ALIVE
    finally:
        buffer.close()


def async_relay(
    stream: "AsyncChatCompletionStream", encoder: Encoder[_Item], keepalive_s: float | None
) -> AsyncGenerator[bytes]:
    """The bytes of an async stream, and keep-alives; read in a task."""
    return relay_parts(_async_encoded(stream, encoder), keepalive_s, stop=stream.aclose)


async def threaded_relay(
    stream: "ChatCompletionStream", encoder: Encoder[_Item], keepalive_s: float | None
) -> AsyncGenerator[bytes]:
    """The bytes of a sync stream, and keep-alives, for asyncio; read in a thread."""
    loop, changed = asyncio.get_running_loop(), asyncio.Event()
    buffer = _ThreadBuffer(
        _encoded(stream, encoder), stop=stream.close, on_change=lambda: loop.call_soon_threadsafe(changed.set)
    )
    try:
        while True:
            changed.clear()  # before the look, so that what comes after it is not missed
            data = buffer.take(0)
            if data is None:
                return
            if data or not await _is_set(changed, keepalive_s):
                yield data or KEEP_ALIVE
    finally:
        buffer.close()


async def relay_parts(
    parts: AsyncIterator[bytes], keepalive_s: float | None, *, stop: Callable[[], Awaitable[None]]
) -> AsyncGenerator[bytes]:
    """The bytes of an async iterator, and keep-alives; read in a task.

    Args:
        parts: what to read.
        keepalive_s: after how many seconds of silence a keep-alive is given.
        stop: ends what is read; called at the end, whatever it is.
    """
    buffer = _TaskBuffer(parts)
    try:
        while (data := await buffer.take(keepalive_s)) is not None:
            yield data or KEEP_ALIVE
    finally:
        await buffer.aclose()
        await stop()


def relay_any(
    source: "ChatCompletionStream | AsyncChatCompletionStream | AsyncIterator[bytes]",
    encoder: Encoder[_Item],
    keepalive_s: float | None,
) -> AsyncGenerator[bytes]:
    """The bytes of a stream of either client, or of an async iterator of bytes, and keep-alives; for asyncio."""
    if not isinstance(source, AsyncIterator):
        return threaded_relay(source, encoder, keepalive_s)
    if hasattr(source, "iter_events"):
        return async_relay(cast("AsyncChatCompletionStream", source), encoder, keepalive_s)
    parts: AsyncIterator[bytes] = source  # pyright: ignore[reportAssignmentType]
    return relay_parts(parts, keepalive_s, stop=getattr(parts, "aclose", _nothing))


async def _nothing() -> None:
    pass


def _encoded(stream: "ChatCompletionStream", encoder: Encoder[_Item]) -> Generator[bytes]:
    try:
        yield encoder.begin()
        for item in encoder.items(stream):
            yield encoder.encode(item)
        yield encoder.end(stream)
    except (ChatCompletionError, ConfigurationError) as error:
        yield encoder.fail(error)


async def _async_encoded(stream: "AsyncChatCompletionStream", encoder: Encoder[_Item]) -> AsyncGenerator[bytes]:
    try:
        yield encoder.begin()
        async for item in encoder.async_items(stream):
            yield encoder.encode(item)
        yield encoder.end(stream)
    except (ChatCompletionError, ConfigurationError) as error:
        yield encoder.fail(error)


async def _is_set(event: asyncio.Event, timeout_s: float | None) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True


class _Buffer:
    """Bytes that were read and not taken yet, and how the reading ended."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._has_ended = False
        self._failure: BaseException | None = None

    def _add(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)

    @property
    def _is_ready(self) -> bool:
        return self._size > 0 or self._has_ended

    @property
    def _is_full(self) -> bool:
        return self._size >= MAX_BUFFER_BYTES

    def _drain(self) -> bytes | None:
        """All that is there; b"" where nothing is yet, None where nothing more comes. Raises what the reader raised."""
        data = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        if data or not self._has_ended:
            return data
        if self._failure is not None:
            raise self._failure
        return None


class _TaskBuffer(_Buffer):
    """Filled by a task of its own."""

    def __init__(self, parts: AsyncIterator[bytes]) -> None:
        super().__init__()
        self._changed = asyncio.Event()
        self._drained = asyncio.Event()
        self._task = asyncio.create_task(self._read(parts))

    async def take(self, timeout_s: float | None) -> bytes | None:
        """What has come; b"" if nothing has within `timeout_s`, None at the end."""
        if not self._is_ready:
            self._changed.clear()
            await _is_set(self._changed, timeout_s)
        data = self._drain()
        self._drained.set()
        return data

    async def aclose(self) -> None:
        """Stop the task, and wait until it has ended."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _read(self, parts: AsyncIterator[bytes]) -> None:
        try:
            async for data in parts:
                if not data:
                    continue
                self._add(data)
                self._changed.set()
                if self._is_full:
                    self._drained.clear()
                    await self._drained.wait()
        except Exception as failure:  # noqa: BLE001 - it is raised where the bytes are taken
            self._failure = failure
        finally:
            self._has_ended = True
            self._changed.set()


class _ThreadBuffer(_Buffer):
    """Filled by a thread of its own, which ends soon after `close`.

    Args:
        parts: what the thread reads.
        stop: wakes the thread where it waits for `parts`.
        on_change: called when there is something to take again, from the thread.
    """

    def __init__(
        self, parts: Generator[bytes], *, stop: Callable[[], None], on_change: Callable[[], object] | None = None
    ) -> None:
        super().__init__()
        self._changed = threading.Condition()
        self._is_closed = False
        self._stop = stop
        self._on_change = on_change
        reading = (contextvars.copy_context().run, (self._read, parts))
        threading.Thread(target=reading[0], args=reading[1], name="firsttoken.web", daemon=True).start()

    def take(self, timeout_s: float | None) -> bytes | None:
        """What has come; b"" if nothing has within `timeout_s`, None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_ready, timeout_s)
            data = self._drain()
            self._changed.notify_all()
            return data

    def close(self) -> None:
        """Stop the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._stop()

    def _read(self, parts: Generator[bytes]) -> None:
        failure: BaseException | None = None
        try:
            for data in parts:
                if data and not self._put(data):
                    break
        except BaseException as error:  # noqa: BLE001 - it is raised where the bytes are taken
            failure = error
        with self._changed:
            self._has_ended, self._failure = True, failure
            self._notify()

    def _put(self, data: bytes) -> bool:
        """Add a part, and wait while the buffer is full; whether to go on."""
        with self._changed:
            self._add(data)
            if self._size == len(data):
                self._notify()
            self._changed.wait_for(lambda: self._is_closed or not self._is_full)
            return not self._is_closed

    def _notify(self) -> None:
        self._changed.notify_all()
        if self._on_change is not None and not self._is_closed:  # the loop may be gone by then
            self._on_change()
