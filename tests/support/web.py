"""Relays of scripted streams: what they give to a browser, and an ASGI server that a test plays itself."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Literal

from firsttoken import AsyncClient, Client, chat_completion_request
from firsttoken.testing import ScriptedServer
from firsttoken.types import ChatCompletionRequest

Kind = Literal["sync", "async"]
KINDS: tuple[Kind, ...] = ("sync", "async")
WAIT_S = 10.0
REQUEST = chat_completion_request("test-model", "Why is the sky blue?")
Relay = Callable[..., Any]


def client(server: ScriptedServer, **options: Any) -> Client:
    return Client(base_url=server.base_url, api_key=server.api_key, proxy="", max_retries=0, **options)


def async_client(server: ScriptedServer, **options: Any) -> AsyncClient:
    return AsyncClient(base_url=server.base_url, api_key=server.api_key, proxy="", max_retries=0, **options)


def relayed(kind: Kind, relay: Relay, *script: Any, request: ChatCompletionRequest = REQUEST, **options: Any) -> bytes:
    """All that a relay of one answer gives."""
    with ScriptedServer(*script) as server:
        if kind == "sync":
            with client(server) as asking:
                return b"".join(relay(asking.chat_completion_stream(request), **options))

        async def collect() -> bytes:
            async with async_client(server) as asking:
                return b"".join([part async for part in relay(asking.chat_completion_stream(request), **options)])

        return asyncio.run(collect())


def events_of(body: bytes) -> list[Any]:
    """The events of a body: JSON decoded, `[DONE]` as it is."""
    blocks = [block for block in body.decode().split("\n\n") if block and not block.startswith(":")]
    assert all(block.startswith("data: ") for block in blocks), blocks
    texts = [block.replace("\ndata: ", "\n").removeprefix("data: ") for block in blocks]
    return [text if text == "[DONE]" else json.loads(text) for text in texts]


class Browser:
    """An ASGI server with one request, whose client reads and leaves as the test says."""

    def __init__(self) -> None:
        self.messages: list[MutableMapping[str, Any]] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self._incoming: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._incoming.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        self._changed = asyncio.Condition()

    async def receive(self) -> MutableMapping[str, Any]:
        return await self._incoming.get()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        async with self._changed:
            self.messages.append(message)
            self._changed.notify_all()
        await self.reads.wait()

    def leave(self) -> None:
        self._incoming.put_nowait({"type": "http.disconnect"})

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def has_all(self) -> bool:
        return bool(self.messages) and self.messages[-1].get("more_body") is False

    async def wait_for(self, text: bytes) -> None:
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(lambda: text in self.body)

    async def load(self, application: Any) -> None:
        async with asyncio.timeout(WAIT_S):
            await application({"type": "http"}, self.receive, self.send)


async def parts_of(relay: AsyncIterator[bytes], count: int) -> list[bytes]:
    """The first parts of a relay."""
    parts: list[bytes] = []
    with suppress(StopAsyncIteration):
        while len(parts) < count:
            parts.append(await anext(relay))
    return parts
