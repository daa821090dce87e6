"""A process with one event loop that sends its share of the requests, and measures itself while it does."""

import asyncio
import random
import signal
import time
from collections.abc import Coroutine
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import msgspec

from firsttoken import AsyncClient, Timeout, chat_completion_request
from firsttoken.bench.config import Config, Level
from firsttoken.bench.level import LevelStats
from firsttoken.bench.prompts import Prompts
from firsttoken.bench.sample import CURRENT, Sample, SampleObserver, failure_class
from firsttoken.errors import ChatCompletionError

_LAG_PROBE_S = 0.01
_TELL_EVERY_S = 0.25
_SCHEDSTAT = Path("/proc/self/schedstat")

clock = time.monotonic


class Share(NamedTuple):
    """Which part of the load is this worker's: `number` of `workers`."""

    number: int
    workers: int

    def of(self, number: int) -> int:
        """This worker's part of a number of things."""
        return number // self.workers + (self.number < number % self.workers)


def work(connection: Connection, config_json: bytes, share: Share) -> None:
    """Measure the levels that come over the connection, until None comes.

    For each level: ("ready", None) once it is warm, then the instant of the start comes; ("progress", counts) while it
    runs; ("done", LevelStats as a dict) at the end. "stop" ends a level early.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    config = msgspec.json.decode(config_json, type=Config)
    prompts = Prompts(config.data, seed=config.seed, salt=config.salt)
    while (level := connection.recv()) is not None:
        asyncio.run(_measure(connection, config, prompts, level, share))


async def _measure(connection: Connection, config: Config, prompts: Prompts, level: Level, share: Share) -> None:
    timeout = Timeout(first_chunk_s=config.timeout_s, idle_s=config.timeout_s, total_s=config.timeout_s)
    async with AsyncClient(
        base_url=config.base_url, timeout=timeout, max_retries=0, proxy=config.proxy, observer=SampleObserver()
    ) as client:
        run = LevelRun(client, config, prompts, level, share)
        await run.warm_up()
        connection.send(("ready", None))
        start_at = await asyncio.to_thread(connection.recv)
        telling = asyncio.create_task(_tell(connection, run))
        try:
            await run.measure(start_at)
        finally:
            telling.cancel()
        connection.send(("done", run.stats.to_dict()))


async def _tell(connection: Connection, run: "LevelRun") -> None:
    """Report how far the level is, and stop it when the parent wants that."""
    while True:
        connection.send(("progress", (run.stats.counters["completed"], sum(run.stats.failed.values()), run.running)))
        if connection.poll() and connection.recv() == "stop":
            run.stop()
        await asyncio.sleep(_TELL_EVERY_S)


class LevelRun:
    """One worker's share of a level.

    Attributes:
        stats: what was counted so far.
        running: how many requests are under way.
    """

    def __init__(self, client: AsyncClient, config: Config, prompts: Prompts, level: Level, share: Share) -> None:
        self.stats = LevelStats()
        self.running = 0
        self._client = client
        self._config = config
        self._prompts = prompts
        self._level = level
        self._share = share
        self._start_at = 0.0
        self._next_number = share.number
        self._stopped = asyncio.Event()
        self._slo = config.slo

    def stop(self) -> None:
        """Start no further request, and drop those that are under way."""
        self._stopped.set()

    async def warm_up(self) -> None:
        """Send requests that are not counted, so that connections are open and the server is warm."""
        concurrency = self._level.concurrency or max(1, min(32, round(self._level.rate or 1)))
        count = self._share.of(min(concurrency, 32) if self._config.warmup is None else self._config.warmup)
        numbers = iter(range(-1, -count - 1, -1))

        async def one_after_the_other() -> None:
            for number in numbers:
                await self._send(number * self._share.workers - self._share.number, Sample(clock(), clock()))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(count, self._share.of(concurrency) or 1)):
                tasks.create_task(one_after_the_other())

    async def measure(self, start_at: float) -> None:
        """Send this worker's share of the level's requests, from an instant on, and count them."""
        self._start_at = start_at
        window_s = None if self._config.requests is not None else self._config.duration_s
        await asyncio.sleep(max(0.0, start_at - clock()))
        cpu_s, delay_s, began_at = time.process_time(), _run_delay_s(), clock()
        probes = [asyncio.create_task(self._probe_lag()), asyncio.create_task(self._count_running(window_s))]
        load = self._closed_loop() if self._level.rate is None else self._open_loop(self._level.rate)
        try:
            await self._until_stopped(load)
        finally:
            for probe in probes:
                probe.cancel()
        took_s = max(clock() - began_at, 1e-9)
        self.stats.window_s = window_s or took_s
        self.stats.cpu_share = (time.process_time() - cpu_s) / took_s
        if delay_s is not None:
            self.stats.run_delay_share = ((_run_delay_s() or 0.0) - delay_s) / took_s

    async def _until_stopped(self, load: Coroutine[None, None, None]) -> None:
        running, stopped = asyncio.ensure_future(load), asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (running, stopped):
                task.cancel()
            await asyncio.gather(running, stopped, return_exceptions=True)
        if not running.cancelled() and (error := running.exception()) is not None:
            raise error

    async def _closed_loop(self) -> None:
        left = None if self._config.requests is None else self._share.of(self._config.requests)
        end_at = self._start_at + self._config.duration_s

        def is_over() -> bool:
            nonlocal left
            if left is None:
                return clock() >= end_at
            left -= 1
            return left < 0

        async def user() -> None:
            while not is_over():
                now = clock()
                await self._request(Sample(now, now))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._share.of(self._level.concurrency or 1)):
                tasks.create_task(user())

    async def _open_loop(self, rate: float) -> None:
        count = self._config.requests or max(1, round(rate * self._config.duration_s))
        due = arrivals(rate, count, self._config.arrival, self._config.seed)
        async with asyncio.TaskGroup() as tasks:
            for due_s in due[self._share.number :: self._share.workers]:
                intended_at = self._start_at + due_s
                await asyncio.sleep(max(0.0, intended_at - clock()))
                tasks.create_task(self._request(Sample(intended_at, clock())))

    async def _request(self, sample: Sample) -> None:
        number, self._next_number = self._next_number, self._next_number + self._share.workers
        counters = self.stats.counters
        window_s = None if self._config.requests is not None else self._config.duration_s
        counters["distinct_prompts"] += self._prompts.is_new(number)
        if window_s is None or sample.started_at - self._start_at <= window_s:
            counters["started_in_window"] += 1
        self.running += 1
        try:
            await self._send(number, sample)
        finally:
            self.running -= 1
        self.stats.add(sample, start_at=self._start_at, window_s=window_s, slo=self._slo)

    async def _send(self, number: int, sample: Sample) -> None:
        CURRENT.set(sample)
        prompt = self._prompts[number]
        limit: dict[str, object] = (
            {} if prompt.max_tokens is None else {self._config.max_tokens_field: prompt.max_tokens}
        )
        request = chat_completion_request(self._config.model, prompt.messages, extra=limit)
        stream = self._client.chat_completion_stream(request)
        try:
            async for _ in stream:
                pass
            sample.completion = stream.completion
        except ChatCompletionError as error:
            sample.failure = failure_class(error)
            sample.ended_at = clock()
        finally:
            await stream.aclose()

    async def _probe_lag(self) -> None:
        """How late the event loop is: a timer that goes off late would have stamped a chunk late, too."""
        lag = self.stats.histograms["loop_lag_s"]
        while True:
            due_at = clock() + _LAG_PROBE_S
            await asyncio.sleep(_LAG_PROBE_S)
            lag.add(clock() - due_at)

    async def _count_running(self, window_s: float | None) -> None:
        if window_s is None:
            return
        for name, moment_s in (("running_at_half", window_s / 2), ("running_at_end", window_s)):
            await asyncio.sleep(max(0.0, self._start_at + moment_s - clock()))
            self.stats.counters[name] = self.running


def _run_delay_s() -> float | None:
    """How long the main thread has waited for a core, in seconds; None where the system does not say (not Linux)."""
    try:
        return int(_SCHEDSTAT.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return None


def arrivals(rate: float, count: int, arrival: str, seed: int) -> list[float]:
    """The instants at which requests are due, in seconds from the start of the level.

    "poisson": a Poisson process of exactly `count` arrivals in `count / rate` seconds: given their number, its arrivals
    are uniform order statistics (Ross, Stochastic Processes, theorem 2.3.1). So the rate is the requested one, and the
    gaps are those of random users. "constant": equal gaps.
    """
    if arrival == "constant":
        return [position / rate for position in range(count)]
    random_of = random.Random(f"arrivals {seed}")  # noqa: S311 - it spreads requests, it guards nothing
    return sorted(random_of.uniform(0, count / rate) for _ in range(count))
