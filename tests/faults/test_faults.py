"""Every fault in the way of every client, in every style: the outcome that was promised, in time, and nothing lost."""

import asyncio
import re

import pytest

from firsttoken import ChatCompletion, ChatCompletionChunk, Timeout
from firsttoken.errors import APIStatusError, APITimeoutError
from firsttoken.sansio import Accumulator
from firsttoken.testing import FAULTS, Fault, ScriptedServer
from tests.faults import drivers, expected, page
from tests.faults.drivers import LONG, Driver, Outcome, timeout_for
from tests.faults.expected import DEADLINE_S, Expected
from tests.support.errors import message_of

_BEFORE_THE_HEAD = [fault for fault in FAULTS if fault.where == "before the head"]
_LONGEST_S = 5.0
"""What nothing may take that ends by itself: the deadlines are at ten seconds then."""


def check(fault: Fault, wanted: Expected, outcome: Outcome, server: ScriptedServer) -> None:
    assert outcome.has_left
    assert outcome.elapsed_s < (DEADLINE_S + 2.0 if fault.needs_deadline else _LONGEST_S)
    assert (wanted.kind is None) == fault.is_complete
    if wanted.kind is None:
        assert outcome.failure is None
        assert outcome.whole is not None
        assert outcome.whole.text == fault.text
    else:
        check_failure(fault, wanted, outcome, server.port)


def check_failure(fault: Fault, wanted: Expected, outcome: Outcome, port: int) -> None:
    failure = outcome.failure
    assert type(failure) is wanted.kind
    assert failure is not None
    message = message_of(failure).replace(f"127.0.0.1:{port}", "SERVER")
    pattern = ".*".join(map(re.escape, wanted.words.split("…")))
    assert re.fullmatch(pattern, message, re.DOTALL)
    assert outcome.whole is None
    assert failure.chunks_received == len(outcome.chunks)
    assert (failure.partial is None) == (not outcome.chunks)
    if failure.partial is not None:
        assert failure.partial.text == fault.text
        assert failure.partial.choices == accumulated(outcome.chunks).choices
    if isinstance(failure, APIStatusError):
        assert (failure.status, failure.in_stream) == (fault.status, wanted.in_stream)
    if isinstance(failure, APITimeoutError):
        assert failure.phase == wanted.phase
        assert outcome.elapsed_s >= DEADLINE_S * 0.99


def accumulated(chunks: list[ChatCompletionChunk]) -> ChatCompletion:
    accumulator = Accumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    return accumulator.completion


def test_the_table_and_the_faults_are_the_same() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)
    assert set(expected.STREAMED) == set(names)
    assert set(expected.BLOCKING) == {fault.name for fault in _BEFORE_THE_HEAD}


@pytest.mark.parametrize("driver", drivers.STREAMED)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_stream_keeps_its_promises(fault: Fault, driver: Driver) -> None:
    wanted = expected.STREAMED[fault.name]
    with ScriptedServer(fault) as server:
        outcome = driver(server, timeout_for(fault, wanted), 0)
        assert outcome.text == fault.text
        check(fault, wanted, outcome, server)
    assert outcome.state in (None, "complete" if fault.is_complete else "failed")
    assert page.row(fault, outcome, server.port) == page.committed_rows()[fault.name]


@pytest.mark.parametrize("driver", drivers.BLOCKING)
@pytest.mark.parametrize("fault", _BEFORE_THE_HEAD)
def test_a_blocking_call_keeps_its_promises(fault: Fault, driver: Driver) -> None:
    wanted = expected.BLOCKING[fault.name]
    with ScriptedServer(fault) as server:
        check(fault, wanted, driver(server, timeout_for(fault, wanted), 0), server)


@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if not fault.is_complete and fault.script.accepts_connections]
)
def test_what_may_pass_is_tried_again_and_nothing_else_is(fault: Fault) -> None:
    """Sync and asyncio at the same time, to wait out the retries' delays but once."""
    timeout = timeout_for(fault, expected.STREAMED[fault.name])

    async def both() -> None:
        threads = (
            asyncio.to_thread(ask_again, fault, timeout, driver)
            for driver in (drivers.sync_iterator, drivers.async_iterator)
        )
        await asyncio.gather(*threads)

    asyncio.run(both())


def ask_again(fault: Fault, timeout: Timeout, driver: Driver) -> None:
    with ScriptedServer(fault, "A good answer") as server:
        outcome = driver(server, timeout, 1)
    assert (outcome.failure is None) == fault.is_retried
    assert outcome.text == ("A good answer" if fault.is_retried else fault.text)
    assert max(1, len(server.journal.requests)) == (2 if fault.is_retried and fault.script.waits_for_request else 1)


@pytest.mark.parametrize(
    ("name", "asked_s"),
    [("retry-after-seconds", 1), ("retry-after-date", 1), ("retry-after-ms", 0.02), ("retry-after-an-hour", 3600)],
)
def test_the_wait_that_a_server_asks_for_is_in_the_error(name: str, asked_s: float) -> None:
    with ScriptedServer(named(name)) as server:
        failure = drivers.sync_iterator(server, LONG, 0).failure
    assert isinstance(failure, APIStatusError)
    assert failure.retry_after_s == asked_s


def test_the_tool_call_that_was_cut_is_in_the_error() -> None:
    with ScriptedServer(named("tool-call-cut")) as server:
        failure = drivers.sync_iterator(server, LONG, 0).failure
    assert failure is not None
    assert failure.partial is not None
    (call,) = failure.partial.choices[0].message.tool_calls or []
    assert call.function is not None
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city": "Par')


def named(name: str) -> Fault:
    (fault,) = [fault for fault in FAULTS if fault.name == name]
    return fault
