"""The window that adapts against a real server that queues and never refuses, beside the best fixed one."""

import asyncio
import threading
from statistics import quantiles

import pytest

from firsttoken import AsyncClient, Limiter
from firsttoken.batch import AdaptiveLimiter, arun
from firsttoken.testing import Request, ScriptedServer, ScriptLike, pause, reply

SLOTS = 8
SERVICE_S = 0.3
ROWS = 500


class Queue:
    """Scripts that wait for one of a few slots before the first token, and hold it for the time of the answer."""

    def __init__(self) -> None:
        self._slots = threading.Semaphore(SLOTS)

    def answer(self, _request: Request) -> ScriptLike:
        self._slots.acquire()
        threading.Timer(SERVICE_S, self._slots.release).start()
        return [*reply("one two three")[:2], pause(SERVICE_S), *reply("one two three")[2:]]


async def send(limiter: Limiter, base_url: str) -> tuple[float, float]:
    """Rows per second, and the 99th percentile of the duration, of the second half."""
    loop = asyncio.get_running_loop()
    ended_at: list[float] = []
    durations: list[float] = []
    prompts = [f"prompt {number}" for number in range(ROWS)]
    async with (
        AsyncClient("k", base_url, proxy="") as client,
        arun(prompts, model="m", client=client, limiter=limiter) as results,
    ):
        async for result in results:
            assert result.completion is not None
            assert result.completion.timing is not None
            ended_at.append(loop.time())
            durations.append(result.completion.timing.duration_s or 0.0)
    half = ROWS // 2
    return half / (ended_at[-1] - ended_at[half - 1]), quantiles(durations[half:], n=100)[98]


@pytest.mark.slow
def test_it_settles_beside_the_best_fixed_window() -> None:
    with ScriptedServer(Queue().answer) as server:
        found, found_p99_s = asyncio.run(send(AdaptiveLimiter(), server.base_url))
        best, best_p99_s = asyncio.run(send(Limiter(SLOTS), server.base_url))
    print(f"\nadaptive {found:.1f} rows/s, p99 {found_p99_s:.2f} s; fixed at {SLOTS}: {best:.1f}, {best_p99_s:.2f} s")
    assert found > 0.8 * best
    assert found_p99_s < 3 * best_p99_s
