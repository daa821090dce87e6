"""The ways to ask: sync and async, iterator and callback, and the blocking call; and what is seen of each."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from firsttoken import (
    AsyncClient,
    ChatCompletion,
    ChatCompletionChunk,
    Client,
    Timeout,
    chat_completion_request,
)
from firsttoken.errors import ChatCompletionError, ResponseFormatError
from firsttoken.testing import Fault, ScriptedServer
from tests.faults.expected import DEADLINE_S, Expected

REQUEST = chat_completion_request("test-model", "Why is the sky blue?")

LONG = Timeout(connect_s=10, first_chunk_s=10, idle_s=10)
"""For what ends by itself: none of these is ever to pass."""


@dataclass
class Outcome:
    """What a caller saw of an answer.

    Attributes:
        chunks: those that were handed out.
        failure: what was raised, if anything.
        whole: the completion that was given at the end.
        state: the stream's, where there was one to ask.
        took_s: how long it took, in seconds.
        has_left: whether the connection was gone at the end, though the client was not closed yet.
    """

    chunks: list[ChatCompletionChunk] = field(default_factory=list[ChatCompletionChunk])
    failure: ChatCompletionError | None = None
    whole: ChatCompletion | None = None
    state: str | None = None
    elapsed_s: float = 0.0
    has_left: bool = False

    @property
    def text(self) -> str:
        """The text that was handed out."""
        return "".join(chunk.text for chunk in self.chunks)


Driver = Callable[[ScriptedServer, Timeout, int], Outcome]
"""Asks a server, with these deadlines and so many retries."""


def timeout_for(fault: Fault, wanted: Expected) -> Timeout:
    """Deadlines that are short only where one of them is what ends it."""
    if not fault.needs_deadline or wanted.kind is ResponseFormatError:
        return LONG
    return Timeout(first_chunk_s=LONG.first_chunk_s if fault.text else DEADLINE_S, idle_s=DEADLINE_S)


def sync_iterator(server: ScriptedServer, timeout: Timeout, max_retries: int) -> Outcome:
    outcome = Outcome()
    with _client(server, timeout, max_retries) as client:
        stream = client.chat_completion_stream(REQUEST)
        started_s = time.monotonic()
        try:
            for chunk in stream:
                outcome.chunks.append(chunk)
        except ChatCompletionError as failure:
            outcome.failure = failure
        else:
            outcome.whole = stream.completion
        outcome.elapsed_s = time.monotonic() - started_s
        outcome.state = stream.state
        assert next(stream, None) is None
        outcome.has_left = _has_left(server, outcome)
    return outcome


def sync_callback(server: ScriptedServer, timeout: Timeout, max_retries: int) -> Outcome:
    outcome = Outcome()
    with _client(server, timeout, max_retries) as client:
        started_s = time.monotonic()
        try:
            outcome.whole = client.chat_completion_stream(REQUEST, outcome.chunks.append)
        except ChatCompletionError as failure:
            outcome.failure = failure
        outcome.elapsed_s = time.monotonic() - started_s
        outcome.has_left = _has_left(server, outcome)
    return outcome


def sync_blocking(server: ScriptedServer, timeout: Timeout, max_retries: int) -> Outcome:
    outcome = Outcome()
    with _client(server, timeout, max_retries) as client:
        started_s = time.monotonic()
        try:
            outcome.whole = client.chat_completion(REQUEST)
        except ChatCompletionError as failure:
            outcome.failure = failure
        outcome.elapsed_s = time.monotonic() - started_s
        outcome.has_left = _has_left(server, outcome)
    return outcome


def async_iterator(server: ScriptedServer, timeout: Timeout, max_retries: int) -> Outcome:
    async def ask() -> Outcome:
        outcome = Outcome()
        async with _async_client(server, timeout, max_retries) as client:
            stream = client.chat_completion_stream(REQUEST)
            started_s = time.monotonic()
            try:
                async for chunk in stream:
                    outcome.chunks.append(chunk)
            except ChatCompletionError as failure:
                outcome.failure = failure
            else:
                outcome.whole = stream.completion
            outcome.elapsed_s = time.monotonic() - started_s
            outcome.state = stream.state
            assert await anext(stream, None) is None
            outcome.has_left = await asyncio.to_thread(_has_left, server, outcome)
        return outcome

    return asyncio.run(ask())


def async_callback(server: ScriptedServer, timeout: Timeout, max_retries: int) -> Outcome:
    async def ask() -> Outcome:
        outcome = Outcome()

        async def take(chunk: ChatCompletionChunk) -> None:
            await asyncio.sleep(0)
            outcome.chunks.append(chunk)

        async with _async_client(server, timeout, max_retries) as client:
            started_s = time.monotonic()
            try:
                outcome.whole = await client.chat_completion_stream(REQUEST, take)
            except ChatCompletionError as failure:
                outcome.failure = failure
            outcome.elapsed_s = time.monotonic() - started_s
            outcome.has_left = await asyncio.to_thread(_has_left, server, outcome)
        return outcome

    return asyncio.run(ask())


def async_blocking(server: ScriptedServer, timeout: Timeout, max_retries: int) -> Outcome:
    async def ask() -> Outcome:
        outcome = Outcome()
        async with _async_client(server, timeout, max_retries) as client:
            started_s = time.monotonic()
            try:
                outcome.whole = await client.chat_completion(REQUEST)
            except ChatCompletionError as failure:
                outcome.failure = failure
            outcome.elapsed_s = time.monotonic() - started_s
            outcome.has_left = await asyncio.to_thread(_has_left, server, outcome)
        return outcome

    return asyncio.run(ask())


STREAMED: tuple[Driver, ...] = (sync_iterator, sync_callback, async_iterator, async_callback)
BLOCKING: tuple[Driver, ...] = (sync_blocking, async_blocking)


def _client(server: ScriptedServer, timeout: Timeout, max_retries: int) -> Client:
    return Client(base_url=server.base_url, api_key=server.api_key, timeout=timeout, max_retries=max_retries, proxy="")


def _async_client(server: ScriptedServer, timeout: Timeout, max_retries: int) -> AsyncClient:
    return AsyncClient(
        base_url=server.base_url, api_key=server.api_key, timeout=timeout, max_retries=max_retries, proxy=""
    )


def _has_left(server: ScriptedServer, outcome: Outcome) -> bool:
    """Wait until the connection of a failed answer is gone; that of a whole one may be kept for the next."""
    return outcome.failure is None or server.journal.wait_until(lambda journal: journal.connections_open == 0)
