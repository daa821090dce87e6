"""The ways to ask: sync and async, iterator and callback, and the blocking call; and what is seen of each."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from firsttoken import ChatCompletion, ChatCompletionChunk, Client, Timeout
from firsttoken.errors import ChatCompletionError, ResponseFormatError
from firsttoken.testing import Fault, Journal, ScriptedServer
from tests.faults.expected import DEADLINE_S, Expected
from tests.support.clients import REQUEST, clients

LONG = Timeout(connect_s=10, first_chunk_s=10, idle_s=10, response_s=10)
"""For what ends by itself: none of these is ever to pass."""


@dataclass
class Outcome:
    """What a caller saw of an answer.

    Attributes:
        chunks: those that were yielded.
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
        """The text that was yielded."""
        return "".join(chunk.text for chunk in self.chunks)


Driver = Callable[[ScriptedServer, Timeout, int], Outcome]
"""Asks a server, with these deadlines and so many retries."""


def timeout_for(fault: Fault, wanted: Expected) -> Timeout:
    """Deadlines that are short only where one of them is what ends it."""
    if not fault.needs_deadline or wanted.kind is ResponseFormatError:
        return LONG
    first_chunk_s = LONG.first_chunk_s if fault.text else DEADLINE_S
    return Timeout(first_chunk_s=first_chunk_s, idle_s=DEADLINE_S, response_s=DEADLINE_S)


def driver(kind: str, style: str) -> Driver:
    """Asks with this kind of client, in this style: "iterator", "callback" or "blocking"."""

    def drive(server: ScriptedServer, timeout: Timeout, max_retries: int) -> Outcome:
        outcome = Outcome()
        with clients(kind) as make:
            client = make(server, timeout=timeout, max_retries=max_retries, proxy="")
            started_at = time.monotonic()
            try:
                outcome.whole = _ask(client, style, outcome)
            except ChatCompletionError as failure:
                outcome.failure = failure
            outcome.elapsed_s = time.monotonic() - started_at
            outcome.has_left = _has_left(server, outcome)
        return outcome

    drive.__name__ = f"{kind}_{style}"
    return drive


def _ask(client: Client, style: str, outcome: Outcome) -> ChatCompletion:
    if style == "blocking":
        return client.chat_completion(REQUEST)
    if style == "callback":
        return client.chat_completion_stream(REQUEST, outcome.chunks.append)
    stream = client.chat_completion_stream(REQUEST)
    try:
        outcome.chunks.extend(stream)  # keeps what came before an exception
        return stream.completion
    finally:
        outcome.state = stream.state
        assert next(stream, None) is None


sync_iterator, sync_callback = driver("sync", "iterator"), driver("sync", "callback")
async_iterator, async_callback = driver("async", "iterator"), driver("async", "callback")
STREAMED: tuple[Driver, ...] = (sync_iterator, sync_callback, async_iterator, async_callback)
BLOCKING: tuple[Driver, ...] = (driver("sync", "blocking"), driver("async", "blocking"))


def _has_left(server: ScriptedServer, outcome: Outcome) -> bool:
    """Wait until the connection of a failed answer is gone; that of a response that came to its end may be kept."""
    return outcome.failure is None or server.journal.wait_until(_is_over)


def _is_over(journal: Journal) -> bool:
    return journal.connections_open == 0 or any(entry.end_reason == "complete" for entry in journal.entries)
