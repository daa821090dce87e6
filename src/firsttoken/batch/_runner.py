"""Sends rows, as many at once as a limiter lets, and gives their results in the order of completion."""

import asyncio
import copy
import random
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from firsttoken import AsyncClient, Limiter
from firsttoken._client.limiter import BYTES_PER_TOKEN, Permit
from firsttoken._protocol.limits import STOPPED
from firsttoken.batch._attempts import Attempts, Health, outcome_of_answer, outcome_of_error
from firsttoken.batch._results import Prices, Result, Summary
from firsttoken.batch._rows import Row
from firsttoken.errors import ChatCompletionError, ConfigurationError
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
            outcome = outcome_of_error(error)
            raise
        else:
            outcome = outcome_of_answer(completion)
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
