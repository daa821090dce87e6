"""What a limiter lets start, and when: the accounting, with a clock that the test moves."""

import math

import pytest

from firsttoken._protocol.limits import MAX_PAUSE_S, AttemptResult, LimiterState

COMPLETE = AttemptResult("complete")


def refused(retry_after_s: float | None, status: int = 429) -> AttemptResult:
    return AttemptResult("failed", status=status, retry_after_s=retry_after_s)


class Clocked:
    """A state with a clock that the test moves."""

    def __init__(
        self, concurrency: int | None = None, per_minute: float | None = None, tokens_per_minute: float | None = None
    ) -> None:
        self.state = LimiterState(concurrency, per_minute, tokens_per_minute)
        self.now = 1000.0

    def wait_s(self, tokens: int = 0) -> float:
        return self.state.ready_at(tokens, self.now) - self.now

    def start(self, tokens: int = 0) -> tuple[float, float]:
        assert self.wait_s(tokens) == 0
        return self.now, self.state.start(tokens, self.now)

    def start_all(self, most: int = 1000) -> list[tuple[float, float]]:
        started: list[tuple[float, float]] = []
        while len(started) < most and self.wait_s() == 0:
            started.append(self.start())
        return started

    def end(self, started: tuple[float, float], outcome: AttemptResult = COMPLETE, *, accepted: bool = False) -> None:
        self.state.end(outcome, started_at=started[0], cost=started[1], accepted=accepted, now=self.now)


def test_concurrency_bounds_what_runs() -> None:
    clocked = Clocked(concurrency=2)
    first, _ = clocked.start(), clocked.start()
    assert clocked.wait_s() == math.inf
    clocked.end(first)
    assert clocked.wait_s() == 0


@pytest.mark.parametrize(
    ("per_minute", "at_once", "then_every_s"), [(60, 1, 1.0), (1200, 2, 0.05), (30, 1, 2.0), (0.5, 1, 120.0)]
)
def test_requests_per_minute_are_spread_evenly(per_minute: float, at_once: int, then_every_s: float) -> None:
    clocked = Clocked(per_minute=per_minute)
    assert len(clocked.start_all()) == at_once
    for _ in range(3):
        assert clocked.wait_s() == pytest.approx(then_every_s, abs=1e-4)
        clocked.now += clocked.wait_s() + 1e-6
        clocked.start()


def test_no_minute_has_more_than_its_share() -> None:
    clocked = Clocked(per_minute=600)
    started = 0
    end_of_minute = clocked.now + 60
    while clocked.now < end_of_minute:
        started += len(clocked.start_all())
        clocked.now += 0.05
    assert 599 <= started <= 601


def test_tokens_are_corrected_by_what_the_server_counted() -> None:
    clocked = Clocked(tokens_per_minute=6000)  # 100 a second, 10 at once
    started = clocked.start(tokens=100)
    assert clocked.wait_s(tokens=1) == pytest.approx(0.91)
    clocked.end(started, AttemptResult("complete", total_tokens=600))
    assert clocked.wait_s(tokens=0) == pytest.approx(6.0), "5.9 s to make up for, and 0.1 s to be full"
    clocked.now += 6.0
    cheaper = clocked.start(tokens=100)
    clocked.end(cheaper, AttemptResult("complete", total_tokens=100))
    assert cheaper[1] == 600, "what the call before used"


def test_a_call_larger_than_the_bucket_starts_when_that_is_full() -> None:
    clocked = Clocked(tokens_per_minute=6000)
    clocked.start(tokens=50)
    assert clocked.wait_s(tokens=50) == pytest.approx(0.5), "0.4 s to make up for, 0.1 s to be full"


def test_the_estimate_follows_the_calls() -> None:
    clocked = Clocked(tokens_per_minute=1e9)
    for _ in range(400):
        clocked.end(clocked.start(), AttemptResult("complete", total_tokens=200))
        clocked.now += 1
    assert clocked.state.estimate(0) == pytest.approx(200)
    for _ in range(200):
        clocked.end(clocked.start(), AttemptResult("complete", total_tokens=50))
        clocked.now += 1
    assert clocked.state.estimate(0) == pytest.approx(50, abs=1)


@pytest.mark.parametrize(
    ("outcome", "pause_s"),
    [
        (refused(2.0), 2.0),
        (refused(2.0, status=503), 2.0),
        (refused(2.0, status=529), 2.0),
        (refused(3600.0), MAX_PAUSE_S),
        (refused(None), 0.0),
        (refused(2.0, status=400), 0.0),
        (refused(2.0, status=500), 0.0),
        (COMPLETE, 0.0),
    ],
)
def test_an_overloaded_server_is_left_alone_as_long_as_it_asked(outcome: AttemptResult, pause_s: float) -> None:
    clocked = Clocked()
    clocked.end(clocked.start(), outcome)
    assert clocked.wait_s() == pytest.approx(pause_s)


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    clocked = Clocked()
    first, second = clocked.start(), clocked.start()
    clocked.end(first, refused(5.0))
    clocked.end(second, refused(1.0))
    assert clocked.wait_s() == pytest.approx(5.0)


def test_after_a_pause_calls_come_back_little_by_little() -> None:
    clocked = Clocked()
    started = clocked.start_all(100)
    for one in started[:20]:
        clocked.end(one)
    for one in started[20:]:
        clocked.end(one, refused(1.0))
    clocked.now += 1.0
    again = clocked.start_all(100)
    assert len(again) == 10, "half of those that were accepted before"
    for one in again:
        clocked.state.accept()
        clocked.end(one, accepted=True)
    again = clocked.start_all(100)
    assert len(again) == 10, "and one more when so many were accepted"
    for one in again:
        clocked.end(one)
    assert len(clocked.start_all(100)) == 11


def test_a_minute_without_refusals_ends_it() -> None:
    clocked = Clocked()
    for one in clocked.start_all(5):
        clocked.end(one, refused(1.0))
    clocked.now += 1.0
    assert len(clocked.start_all(100)) == 1
    clocked.now += 60.0
    assert clocked.wait_s() == math.inf
    clocked.now += 0.1
    assert len(clocked.start_all(100)) == 100


def test_what_was_under_way_when_the_pause_began_is_one_burst() -> None:
    clocked = Clocked()
    started = clocked.start_all(60)
    for one in started[:40]:
        clocked.end(one)
    for one in started[40:]:
        clocked.end(one, refused(1.0))
        clocked.now += 0.001
    clocked.now += 1.0
    assert len(clocked.start_all(100)) == 20


def test_a_server_that_only_refuses_is_tried_with_one() -> None:
    clocked = Clocked()
    for one in clocked.start_all(5):
        clocked.end(one, refused(1.0))
    clocked.now += 1.0
    assert len(clocked.start_all(5)) == 1


@pytest.mark.parametrize("concurrency", [None, 50])
@pytest.mark.parametrize("latency_s", [0.001, 0.02, 0.2])
def test_a_hundred_calls_get_through_with_two_retries_where_forty_a_second_are_taken(
    concurrency: int | None, latency_s: float
) -> None:
    """A server takes 20 in each half second. Calls queue as `Limiter` queues them: retries first."""
    clocked = Clocked(concurrency)
    queue = [(1, number) for number in range(100)]
    under_way: list[tuple[float, int, int, tuple[float, float]]] = []
    window_began_at, taken, done = -math.inf, 0, 0
    while done < 100:
        while queue and clocked.wait_s() == 0:
            attempt, number = min(queue, key=lambda one: (-one[0], one[1]))
            queue.remove((attempt, number))
            under_way.append((clocked.now + latency_s, attempt, number, clocked.start()))
        if not under_way:
            clocked.now += clocked.wait_s()
            continue
        ended_at, attempt, number, started = under_way.pop(0)
        clocked.now = max(clocked.now, ended_at)
        if clocked.now - window_began_at >= 0.5:
            window_began_at, taken = clocked.now, 0
        taken += 1
        if taken <= 20:
            done += 1
            clocked.end(started)
        else:
            assert attempt <= 2
            clocked.end(started, refused(window_began_at + 0.5 - clocked.now))
            queue.append((attempt + 1, number))
