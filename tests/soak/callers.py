"""The callers of a soak: threads with the sync client, tasks with the asyncio client, each with its ways to leave."""

import asyncio
import threading
from collections.abc import Callable

from firsttoken import STOP, AsyncClient, Client
from firsttoken.errors import ChatCompletionError
from tests.soak.scenarios import LEFT_EARLY, Scenario, check

Take = Callable[[], Scenario | None]
"""Gives the next job; None where all are taken."""

Report = Callable[[Scenario, str | None], None]
"""Is told what is wrong with a stream's outcome, or that nothing is."""


def run_threads(count: int, base_url: str, take: Take, report: Report) -> None:
    """Work with one sync client in so many threads."""

    def work() -> None:
        while (scenario := take()) is not None:
            report(scenario, _outcome_of_thread(client, scenario))

    with Client(base_url=base_url, max_retries=0) as client:
        threads = [threading.Thread(target=work) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _outcome_of_thread(client: Client, scenario: Scenario) -> str | None:
    """Read a stream, or leave it early; what is raised besides the errors of this package is a problem too."""
    try:
        if scenario.kind in LEFT_EARLY:
            return _leave_thread(client, scenario)
        stream = client.chat_completion_stream(scenario.request, timeout=scenario.timeout)
        try:
            return check(scenario, stream.final_completion(), None)
        except ChatCompletionError as failure:
            return check(scenario, None, failure)
    except Exception as error:
        return f"{error!r} is none of our errors"


def _leave_thread(client: Client, scenario: Scenario) -> str | None:
    if scenario.kind == "stop":
        text = client.chat_completion_stream(scenario.request, lambda chunk: STOP if chunk.text else None).text
        return None if scenario.text.startswith(text) else f"{text!r} is not the beginning of {scenario.text!r}"
    stream = client.chat_completion_stream(scenario.request)
    next(stream)
    if scenario.kind == "cancel":
        closer = threading.Thread(target=stream.close)
        closer.start()
        text = "".join(stream.iter_text())  # ends when the other thread has closed it, or with the answer
        closer.join()
        return None if scenario.text.startswith(text) else f"{text!r} is not the beginning of {scenario.text!r}"
    if scenario.kind == "close":
        stream.close()
    return None  # "break": the last reference goes


async def run_tasks(count: int, base_url: str, take: Take, report: Report) -> int:
    """Work with one asyncio client in so many tasks; give how many tasks are left over."""

    async def work() -> None:
        while (scenario := take()) is not None:
            report(scenario, await _outcome_of_task(client, scenario))

    async with AsyncClient(base_url=base_url, max_retries=0) as client:
        await asyncio.gather(*(work() for _ in range(count)))
    return len(asyncio.all_tasks()) - 1


async def _outcome_of_task(client: AsyncClient, scenario: Scenario) -> str | None:
    try:
        if scenario.kind in LEFT_EARLY:
            return await _leave_task(client, scenario)
        stream = client.chat_completion_stream(scenario.request, timeout=scenario.timeout)
        try:
            return check(scenario, await stream.final_completion(), None)
        except ChatCompletionError as failure:
            return check(scenario, None, failure)
    except Exception as error:
        return f"{error!r} is none of our errors"


async def _leave_task(client: AsyncClient, scenario: Scenario) -> str | None:
    if scenario.kind == "stop":
        completion = await client.chat_completion_stream(scenario.request, lambda chunk: STOP if chunk.text else None)
        return None if scenario.text.startswith(completion.text) else f"{completion.text!r} is not of {scenario.text!r}"
    stream = client.chat_completion_stream(scenario.request)
    if scenario.kind == "cancel":
        return await _cancel(asyncio.create_task(stream.final_completion()), turns=scenario.number % 20)
    async with stream:
        await anext(stream)
        if scenario.kind == "close":
            await stream.aclose()
    return None


async def _cancel(task: "asyncio.Task[object]", turns: int) -> str | None:
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    return None
