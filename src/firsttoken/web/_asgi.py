"""An ASGI application that answers with bytes as they come, and stops when the client leaves."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import aclosing

Message = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class RelayResponse:
    """An ASGI application that answers one request, and stops what it relays when the client leaves.

    Where Starlette is loaded it is a Starlette response too, with `headers`, `set_cookie()` and `background`.
    """

    def __init__(self, parts: AsyncGenerator[bytes], headers: Mapping[str, str]) -> None:
        self._parts = parts
        self.status_code = 200
        self.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
        ]
        self.background: Callable[[], Awaitable[None]] | None = None

    @classmethod
    def make(cls, parts: AsyncGenerator[bytes], headers: Mapping[str, str]) -> "RelayResponse":
        """Make one, of a class that the frameworks that are loaded take."""
        return _class_for_frameworks(cls)(parts, headers)

    async def __call__(self, scope: Mapping[str, object], receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        """Answer a request."""
        sending = asyncio.create_task(self._send(send))
        watching = asyncio.create_task(_wait_for_disconnect(receive))
        try:
            await asyncio.wait((sending, watching), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            watching.cancel()
            await asyncio.wait((sending, watching))
        for task in (sending, watching):
            if not task.cancelled():
                task.result()
        if self.background is not None:
            await self.background()

    async def _send(self, send: Send) -> None:
        start: Message = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        async with aclosing(self._parts) as parts:
            is_there = await _try_send(send, start)
            async for data in parts:
                if not is_there:
                    return
                is_there = await _try_send(send, {"type": "http.response.body", "body": data, "more_body": True})
            await _try_send(send, {"type": "http.response.body", "body": b"", "more_body": False})


async def _try_send(send: Send, message: Message) -> bool:
    """Send a message; whether the client was there to take it: since ASGI 2.4 a server may raise where it is not."""
    try:
        await send(message)
    except OSError:
        return False
    return True


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


_starlette_classes: dict[type, type[RelayResponse]] = {}


def _class_for_frameworks(cls: type[RelayResponse]) -> type[RelayResponse]:
    """FastAPI takes instances of Starlette's `Response` for responses; anything else it would write as JSON."""
    starlette = sys.modules.get("starlette.responses")
    if starlette is None:
        return cls
    if cls not in _starlette_classes:
        names = {"__module__": cls.__module__, "__doc__": cls.__doc__}
        _starlette_classes[cls] = type(cls.__name__, (cls, starlette.Response), names)
    return _starlette_classes[cls]
