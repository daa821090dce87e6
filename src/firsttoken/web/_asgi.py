"""ASGI applications that answer with bytes as they come, or with a complete answer, and stop when the client leaves."""

import asyncio
import math
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import aclosing
from typing import TYPE_CHECKING

from firsttoken.errors import APITimeoutError, ChatCompletionError, ConfigurationError, RateLimitError
from firsttoken.web._encoder import ErrorText, StreamError, encode_json, error_object, log_failure, public_error_text

if TYPE_CHECKING:
    from firsttoken import AsyncChatCompletionStream, ChatCompletionStream
    from firsttoken.types import ChatCompletion

Message = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class RelayResponse:
    """An ASGI application that answers one request, and stops what it relays when the client leaves.

    Where Starlette is loaded it is a Starlette response too, with `headers`, `set_cookie()` and `background`.
    """

    def __init__(self, respond: "Callable[[RelayResponse, Send], Awaitable[None]]", headers: Mapping[str, str]) -> None:
        self._respond = respond
        self.status_code = 200
        self.raw_headers = encode_headers(headers)
        self.background: Callable[[], Awaitable[None]] | None = None

    async def __call__(self, scope: Mapping[str, object], receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        """Answer a request."""
        sending = asyncio.ensure_future(self._respond(self, send))
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


def relay_response(parts: AsyncGenerator[bytes], headers: Mapping[str, str]) -> RelayResponse:
    """Make one that sends bytes as they come."""

    async def respond(response: RelayResponse, send: Send) -> None:
        async with aclosing(parts):
            is_there = await _start(response, send)
            async for data in parts:
                if not is_there:
                    return
                is_there = await _try_send(send, {"type": "http.response.body", "body": data, "more_body": True})
            await _try_send(send, {"type": "http.response.body", "body": b"", "more_body": False})

    return _class_for_frameworks()(respond, headers)


def completion_response(
    source: "Awaitable[ChatCompletion] | ChatCompletionStream | AsyncChatCompletionStream",
    *,
    error_text: ErrorText = public_error_text,
    headers: Mapping[str, str] | None = None,
) -> RelayResponse:
    """Make an ASGI application that answers with the complete answer, as JSON, unless the client leaves before.

    The blocking call for browsers: when the client leaves, its request to the model is dropped.

    A failure is answered with `{"error": {…}}` and status 429 (with `retry-after`, where the server sent one), 504 for
    a deadline, else 502.

    Args:
        source: `async_client.chat_completion(…)`, not awaited; or a stream, which is the way to a blocking call of
            `Client` that can be stopped.
        error_text: gives the message that the client is shown for an error.
        headers: further headers of the response.
    """

    async def respond(response: RelayResponse, send: Send) -> None:
        try:
            body = (await _completion(source)).to_json()
        except (ChatCompletionError, ConfigurationError) as error:
            log_failure(error)
            response.status_code, more_headers = _status_of(error)
            response.raw_headers += encode_headers(more_headers)
            body = encode_json(error_object(error, error_text(error)))
        response.raw_headers += encode_headers({"content-length": str(len(body))})
        await _start(response, send)
        await _try_send(send, {"type": "http.response.body", "body": body, "more_body": False})

    return _class_for_frameworks()(respond, {"content-type": "application/json", **(headers or {})})


async def _completion(
    source: "Awaitable[ChatCompletion] | ChatCompletionStream | AsyncChatCompletionStream",
) -> "ChatCompletion":
    """The complete answer; cancelling drops the request."""
    if isinstance(source, AsyncIterator):
        async with source as stream:
            return await stream.final_completion()
    if isinstance(source, Awaitable):
        return await source
    try:
        return await asyncio.to_thread(source.final_completion)
    finally:
        source.close()  # wakes the thread


def _status_of(error: StreamError) -> tuple[int, Mapping[str, str]]:
    """The status, and headers, of a response without an answer. The client's request was not wrong: 429 or a 5xx."""
    if isinstance(error, RateLimitError):
        wait_s = error.retry_after_s
        return 429, {} if wait_s is None else {"retry-after": str(math.ceil(wait_s))}
    return (504 if isinstance(error, APITimeoutError) else 502), {}


def encode_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


async def _start(response: RelayResponse, send: Send) -> bool:
    message: Message = {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
    return await _try_send(send, message)


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


_starlette_classes: list[type[RelayResponse]] = []


def _class_for_frameworks() -> type[RelayResponse]:
    """FastAPI takes instances of Starlette's `Response` for responses; anything else it would write as JSON."""
    starlette = sys.modules.get("starlette.responses")
    if starlette is None:
        return RelayResponse
    if not _starlette_classes:
        names = {"__module__": RelayResponse.__module__, "__doc__": RelayResponse.__doc__}
        _starlette_classes.append(type("RelayResponse", (RelayResponse, starlette.Response), names))
    return _starlette_classes[0]
