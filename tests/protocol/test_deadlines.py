"""firsttoken._protocol.deadlines: which deadline is next, and what its passing means."""

from firsttoken import Timeout
from firsttoken._protocol.deadlines import Deadlines

TIMEOUT = Timeout(connect_s=10, first_chunk_s=60, idle_s=30, total_s=None)
INFINITY = float("inf")


def of(timeout: Timeout = TIMEOUT) -> Deadlines:
    return Deadlines(timeout, 100.0, "api.test:443")


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
