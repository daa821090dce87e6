"""`Client(limiter=…)`: how many requests run at once and start in a minute, whoever sends them."""

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from firsttoken import AsyncClient, Client, Limiter, Timeout
from firsttoken._protocol.limits import AttemptResult, LimiterState
from firsttoken.batch import AdaptiveLimiter
from firsttoken.errors import APITimeoutError, ChatCompletionError
from firsttoken.testing import Gate, Request, ScriptedServer, ScriptLike, done, error, finish, pause, reply, role, text
from tests.support.clients import REQUEST, MakeClient

LONG_S = 30.0


class Crowd:
    """Counts the requests that are under way at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0

    def answer(self, _request: Request) -> ScriptLike:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.02)
        with self._lock:
            self._now -= 1
        return "So."


class Window:
    """Takes so many requests in each half second, and asks the others to wait for the next one."""

    def __init__(self, most: int) -> None:
        self._lock = threading.Lock()
        self._most = most
        self._began_at = 0.0
        self._taken = 0
        self.refused = 0

    def answer(self, _request: Request) -> ScriptLike:
        with self._lock:
            now = time.monotonic()
            if now - self._began_at >= 0.5:
                self._began_at, self._taken = now, 0
            self._taken += 1
            left_s = self._began_at + 0.5 - now
            if self._taken <= self._most:
                return "So."
            self.refused += 1
        return [error(429, "slow down", headers={"retry-after-ms": str(int(left_s * 1000) + 1)})]


def ask(client: Client) -> str:
    return client.chat_completion(REQUEST).text


def ask_streamed(client: Client) -> str:
    return client.chat_completion_stream(REQUEST).final_completion().text


@pytest.mark.parametrize("call", [ask, ask_streamed])
def test_so_many_run_at_once(make_client: MakeClient, call: Callable[[Client], str]) -> None:
    crowd, limiter = Crowd(), Limiter(concurrency=3)
    with ScriptedServer(crowd.answer) as server, ThreadPoolExecutor(12) as pool:
        clients = [make_client(server, limiter=limiter) for _ in range(2)]
        jobs = [pool.submit(call, clients[number % 2]) for number in range(24)]
        assert [job.result(LONG_S) for job in jobs] == ["So."] * 24
    assert crowd.most == 3
    assert (limiter.running, limiter.waiting) == (0, 0)


def test_so_many_start_in_a_minute(make_client: MakeClient) -> None:
    with ScriptedServer("So.") as server:
        client = make_client(server, limiter=Limiter(requests_per_minute=1200))
        began = time.monotonic()
        assert [ask(client) for _ in range(12)] == ["So."] * 12
        assert time.monotonic() - began > 0.48


def test_so_many_tokens_are_used_in_a_minute(make_client: MakeClient) -> None:
    """Ten tokens for each answer, 100 a second: the first ones are underestimated, and made up for."""
    with ScriptedServer("So.") as server:
        client = make_client(server, limiter=Limiter(tokens_per_minute=6000))
        began = time.monotonic()
        for _ in range(8):
            ask_streamed(client)
        assert time.monotonic() - began > 0.6


def test_one_pause_for_all_and_the_refused_first(make_client: MakeClient) -> None:
    limiter = Limiter()
    with ScriptedServer(error(429, "slow down", headers={"retry-after-ms": "300"}), "So.") as server:
        clients = [make_client(server, limiter=limiter, max_retries=1) for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(ask, clients[0])
            until(lambda: limiter.waiting == 1)  # its retry
            second = pool.submit(ask, clients[1])
            assert [first.result(LONG_S), second.result(LONG_S)] == ["So.", "So."]
        refused, *others = server.journal.entries
        assert refused.ended_at is not None
        assert all(entry.received_at - refused.ended_at >= 0.29 for entry in others)


@pytest.mark.parametrize("new_limiter", [Limiter, lambda: Limiter(concurrency=50), AdaptiveLimiter])
def test_a_hundred_questions_at_once_to_a_server_that_takes_forty_a_second(
    make_client: MakeClient, new_limiter: Callable[[], Limiter]
) -> None:
    """Without a limiter 80 + 60 + 40 + 20 are refused. With one at most the first 80, and about 10 in each window.

    How often one call is refused depends on when its thread gets to run; `tests/protocol` says it for ideal ones.
    """
    window = Window(20)
    with ScriptedServer(window.answer) as server, ThreadPoolExecutor(100) as pool:
        client = make_client(server, limiter=new_limiter(), max_retries=10)
        jobs = [pool.submit(ask_streamed, client) for _ in range(100)]
        assert [job.result(60) for job in jobs] == ["So."] * 100
    assert window.refused < 150


def test_the_wait_counts_for_the_complete_call_alone(make_client: MakeClient) -> None:
    limiter = Limiter(concurrency=1)
    permit = limiter.request()
    with ScriptedServer("So.") as server:
        client = make_client(server, limiter=limiter, timeout=Timeout(connect_s=1, first_chunk_s=0.1, total_s=0.3))
        with pytest.raises(APITimeoutError) as caught:
            ask_streamed(client)
        assert caught.value.phase == "total"
        assert "waiting for the limiter" in str(caught.value)
        assert (limiter.waiting, server.journal.requests) == (0, [])
        permit.release()
        assert ask_streamed(client) == "So."


def test_close_wakes_who_waits_for_a_permit(make_client: MakeClient) -> None:
    limiter = Limiter(concurrency=1)
    limiter.request()
    with ScriptedServer("So.") as server, ThreadPoolExecutor(1) as pool:
        stream = make_client(server, limiter=limiter).chat_completion_stream(REQUEST)
        chunks = pool.submit(list, stream)
        until(lambda: limiter.waiting == 1)
        stream.close()
        assert chunks.result(LONG_S) == []
        assert stream.state == "stopped"
        assert limiter.waiting == 0


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize(
    "script",
    [
        "So.",
        error(400, "no"),
        error(500, "no"),
        [role(), text("So")],
        [role(), text("So"), error(500, "no")],
        [role(), text("So"), finish("length"), done()],
    ],
    ids=["complete", "400", "500", "truncated", "broken", "cut"],
)
def test_the_permit_comes_back_however_it_ends(make_client: MakeClient, script: ScriptLike) -> None:
    limiter = Limiter(concurrency=1)
    with ScriptedServer(script) as server:  # type: ignore[arg-type]
        client = make_client(server, limiter=limiter)
        for call in (ask, ask_streamed):
            try:
                call(client)
            except ChatCompletionError:
                pass
            assert (limiter.running, limiter.waiting) == (0, 0)


def test_the_permit_comes_back_when_the_stream_is_left(make_client: MakeClient) -> None:
    limiter = Limiter(concurrency=1)
    with ScriptedServer([role(), text("So"), Gate()]) as server:
        client = make_client(server, limiter=limiter)
        with client.chat_completion_stream(REQUEST) as stream:
            next(stream)
            assert limiter.running == 1
        assert limiter.running == 0
        for _chunk in client.chat_completion_stream(REQUEST):
            break
        gc.collect()
        until(lambda: limiter.running == 0)


def test_threads_and_tasks_of_both_clients_share_one() -> None:
    crowd, limiter = Crowd(), Limiter(concurrency=4)
    with ScriptedServer(crowd.answer) as server, ThreadPoolExecutor(10) as pool:

        async def ask_all() -> list[str]:
            async with AsyncClient("k", server.base_url, proxy="", limiter=limiter) as client:
                answers = await asyncio.gather(*(client.chat_completion(REQUEST) for _ in range(12)))
                return [answer.text for answer in answers]

        sync = Client("k", server.base_url, proxy="", limiter=limiter)
        loops = [pool.submit(lambda: asyncio.run(ask_all())) for _ in range(2)]
        threads = [pool.submit(ask, sync) for _ in range(12)]
        assert [job.result(LONG_S) for job in loops] == [["So."] * 12] * 2
        assert [job.result(LONG_S) for job in threads] == ["So."] * 12
    assert crowd.most == 4


def test_a_cancelled_task_takes_no_permit() -> None:
    limiter = Limiter(concurrency=1)
    permit = limiter.request()

    async def cancelled(client: AsyncClient) -> None:
        task = asyncio.create_task(client.chat_completion(REQUEST))
        while limiter.waiting == 0:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with ScriptedServer("So.") as server:
        asyncio.run(cancelled(AsyncClient("k", server.base_url, proxy="", limiter=limiter)))
        assert (limiter.waiting, permit.granted, server.journal.requests) == (0, True, [])


def test_the_wait_for_a_permit_is_no_slowness_of_the_server() -> None:
    """So that a window does not stop growing because it is small."""
    seen: list[float | None] = []

    class Noting(LimiterState):
        def end(self, outcome: AttemptResult, *, started_at: float, cost: float, accepted: bool, now: float) -> None:
            seen.append(outcome.time_to_first_token_s)
            super().end(outcome, started_at=started_at, cost=cost, accepted=accepted, now=now)

    class NotingLimiter(Limiter):
        def _new_state(self) -> LimiterState:
            return Noting(*self._limits)

    with ScriptedServer([pause(0.1), *reply("So.")]) as server, ThreadPoolExecutor(4) as pool:
        client = Client("k", server.base_url, proxy="", limiter=NotingLimiter(concurrency=1))
        for job in [pool.submit(ask_streamed, client) for _ in range(4)]:
            job.result(LONG_S)
    assert len(seen) == 4
    assert all(first_token_s is not None and first_token_s >= 0.1 for first_token_s in seen)
    assert (seen[-1] or 0) < 0.4  # the last has waited for three others, 0.1 s each, before its own 0.1 s
