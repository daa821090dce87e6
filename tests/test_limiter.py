"""The limiter without a client: its queue, the waiting in threads and event loops, copies and processes."""

import asyncio
import copy
import gc
import math
import os
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from firsttoken import Limiter
from firsttoken._client import limiter as limiter_module
from firsttoken._client import sockets
from firsttoken._client.limiter import Permit, estimated_tokens
from firsttoken._protocol.limits import AttemptResult
from firsttoken.errors import ConfigurationError
from tests.support.interrupts import acting_at

COMPLETE = AttemptResult("complete")
LONG_S = 30.0


# The queue.


def test_calls_start_in_the_order_of_their_coming_and_retries_before_them() -> None:
    limiter = Limiter(concurrency=1)
    running = limiter.request()
    first, second = limiter.request(), limiter.request()
    retry, third_try = limiter.request(attempt=2), limiter.request(attempt=3)
    order = [running, third_try, retry, first, second]
    for permit in order:
        assert [one.granted for one in order].index(True) == order.index(permit)
        permit.release(COMPLETE)
    assert (limiter.running, limiter.waiting) == (0, 0)


def test_a_permit_is_given_back_once() -> None:
    limiter = Limiter(concurrency=1)
    permit = limiter.request()
    permit.accepted()
    permit.release(COMPLETE)
    permit.release(COMPLETE)
    permit.accepted()
    assert not permit.granted
    assert limiter.running == 0
    assert limiter.request().granted
    assert not limiter.request().granted


def test_who_leaves_the_queue_takes_no_place() -> None:
    limiter = Limiter(concurrency=1)
    running, left, last = limiter.request(), limiter.request(), limiter.request()
    left.release()
    assert limiter.waiting == 1
    running.release()
    assert not left.granted
    assert last.granted


# The waiting; a wait that must end has LONG_S to do so.

WAYS = ["thread", "task"]


def wait(permit: Permit, way: str, deadline: float = math.inf) -> bool:
    if way == "thread":
        return permit.wait(deadline)

    async def in_task() -> bool:
        return await permit.wait_async(deadline)

    return asyncio.run(in_task())


@pytest.mark.parametrize("way", WAYS)
def test_a_free_permit_is_not_waited_for(way: str) -> None:
    permit = Limiter(concurrency=1).request()
    assert wait(permit, way)
    assert permit.granted


@pytest.mark.parametrize("way", WAYS)
def test_a_wait_ends_when_another_call_does(way: str) -> None:
    limiter = Limiter(concurrency=1)
    running, waiting = limiter.request(), limiter.request()
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(wait, waiting, way)
        running.release(COMPLETE)
        assert result.result(LONG_S)


@pytest.mark.parametrize("way", WAYS)
def test_a_wait_ends_when_another_thread_releases_the_permit(way: str) -> None:
    limiter = Limiter(concurrency=1)
    running, waiting = limiter.request(), limiter.request()
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(wait, waiting, way)
        waiting.release()
        assert result.result(LONG_S) is False
    assert (running.granted, limiter.waiting) == (True, 0)


def test_a_wait_ends_when_a_signal_handler_releases_the_permit_at_any_line_of_it() -> None:
    """In the thread that waits: no lock may be held there that a release waits for."""
    files = [str(module.__file__) for module in (limiter_module, sockets, threading)]
    line, reached = 0, 1
    while line < reached:
        line += 1
        limiter = Limiter(concurrency=1)
        _running, waiting = limiter.request(), limiter.request()
        with acting_at(line, waiting.release, files) as interrupt:
            assert waiting.wait(time.monotonic() + 0.01) is False
        reached = interrupt.lines
        assert limiter.waiting == 0
    assert reached > 20


@pytest.mark.parametrize("way", WAYS)
def test_a_wait_ends_at_its_deadline_and_leaves_the_queue(way: str) -> None:
    limiter = Limiter(concurrency=1)
    _running, waiting = limiter.request(), limiter.request()
    began = time.monotonic()
    assert wait(waiting, way, began + 0.05) is False
    assert time.monotonic() - began >= 0.05
    assert limiter.waiting == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_wait_lasts_as_long_as_the_rate_says(way: str) -> None:
    limiter = Limiter(requests_per_minute=600)
    began = time.monotonic()
    permits = [limiter.request() for _ in range(15)]
    with ThreadPoolExecutor(15) as pool:
        jobs = [pool.submit(wait, permit, way) for permit in permits]
        assert all(job.result(LONG_S) for job in jobs)
    assert 1.39 <= time.monotonic() - began < LONG_S


def test_a_cancelled_task_leaves_the_queue() -> None:
    limiter = Limiter(concurrency=1)
    running, waiting = limiter.request(), limiter.request()

    async def cancelled() -> None:
        task = asyncio.create_task(waiting.wait_async())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert (running.granted, limiter.waiting) == (True, 0)


def test_the_first_of_the_queue_hands_its_watch_on_when_it_leaves() -> None:
    """Who is first has the timer of the pause; if it leaves, the next one needs it."""
    limiter = Limiter()
    limiter.request().release(AttemptResult("failed", status=429, retry_after_s=0.2))
    first, second = limiter.request(), limiter.request()
    with ThreadPoolExecutor(2) as pool:
        results = [pool.submit(first.wait), pool.submit(second.wait)]
        first.release()
        assert [result.result(LONG_S) for result in results] == [False, True]


def test_threads_and_event_loops_share_a_limiter() -> None:
    limiter = Limiter(concurrency=3, requests_per_minute=1e6)
    lock = threading.Lock()
    seen: list[int] = []
    running = 0

    def count(change: int) -> None:
        nonlocal running
        with lock:
            running += change
            seen.append(running)

    def in_thread() -> None:
        for _ in range(100):
            permit = limiter.request()
            assert permit.wait()
            count(+1)
            count(-1)
            permit.release(COMPLETE)

    async def one_task() -> None:
        for _ in range(20):
            permit = limiter.request()
            assert await permit.wait_async()
            count(+1)
            await asyncio.sleep(0)
            count(-1)
            permit.release(COMPLETE)

    async def tasks() -> None:
        await asyncio.gather(*(one_task() for _ in range(5)))

    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(in_thread) for _ in range(4)] + [pool.submit(lambda: asyncio.run(tasks())) for _ in "ab"]
        for job in jobs:
            job.result(LONG_S)
    assert max(seen) == 3
    assert (limiter.running, limiter.waiting) == (0, 0)


def test_a_stream_that_the_garbage_collector_finds_gives_its_permit_back() -> None:
    """At any point, in the thread that holds the limiter's lock too: nothing waits for that then."""
    limiter = Limiter(concurrency=1)

    class Lost:
        def __init__(self) -> None:
            self.permit = limiter.request()
            self.itself = self

        def __del__(self) -> None:
            self.permit.release()

    Lost()
    waiting = limiter.request()
    with limiter._gate()._lock:
        gc.collect()
        assert not waiting.granted
    assert waiting.wait(time.monotonic() + LONG_S)


# Copies, pickles, processes.


def test_a_copy_in_the_same_process_is_the_same_limiter() -> None:
    limiter = Limiter(3, tokens_per_minute=5)
    assert copy.copy(limiter) is limiter
    assert copy.deepcopy(limiter) is limiter
    assert pickle.loads(pickle.dumps(limiter)) is limiter


_UNPICKLE = """
import pickle, sys
data = sys.stdin.buffer.read()
first = pickle.loads(data)
permit = first.request()
del first
second = pickle.loads(data)
print(second, second.running)
"""


def test_in_another_process_all_copies_are_one_limiter() -> None:
    data = pickle.dumps(Limiter(3, requests_per_minute=1.5))
    done = subprocess.run([sys.executable, "-c", _UNPICKLE], input=data, capture_output=True, check=True, timeout=60)
    assert done.stdout.decode().strip() == "Limiter(concurrency=3, requests_per_minute=1.5) 1"


_FORK = """
import os
from firsttoken import Limiter
limiter = Limiter(concurrency=1)
running, waiting = limiter.request(), limiter.request()
limiter._gate()._lock.acquire()  # as another thread may have at that moment
child = os.fork()
if child == 0:
    running.release()
    mine = limiter.request()
    os._exit(0 if mine.wait(0.0) and limiter.running == 1 and limiter.waiting == 0 else 1)
limiter._gate()._lock.release()
assert os.waitpid(child, 0)[1] == 0
assert running.granted and not waiting.granted
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_all_of_the_limits_for_itself() -> None:
    subprocess.run([sys.executable, "-c", _FORK], check=True, timeout=60)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"concurrency": 0}, "concurrency must be a number above 0, or None for no limit, not 0"),
        ({"concurrency": 2.5}, "concurrency must be an integer, not 2.5"),
        ({"concurrency": True}, "concurrency must be a number above 0, or None for no limit, not True"),
        ({"requests_per_minute": -1}, "requests_per_minute must be a number above 0, or None for no limit, not -1"),
        ({"requests_per_minute": math.nan}, "requests_per_minute must be a number above 0, or None for no limit"),
        ({"tokens_per_minute": "9"}, "tokens_per_minute must be a number above 0, or None for no limit, not '9'"),
    ],
)
def test_limits_that_are_none_are_refused(limits: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Limiter(**limits)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert message in str(caught.value)


def test_the_size_of_a_body_tells_its_tokens_roughly() -> None:
    assert estimated_tokens(b"x" * 4000) == 1000
