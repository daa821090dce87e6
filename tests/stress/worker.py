"""One scenario: `python -X dev -W error -m tests.stress.worker NAME COUNT BASE_URL CERTIFICATE`; prints findings."""

import asyncio
import faulthandler
import gc
import json
import queue
import random
import signal
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from firsttoken import AsyncChatCompletionStream, AsyncClient, ChatCompletionStream, Client, Timeout
from firsttoken.errors import ChatCompletionError
from tests.soak.soak import resident_kib
from tests.support.processes import open_sockets
from tests.support.request import KEY, REQUEST

MAX_CALL_S = 30.0
CALM_CALLS = 20
TASKS = 16
TIMEOUT = Timeout(connect_s=10, first_chunk_s=0.05, idle_s=0.05)
"""Shorter than the server's silence, so that a stream that is not closed in time ends as well."""

rng = random.Random(1)


class SignalledError(Exception):
    """What a signal handler raises."""


class Findings:
    """How the calls ended, and what was wrong.

    Args:
        max_delay_s: when the calls are disturbed at the latest.
    """

    def __init__(self, max_delay_s: float) -> None:
        self._max_delay_s = max_delay_s
        self.ends: Counter[str] = Counter()
        self.problems: list[str] = []
        self.memory_kib: list[int] = []

    def count(self, end: str) -> None:
        self.ends[end] += 1

    def delay_s(self) -> float:
        """A moment of a call, from its start."""
        return rng.uniform(1e-5, self._max_delay_s)

    def check(self, error: BaseException) -> None:
        """An end by an error of the server's making is none of ours."""
        if isinstance(error, ChatCompletionError) and "answered 0" not in str(error):
            self.count(type(error).__name__)
        else:
            self.problems.append(f"{type(error).__module__}.{type(error).__name__}: {error}")

    def check_end(self, stream: "ChatCompletionStream | AsyncChatCompletionStream") -> None:
        if stream.state in ("complete", "stopped"):
            self.count(stream.state)
        else:
            self.problems.append(f"the loop has ended, and the stream is {stream.state}")

    @contextmanager
    def watched(self, number: int, total: int) -> Generator[None]:
        """Measure the memory now and then; a call that hangs prints the stacks, and ends the process."""
        if number % (total // 10 or 1) == 0:
            self.memory_kib.append(resident_kib())
        faulthandler.dump_traceback_later(MAX_CALL_S, exit=True)
        yield


def read(stream: ChatCompletionStream, findings: Findings) -> None:
    try:
        for _ in stream:
            pass
    except ChatCompletionError as error:
        findings.check(error)
    else:
        findings.check_end(stream)


def close_from_thread(client: Client, count: int, findings: Findings) -> None:
    """Another thread closes the stream at a random moment."""
    streams: queue.SimpleQueue[ChatCompletionStream | None] = queue.SimpleQueue()
    closed: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def close_each() -> None:
        while (stream := streams.get()) is not None:
            time.sleep(findings.delay_s())
            try:
                stream.close()
            except BaseException as error:
                closed.put(error)
            else:
                closed.put(None)

    closer = threading.Thread(target=close_each)
    closer.start()
    for number in range(count):
        with findings.watched(number, count):
            stream = client.chat_completion_stream(REQUEST)
            streams.put(stream)
            read(stream, findings)
            if (error := closed.get()) is not None:
                findings.check(error)
    streams.put(None)
    closer.join()


def set_handler(handler: Callable[[], None]) -> None:
    def handle(_number: int, _frame: object) -> None:
        handler()

    signal.signal(signal.SIGALRM, handle)


def arm(findings: Findings) -> None:
    signal.setitimer(signal.ITIMER_REAL, findings.delay_s())


def disarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)


def close_from_signal(client: Client, count: int, findings: Findings) -> None:
    """A signal handler closes the stream at a random moment, in the thread that reads it."""
    for number in range(count):
        with findings.watched(number, count):
            stream = client.chat_completion_stream(REQUEST)
            set_handler(stream.close)
            arm(findings)
            read(stream, findings)
            disarm()


def raise_from_signal(client: Client, count: int, findings: Findings) -> None:
    """A signal handler raises at a random moment."""

    def handle() -> None:
        raise SignalledError

    def swallowed(unraisable: Any) -> None:
        if unraisable.exc_type in (SignalledError, ResourceWarning):
            # In a `__del__`, or between a socket's making and its assignment: it is closed by being dropped.
            findings.count("raised where Python can't propagate it")
        else:
            sys.__unraisablehook__(unraisable)

    set_handler(handle)
    sys.unraisablehook = swallowed
    for number in range(count):
        with findings.watched(number, count):
            try:
                try:
                    arm(findings)
                    read_or_complete(client, number, findings)
                finally:
                    disarm()
            except SignalledError:
                findings.count("raised")
            except BaseException as error:
                findings.check(error)
                if isinstance(error.__cause__, SignalledError):
                    findings.problems.append(f"the handler's exception became {error!r}")


def read_or_complete(client: Client, number: int, findings: Findings) -> None:
    if number % 2:
        for _ in client.chat_completion_stream(REQUEST):
            pass
    else:
        with client.chat_completion_stream(REQUEST) as stream:
            stream.final_completion()
    findings.count("complete")


async def cancel(client: AsyncClient, count: int, findings: Findings) -> None:
    """Tasks are cancelled at random moments."""
    loop = asyncio.get_running_loop()
    loop.slow_callback_duration = MAX_CALL_S
    numbers = iter(range(count))

    async def consume() -> None:
        stream = client.chat_completion_stream(REQUEST)
        async for _ in stream:
            pass
        findings.check_end(stream)

    async def work() -> None:
        for number in numbers:
            with findings.watched(number, count):
                task = loop.create_task(consume())
                loop.call_later(findings.delay_s() * TASKS, task.cancel)
                try:
                    await task
                except asyncio.CancelledError:
                    findings.count("cancelled")
                except Exception as error:
                    findings.check(error)

    await asyncio.gather(*(work() for _ in range(TASKS)))


SYNC = {"close-thread": close_from_thread, "close-signal": close_from_signal, "raise-signal": raise_from_signal}
ASYNC = ("cancel-asyncio", "cancel-uvloop")


def call_calmly(client: Client) -> float:
    """Make some calls that nothing disturbs; return how long one takes, in seconds."""
    faulthandler.dump_traceback_later(MAX_CALL_S, exit=True)
    began_s = time.monotonic()
    for _ in range(CALM_CALLS):
        client.chat_completion_stream(REQUEST, lambda _: None, headers={"x-calm": "1"}, timeout=Timeout())
    return (time.monotonic() - began_s) / CALM_CALLS


def run_sync(name: str, count: int, settings: dict[str, Any]) -> Findings:
    with Client(**settings) as client:
        findings = Findings(2 * call_calmly(client))
        SYNC[name](client, count, findings)
        call_calmly(client)
    return findings


async def run_async(count: int, settings: dict[str, Any]) -> Findings:
    with Client(**settings) as client:
        findings = Findings(2 * call_calmly(client))
    async with AsyncClient(**settings) as client:
        await cancel(client, count, findings)
        for _ in range(CALM_CALLS):
            await client.chat_completion_stream(REQUEST, lambda _: None, headers={"x-calm": "1"}, timeout=Timeout())
    findings.ends["tasks left"] = len(asyncio.all_tasks()) - 1
    return findings


def main(name: str, count: int, base_url: str, certificate: str) -> None:
    context = ssl.create_default_context(cafile=certificate) if base_url.startswith("https") else None
    settings = {"api_key": KEY, "base_url": base_url, "proxy": "", "ssl_context": context, "timeout": TIMEOUT}
    sockets, threads = open_sockets(), threading.active_count()
    if name in SYNC:
        findings = run_sync(name, count, settings)
    else:
        factory = __import__("uvloop").new_event_loop if name == "cancel-uvloop" else None
        with asyncio.Runner(loop_factory=factory) as runner:
            findings = runner.run(run_async(count, settings))
    faulthandler.cancel_dump_traceback_later()
    gc.collect()
    until_s = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < until_s:
        time.sleep(0.01)  # one that watches idle connections has been told to end
    left = {"sockets": open_sockets() - sockets, "threads": threading.active_count() - threads}
    grown_kib = findings.memory_kib[-1] - findings.memory_kib[min(3, len(findings.memory_kib) - 1)]
    print(json.dumps({"ends": findings.ends, "problems": findings.problems, "left": left, "grown_kib": grown_kib}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
