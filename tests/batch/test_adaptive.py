"""The window that finds out what a server takes, against servers of known capacity."""

import itertools
import random

import pytest

from firsttoken._protocol.limits import AttemptResult, LimiterState
from firsttoken.batch._adaptive import CUT, FIRST_WINDOW, AdaptiveState
from tests.batch.simulation import Server, simulate


def adaptive(max_concurrency: int = 512, seed: int = 1) -> AdaptiveState:
    return AdaptiveState(max_concurrency, None, None, random.Random(seed).random)


def complete(first_token_s: float = 0.1, tokens: int = 100) -> AttemptResult:
    return AttemptResult("complete", completion_tokens=tokens, time_to_first_token_s=first_token_s)


class Rounds:
    """A state whose window is always full of requests that take so long."""

    def __init__(self, state: AdaptiveState) -> None:
        self.state = state
        self.now = 0.0

    def run(self, duration_s: float = 1.0, outcome: AttemptResult | None = None, requests: int | None = None) -> float:
        """Start as many as the window lets, or so many; end them all; give the window."""
        started: list[tuple[float, float]] = []
        while (requests is None or len(started) < requests) and self.state.ready_at(0, self.now) <= self.now:
            started.append((self.now, self.state.start(0, self.now)))
        self.now += duration_s
        for started_at, cost in started:
            self.state.end(outcome or complete(), started_at=started_at, cost=cost, accepted=False, now=self.now)
        return self.state.window


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("slots", [1, 2, 3, 8, 20, 64, 300])
def test_it_settles_at_what_a_server_without_429_takes(slots: int, seed: int) -> None:
    """The best fixed window is as wide as the server has slots: wider ones only wait in its queue."""
    requests = max(600, slots * 80)
    best = simulate(Server(slots, seed=seed), LimiterState(slots, None, None), requests)
    found = simulate(Server(slots, seed=seed), adaptive(seed=seed), requests)
    assert found.settled_tokens_per_s > 0.8 * best.settled_tokens_per_s
    assert found.settled_p99_s < 3 * best.settled_p99_s


def test_it_settles_where_more_at_once_bring_nothing() -> None:
    found = simulate(Server(slots=16), adaptive(), 3000)
    assert max(window for _, window in found.windows) <= 40
    assert 12 <= found.windows[-1][1] <= 20


def test_it_stays_at_the_most() -> None:
    found = simulate(Server(slots=64), adaptive(max_concurrency=10), 2000)
    assert max(window for _, window in found.windows) == 10
    assert found.windows[-1][1] == 10


def test_a_server_that_refuses_what_is_too_much_is_found_too() -> None:
    found = simulate(Server(slots=100, refuse_above=20), adaptive(), 4000)
    settled = [window for at, window in found.windows if at > found.ended_at / 2]
    assert all(12 <= window <= 25 for window in settled)
    assert found.refused < 200


def test_nothing_grows_before_the_first_completion() -> None:
    state = adaptive()
    for _ in range(FIRST_WINDOW):
        assert state.ready_at(0, 0.0) == 0.0
        state.start(0, 0.0)
    assert state.ready_at(0, 1e6) == float("inf")
    assert state.window == FIRST_WINDOW


def test_it_grows_while_more_is_delivered() -> None:
    rounds = Rounds(adaptive())
    windows = [rounds.run() for _ in range(40)]
    assert windows == sorted(windows)
    assert windows[-1] == 512


def test_it_does_not_grow_when_a_first_token_takes_twice_as_long() -> None:
    rounds = Rounds(adaptive())
    first_token_s = [0.2 if window <= 8 else 1.0 for window in range(600)]
    windows = [rounds.run(outcome=complete(first_token_s[int(rounds.state.window)])) for _ in range(60)]
    assert max(windows) <= 16
    assert windows[-1] <= 10


def test_it_does_not_grow_without_gain() -> None:
    """So many tokens a second, however many requests share them."""
    rounds = Rounds(adaptive())
    windows = [rounds.run(duration_s=rounds.state.window) for _ in range(60)]
    assert max(windows) <= 2 * FIRST_WINDOW
    assert windows[-1] <= FIRST_WINDOW + 1


def test_it_does_not_grow_when_it_is_not_used() -> None:
    rounds = Rounds(adaptive())
    for _ in range(10):
        rounds.run()
    assert rounds.state.window > 5
    windows = [rounds.run(requests=2) for _ in range(300)]
    assert set(windows[100:]) == {windows[100]}


@pytest.mark.parametrize("status", [429, 503, 529])
def test_a_burst_of_refusals_cuts_it_once(status: int) -> None:
    rounds = Rounds(adaptive())
    while rounds.state.window < 60:
        rounds.run()
    window = rounds.state.window
    burst = AttemptResult("failed", status=status)
    started = [(rounds.now, rounds.state.start(0, rounds.now)) for _ in range(50)]
    for number, (started_at, cost) in enumerate(started):
        at = rounds.now + number * 0.01
        rounds.state.end(burst, started_at=started_at, cost=cost, accepted=False, now=at)
    assert rounds.state.window == int(window * CUT)
    rounds.now += 1
    rounds.run(outcome=burst, requests=1)
    assert rounds.state.window == int(int(window * CUT) * CUT), "what began after the cut is another burst"


@pytest.mark.parametrize(
    "outcome", [AttemptResult("failed", status=500), AttemptResult("failed"), AttemptResult("stopped")]
)
def test_other_failures_do_not_cut_it(outcome: AttemptResult) -> None:
    rounds = Rounds(adaptive())
    for _ in range(6):
        rounds.run()
    window = rounds.state.window
    rounds.run(outcome=outcome)
    assert rounds.state.window == window


def test_after_a_cut_it_grows_again_in_smaller_steps() -> None:
    rounds = Rounds(adaptive())
    while rounds.state.window < 100:
        rounds.run()
    rounds.run(outcome=AttemptResult("failed", status=429), requests=1)
    windows = [rounds.run() for _ in range(60)]
    assert windows == sorted(windows)
    assert windows[-1] > 100
    assert all(after <= before * 1.25 + 1 for before, after in itertools.pairwise(windows))


def test_it_never_goes_below_one() -> None:
    rounds = Rounds(adaptive())
    for _ in range(20):
        rounds.run(outcome=AttemptResult("failed", status=429))
    assert rounds.state.window == 1
    assert rounds.state.ready_at(0, rounds.now) == rounds.now
