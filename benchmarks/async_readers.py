"""How asyncio clients open and read a stream, each kind by its name in `READERS`.

Opening ends when the head of the answer is there; reading looks at the text of every chunk, and at the clock where
chunks are due at moments. The two are apart so that each has its own figures.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import msgspec

from benchmarks.baseline import READ_BYTES, decode


class ReadStats(msgspec.Struct):
    """What was read of a stream.

    Attributes:
        chunks: their number.
        characters: of their text.
        latest_s: how long after its due time the latest chunk was yielded.
    """

    chunks: int = 0
    characters: int = 0
    latest_s: float = 0.0


Read = Callable[[], Awaitable[ReadStats]]
"""Reads an open stream to its end."""

Open = Callable[[str, float], Awaitable[Read]]
"""Opens a stream of a model, whose chunks are so many seconds apart: 0 if it is sent as fast as it goes."""


class _Delta(Protocol):
    @property
    def content(self) -> str | None: ...


class _Choice(Protocol):
    @property
    def delta(self) -> _Delta: ...


class _Chunk(Protocol):
    @property
    def choices(self) -> Sequence[_Choice]: ...


async def _read(stream: AsyncIterable[_Chunk], gap_s: float) -> ReadStats:
    """Read an open stream; the first chunk of a paced one says when it was due (see `concurrent_server`)."""
    chunks = characters = 0
    due_at = latest_s = 0.0
    async for chunk in stream:
        text = chunk.choices[0].delta.content or ""
        if gap_s:
            due_at = due_at + gap_s if chunks else float(text)
            latest_s = max(latest_s, time.monotonic() - due_at)
        chunks += 1
        characters += len(text)
    return ReadStats(chunks, characters, latest_s)


class _BareProtocol(asyncio.BufferedProtocol):
    """One request over one connection, in callbacks: no task, no future and no timer per read.

    All connections read into one buffer. A plain `Protocol` would have asyncio allocate 256 KiB for every read, which
    costs nothing in one process and two page faults a read in the next, as the heap happens to lie.
    """

    _buffer = bytearray(READ_BYTES)
    _view = memoryview(_buffer)

    def __init__(self, model: str, gap_s: float) -> None:
        loop = asyncio.get_running_loop()
        body = json.dumps({"model": model}).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.request = head + body
        self.gap_s = gap_s
        self.stats = ReadStats()
        self.due_at = 0.0
        self.buffer = b""
        self.opened: asyncio.Future[None] | None = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            self.transport = transport
            transport.write(self.request)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's signature
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._view[:nbytes])
        if self.opened is not None:
            self.opened.set_result(None)
            self.opened = None
        blocks = (self.buffer + data).split(b"\n\n")
        self.buffer = blocks.pop()
        stats, gap_s = self.stats, self.gap_s
        for block in blocks:
            payload = block.partition(b"data: ")[2]
            if payload == b"[DONE]":
                self.ended.set_result(None)
                return
            chunk = decode(payload)
            text = chunk.choices[0].delta.content or ""
            if gap_s:
                self.due_at = self.due_at + gap_s if stats.chunks else float(text)
                stats.latest_s = max(stats.latest_s, time.monotonic() - self.due_at)
            stats.chunks += 1
            stats.characters += len(text)

    def connection_lost(self, exc: Exception | None) -> None:
        for waiter in (self.opened, self.ended):
            if waiter is not None and not waiter.done():
                waiter.set_exception(exc or ConnectionError("the server closed the connection"))

    async def read(self) -> ReadStats:
        await self.ended
        if self.transport is not None:
            self.transport.abort()
        return self.stats


@asynccontextmanager
async def baseline(port: int) -> AsyncGenerator[Open]:
    """A bare protocol."""

    async def open_stream(model: str, gap_s: float) -> Read:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(lambda: _BareProtocol(model, gap_s), "127.0.0.1", port)
        if protocol.opened is not None:
            await protocol.opened
        return protocol.read

    yield open_stream


@asynccontextmanager
async def firsttoken(port: int) -> AsyncGenerator[Open]:
    """The stream as an async iterator, and the completion that it makes."""
    from firsttoken import AsyncClient, chat_completion_request

    async with AsyncClient(base_url=f"http://127.0.0.1:{port}/v1") as client:

        async def open_stream(model: str, gap_s: float) -> Read:
            stream = await client.chat_completion_stream(chat_completion_request(model, "Why is the sky blue?"))

            async def read() -> ReadStats:
                stats = await _read(stream, gap_s)
                if len(stream.completion.choices[0].message.content or "") != stats.characters:
                    raise RuntimeError("the completion has not the text of its chunks")
                return stats

            return read

        yield open_stream


@asynccontextmanager
async def openai(port: int, *, over_aiohttp: bool = False, is_guarded: bool = False) -> AsyncGenerator[Open]:
    """The official client's stream."""
    from openai import AsyncOpenAI, DefaultAioHttpClient, DefaultAsyncHttpx2Client

    http_client = DefaultAioHttpClient() if over_aiohttp else None
    if is_guarded:
        from firsttoken.guard import AsyncGuardTransport

        http_client = DefaultAsyncHttpx2Client(transport=AsyncGuardTransport())
    async with AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", http_client=http_client) as client:

        async def open_stream(model: str, gap_s: float) -> Read:
            stream = await client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "Why is the sky blue?"}], stream=True
            )
            return lambda: _read(stream, gap_s)

        yield open_stream


def openai_aiohttp(port: int) -> AbstractAsyncContextManager[Open]:
    """The official client with its aiohttp transport."""
    return openai(port, over_aiohttp=True)


def openai_guarded(port: int) -> AbstractAsyncContextManager[Open]:
    """The official client over the guard."""
    return openai(port, is_guarded=True)


READERS: dict[str, Callable[[int], AbstractAsyncContextManager[Open]]] = {
    "baseline": baseline,
    "firsttoken": firsttoken,
    "openai": openai,
    "openai+aiohttp": openai_aiohttp,
    "openai+guard": openai_guarded,
}
"""By kind, from the server's port."""
