"""firsttoken._protocol.deadlines: which deadline is next, and what its passing means."""

import pytest

from firsttoken import Timeout
from firsttoken._protocol.deadlines import Deadlines
from firsttoken.errors import APITimeoutError

TIMEOUT = Timeout(connect_s=10, first_chunk_s=60, idle_s=30, total_s=None)
INFINITY = float("inf")


def of(timeout: Timeout = TIMEOUT) -> Deadlines:
    return Deadlines(timeout, 100.0, "api.test:443")


def test_nothing_is_due_before_the_first_step() -> None:
    assert of().deadline == INFINITY
    assert of().remaining_s(200.0) is None


def test_each_phase_has_its_deadline() -> None:
    deadlines = of()
    deadlines.connecting(100.0)
    assert (deadlines.deadline, deadlines.phase) == (110.0, "connect")
    deadlines.requesting(103.0)
    assert (deadlines.deadline, deadlines.phase) == (163.0, "first_chunk")
    deadlines.progressed(105.0)
    assert (deadlines.deadline, deadlines.phase) == (135.0, "idle")
    deadlines.progressed(106.0)
    assert deadlines.deadline == 136.0
    deadlines.connecting(200.0)
    assert (deadlines.deadline, deadlines.phase) == (210.0, "connect")


def test_the_total_goes_on_over_all_phases() -> None:
    deadlines = of(Timeout(connect_s=10, total_s=25))
    deadlines.connecting(100.0)
    assert deadlines.deadline == 110.0
    deadlines.connecting(120.0)
    assert deadlines.deadline == 125.0
    assert deadlines.remaining_s(120.0) == 5.0
    assert deadlines.error().phase == "total"


def test_no_deadline() -> None:
    deadlines = of(Timeout(connect_s=None, first_chunk_s=None, idle_s=None))
    for step in (deadlines.connecting, deadlines.requesting, deadlines.progressed):
        step(100.0)
        assert deadlines.deadline == INFINITY


def test_the_callers_own_time_does_not_count_save_for_the_total() -> None:
    deadlines = of(Timeout(idle_s=30, total_s=1000))
    deadlines.progressed(100.0)
    deadlines.paused(50.0, 155.0)
    assert deadlines.deadline == 180.0
    assert deadlines.remaining_s(155.0) == 945.0
    deadlines.paused(5000.0, 5155.0)
    assert deadlines.deadline == 1100.0


def test_a_pause_gives_no_more_time_than_there_is_from_then_on() -> None:
    deadlines = of(Timeout(idle_s=30))
    deadlines.progressed(100.0)
    deadlines.paused(50.0, 110.0)
    assert deadlines.deadline == 140.0
    unlimited = of(Timeout(idle_s=None))
    unlimited.progressed(100.0)
    unlimited.paused(50.0, 150.0)
    assert unlimited.deadline == INFINITY


@pytest.mark.parametrize(
    ("step", "phase", "message"),
    [
        ("connecting", "connect", "timed out after 10 s (connect_s) connecting to api.test:443"),
        (
            "requesting",
            "first_chunk",
            "timed out after 60 s (first_chunk_s) waiting for the first token from api.test:443",
        ),
        ("progressed", "idle", "timed out after 30 s (idle_s) waiting for the next token from api.test:443"),
    ],
)
def test_the_message_names_the_setting_and_the_server(step: str, phase: str, message: str) -> None:
    deadlines = of()
    getattr(deadlines, step)(100.0)
    error = deadlines.error()
    assert isinstance(error, APITimeoutError)
    assert (error.phase, str(error), error.retryable) == (phase, message, phase == "connect")


def test_the_message_of_the_total() -> None:
    deadlines = of(Timeout(total_s=0.25))
    deadlines.connecting(100.0)
    assert str(deadlines.error()) == "the response from api.test:443 was not complete after 0.25 s (total_s)"
    assert not deadlines.error().retryable
