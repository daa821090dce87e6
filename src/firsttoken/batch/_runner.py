"""Sends rows, as many at once as a limiter lets, and again where that may help; gives results as they end."""

import asyncio
import copy
import random
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

from firsttoken import AsyncClient, Limiter
from firsttoken._client.limiter import BYTES_PER_TOKEN, Permit
from firsttoken._client.observers import result_of_end, result_of_failure
from firsttoken._protocol.limits import STOPPED
from firsttoken._protocol.retry import OVERLOAD_STATUSES, may_be_retried
from firsttoken.batch._results import Prices, Result, Summary
from firsttoken.batch._rows import Row
from firsttoken.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ChatCompletionError,
    ConfigurationError,
)
from firsttoken.types import ChatCompletion


class Results:
    """The results of a batch, in the order of completion: an async iterator, which sends nothing before it is used.

    An async context manager, too: leaving it before the end ends the requests in flight. Rows are read while they are
    sent: at most `max_rows` are held at a time.

    Attributes:
        summary: what came of the rows so far.
        limiter: what limits the requests.
    """

    def __init__(
        self,
        rows: Iterator[Row | None],
        client: AsyncClient,
        limiter: Limiter,
        *,
        max_rows: int,
        owns_client: bool,
        prices: Prices | None = None,
    ) -> None:
        self.summary = Summary()
        self.limiter = limiter
        self._rows = rows
        self._client = _without_limiter(client)
        self._owns_client = owns_client
        self._max_rows = max_rows
        self._prices = prices
        self._health = Health(time.monotonic())
        self._began_at: float | None = None
        self._feeder: asyncio.Task[None] | None = None
        self._waiting: Permit | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: set[asyncio.Task[None]] = set()
        self._ready: deque[Result] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._is_stopping = False
        self._failure: BaseException | None = None

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        return len(self._tasks) - len(self._idle)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Result:
        if self._began_at is None:
            self._began_at = time.monotonic()
            self._feeder = asyncio.create_task(self._feed())
        while not self._ready:
            if self._feeder is None or (self._feeder.done() and not self._tasks):
                await self.aclose()
                if self._failure is not None:
                    failure, self._failure = self._failure, None
                    raise failure
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        result = self._ready.popleft()
        self._room.set()
        self.summary.add(result, self._prices)
        self.summary.duration_s = time.monotonic() - self._began_at
        return result

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def stop(self) -> None:
        """Send nothing more, and finish what is in flight."""
        self._is_stopping = True
        self.summary.stopped = True
        if self._waiting is not None:
            self._waiting.release()
        for task in self._idle:
            task.cancel()
        self._room.set()

    async def aclose(self) -> None:
        """End the requests in flight; may be called again."""
        self._is_stopping = True
        feeder, self._feeder = self._feeder, None
        tasks = [task for task in (feeder, *self._tasks) if task is not None and not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._owns_client:
            await self._client.aclose()

    async def _feed(self) -> None:
        try:
            for row in self._rows:
                if row is None:
                    await asyncio.sleep(0)
                    continue
                await self._wait_for_room()
                if self._is_stopping:
                    break
                if row.problem:
                    self._deliver(Result(row.id, None, ConfigurationError(row.problem), 0, row.value, row.digest))
                    continue
                permit = self._waiting = self.limiter.request(tokens=_estimate(row))
                granted = await permit.wait_async()
                self._waiting = None
                if not granted:
                    break
                task = asyncio.create_task(self._process(row, permit))
                self._tasks.add(task)
                task.add_done_callback(self._on_done)
        except Exception as error:  # noqa: BLE001 - raised to who iterates
            self._failure = error
            self.stop()
        finally:
            self._news.set()

    async def _wait_for_room(self) -> None:
        while len(self._tasks) + len(self._ready) >= self._max_rows and not self._is_stopping:
            self._room.clear()
            await self._room.wait()

    async def _process(self, row: Row, permit: Permit) -> None:
        """Try a row until it has a result."""
        attempts = Attempts()
        while True:
            attempts.count += 1
            try:
                completion = await self._attempt(row, permit)
            except ChatCompletionError as error:
                delay_s = attempts.retry_delay_s(error, random.random())  # noqa: S311 - it spreads retries
                if self._health.is_hopeless(error, time.monotonic(), refusals=attempts.refusals):
                    self._give_up(error)
                    return
                if delay_s is None:
                    self._deliver(Result(row.id, None, _slim(error), attempts.count, row.value, row.digest))
                    return
            except ConfigurationError as error:
                self._deliver(Result(row.id, None, error, 0, row.value, row.digest))
                return
            else:
                self._health.answered(time.monotonic())
                self._deliver(Result(row.id, completion, None, attempts.count, row.value, row.digest))
                return
            if self._is_stopping:
                return
            permit = await self._wait_to_retry(row, delay_s, attempts.count + 1)

    async def _attempt(self, row: Row, permit: Permit) -> ChatCompletion:
        outcome = STOPPED
        try:
            async with self._client.chat_completion_stream(row.request(), max_retries=0) as stream:
                permit.accepted()
                completion = await stream.final_completion()
        except ChatCompletionError as error:
            outcome = result_of_failure(error)
            raise
        else:
            outcome = result_of_end("complete", completion, 0.0)
            return completion
        finally:
            permit.release(outcome)

    async def _wait_to_retry(self, row: Row, delay_s: float, attempt: int) -> Permit:
        """Wait without a permit, then for one; `stop` cancels it."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checkers
        self._idle.add(task)
        try:
            await asyncio.sleep(delay_s)
            permit = self.limiter.request(tokens=_estimate(row), attempt=attempt)
            await permit.wait_async()
            return permit
        finally:
            self._idle.discard(task)

    def _deliver(self, result: Result) -> None:
        self._ready.append(result)
        self._news.set()

    def _give_up(self, error: ChatCompletionError) -> None:
        if self._failure is None:
            self._failure = self.summary.reason = error
        self.stop()

    def _on_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error
            self.stop()
        self._room.set()
        self._news.set()


def _without_limiter(client: AsyncClient) -> AsyncClient:
    """The same client, for requests that have a permit already."""
    if client._config.limiter is None:
        return client
    sender, config = copy.copy(client), copy.copy(client._config)
    config.limiter, sender._config = None, config
    return sender


def _estimate(row: Row) -> int:
    return len(str(row.body["messages"])) // BYTES_PER_TOKEN


def _slim(error: ChatCompletionError) -> ChatCompletionError:
    """The error without its traceback, which holds the frames of the attempt."""
    return error.with_traceback(None)


MAX_FAULTS: Final = 4
"""So often a row may fail in a way that may pass: a truncated answer, a lost connection, a 500, a deadline."""

MAX_REFUSALS: Final = 30
"""So often a row may meet a server that is overloaded or not there. That is not the row's fault."""

FIRST_DELAY_S: Final = 0.5
MAX_DELAY_S: Final = 30.0
JITTER: Final = 0.5

GIVE_UP_AFTER_S: Final = 900.0
"""A server that has answered nothing for so long is not there for this run."""

MAX_FIRST_CONNECTS: Final = 5
"""So often a first row may find no server at the address before that is taken for a wrong one."""

_HOPELESS_AT_FIRST: Final = frozenset({401, 403, 404})
"""No key, no right or no model: if the first rows meet that, all will."""

_PASSING: Final = frozenset({408, 409, 425, 429})


class Attempts:
    """The failed attempts of one row."""

    def __init__(self) -> None:
        self.count = 0
        self.refusals = 0
        self._faults = 0

    def retry_delay_s(self, error: ChatCompletionError, jitter: float) -> float | None:
        """How long to wait until the row is tried again; None where its error is final.

        Args:
            error: of the last attempt.
            jitter: a random number from 0 to 1.
        """
        if not is_transient(error):
            return None
        if is_refusal(error):
            self.refusals += 1
        else:
            self._faults += 1
        if self._faults >= MAX_FAULTS or self.refusals >= MAX_REFUSALS:
            return None
        asked_s = error.retry_after_s if isinstance(error, APIStatusError) else None
        if asked_s is not None and is_refusal(error):
            return 0.0  # the limiter pauses for it
        return min(FIRST_DELAY_S * 2.0 ** (self._faults + self.refusals - 1), MAX_DELAY_S) * (1 - JITTER * jitter)


class Health:
    """Whether the server answers at all."""

    def __init__(self, now: float) -> None:
        self.answers = 0
        self._last_answer_at = now

    def answered(self, now: float) -> None:
        """Note a complete answer."""
        self.answers += 1
        self._last_answer_at = now

    def is_hopeless(self, error: ChatCompletionError, now: float, *, refusals: int) -> bool:
        """Whether the rows to come would only meet the same error.

        Args:
            error: of an attempt.
            now: the time.
            refusals: how often its row has met a server that is overloaded or not there.
        """
        if isinstance(error, APIStatusError):
            if is_out_of_credit(error):
                return True
            if not self.answers and error.status in _HOPELESS_AT_FIRST:
                return True
        if not is_refusal(error):
            return False
        if now - self._last_answer_at > GIVE_UP_AFTER_S:
            return True
        return not self.answers and not isinstance(error, APIStatusError) and refusals >= MAX_FIRST_CONNECTS


def is_out_of_credit(error: APIStatusError) -> bool:
    """Whether there is no credit left."""
    return "insufficient_quota" in (error.code, error.type)


def is_refusal(error: ChatCompletionError) -> bool:
    """Whether the server did not take the request: it is overloaded, or not there."""
    if isinstance(error, APIStatusError):
        return error.status in OVERLOAD_STATUSES and not error.chunks_received
    return isinstance(error, APIConnectionError | APITimeoutError) and error.retryable and not error.chunks_received


def is_transient(error: ChatCompletionError) -> bool:
    """Whether the same row may get an answer when it is sent again."""
    if "x-should-retry" in error.headers:
        return may_be_retried(error, error.headers)
    if isinstance(error, APIStatusError):
        status = error.status
        if is_out_of_credit(error):
            return False
        return status is None or status >= 500 or status in _PASSING
    return error.retryable or not isinstance(error, APIConnectionError)
