"""Running coroutines: under asyncio's loop and under uvloop, with nothing left behind."""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from tests.support.clients import clean_env

__all__ = ["Run", "clean_env", "run"]

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs a coroutine in a loop of its own; what the loop would only log, and tasks left over, are failures."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    complaints: list[dict[str, Any]] = []

    def run_in_loop(coroutine: Coroutine[Any, Any, Any]) -> Any:
        async def watched() -> Any:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
            result = await coroutine
            gc.collect()
            for _ in range(3):  # what closing has put off to the next turns of the loop
                await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return result

        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(watched())

    yield run_in_loop
    gc.collect()
    assert not complaints
