"""How many requests a server takes at once, found out while it works: `firsttoken.batch.AdaptiveLimiter`.

The window is measured in rounds: of as many completions as it is wide, after as many others that began before the last
change or right behind it. A round tells what the window delivers, by Little's law: requests in flight, times tokens,
over the seconds that they took. (Counting completions by the clock would not do: requests that began together end
together.)

    slow start   the window grows by up to twice while a round delivers 3 % more than the one before,
                 and the time to the first token stays under twice its best
    refine       back to the best window, and on by up to a quarter, on the same conditions
    hold         back to the best window; another attempt to grow after 4 rounds, then 8, … 32
"""

import math
import random
from collections.abc import Callable
from statistics import median
from typing import Final

from firsttoken import Limiter
from firsttoken._protocol.limits import AttemptResult, LimiterState
from firsttoken._protocol.retry import OVERLOAD_STATUSES

FIRST_WINDOW: Final = 2
MIN_GAIN: Final = 1.03
MAX_SLOWDOWN: Final = 2.0
IGNORED_SLOWDOWN_S: Final = 0.1
"""A first token that comes so much later is not held against a window: nobody waits for it, and clocks are coarse."""

CUT: Final = 0.75
SLOW_START: Final = 2.0
REFINE: Final = 1.25
JITTER: Final = 0.25
"""By up to this part growth is cut at random, so that several runs against one server do not grow in step."""

FULL: Final = 0.8
"""How much of the window must be in use for a round to tell something about it."""

MIN_HOLD: Final = 4
MAX_HOLD: Final = 32
MIN_ROUND: Final = 3


class _Round:
    """What was measured of a window.

    Attributes:
        began_at: what started before does not count.
        to_skip: completions that are still to be passed over, since the change of the window shows in them.
        count: how many were measured.
    """

    def __init__(self, began_at: float, to_skip: int) -> None:
        self.began_at = began_at
        self.to_skip = to_skip
        self.count = 0
        self._tokens = 0
        self._slot_s = 0.0
        self._watched_s = 0.0
        self._running_s = 0.0
        self._first_token_s: list[float] = []

    def watch(self, running: int, seconds: float) -> None:
        """Note how many requests were in flight, and for how long."""
        if self.to_skip == 0:
            self._watched_s += seconds
            self._running_s += running * seconds

    def add(self, tokens: int, duration_s: float, first_token_s: float | None) -> None:
        """Measure a completion."""
        self.count += 1
        self._tokens += tokens
        self._slot_s += duration_s
        if first_token_s is not None:
            self._first_token_s.append(first_token_s)

    @property
    def running(self) -> float:
        """How many requests were in flight, on average."""
        return self._running_s / max(self._watched_s, 1e-9)

    @property
    def tokens_per_s(self) -> float:
        return self.running * self._tokens / max(self._slot_s, 1e-9)

    @property
    def first_token_s(self) -> float | None:
        return median(self._first_token_s) if self._first_token_s else None


class AdaptiveState(LimiterState):
    """The accounting of a limiter, with a window that changes; see this module's docstring. Reads no clock.

    Attributes:
        tokens_per_s: what the last round delivered.
    """

    def __init__(
        self,
        max_concurrency: int | None,
        per_minute: float | None,
        tokens_per_minute: float | None,
        random: Callable[[], float],
    ) -> None:
        super().__init__(max_concurrency, per_minute, tokens_per_minute)
        self._max_window = self.window
        self._random = random
        self.window = min(FIRST_WINDOW, self._max_window)
        self.tokens_per_s = 0.0
        self._round = _Round(-math.inf, 0)
        self._best_window = self.window
        self._best_tokens_per_s: float | None = None
        self._best_first_token_s = math.inf
        self._growth = SLOW_START
        self._hold = 0
        self._next_hold = MIN_HOLD
        self._cut_at = -math.inf
        self._watched_at = -math.inf

    def start(self, tokens: int, now: float) -> float:
        """Count an attempt that starts."""
        self._watch(now)
        return super().start(tokens, now)

    def end(self, outcome: AttemptResult, *, started_at: float, cost: float, accepted: bool, now: float) -> None:
        """Count an attempt that has ended, and set the window."""
        self._watch(now)
        super().end(outcome, started_at=started_at, cost=cost, accepted=accepted, now=now)
        if outcome.kind == "failed" and outcome.status in OVERLOAD_STATUSES:
            if started_at > self._cut_at:  # else of the same burst
                self._cut(now)
        elif outcome.kind == "complete" and started_at >= self._round.began_at:
            self._measure(outcome, now - started_at, now)

    def _watch(self, now: float) -> None:
        if self._watched_at > -math.inf:
            self._round.watch(self.running, max(0.0, now - self._watched_at))
        self._watched_at = now

    def _measure(self, outcome: AttemptResult, duration_s: float, now: float) -> None:
        one = self._round
        if one.to_skip > 0:
            one.to_skip -= 1
            return
        one.add(outcome.completion_tokens or 1, duration_s, outcome.time_to_first_token_s)
        if one.count >= max(MIN_ROUND, int(self.window)):
            self._end_round(one, now)

    def _end_round(self, one: _Round, now: float) -> None:
        self.tokens_per_s = one.tokens_per_s
        self._round = _Round(now, 0)
        first_token_s = one.first_token_s
        if first_token_s is not None:
            self._best_first_token_s = min(self._best_first_token_s, first_token_s)
        if self._hold > 0:
            self._best_tokens_per_s = one.tokens_per_s
            self._hold -= 1
            if self._hold == 0:
                self._try_more(one, now)
        elif self._best_tokens_per_s is None or self._is_better(one):
            self._best_window, self._best_tokens_per_s = self.window, one.tokens_per_s
            self._try_more(one, now)
        elif self._growth > REFINE:
            self._growth = REFINE
            self._set_window(self._best_window, now)
            self._try_more(one, now)
        else:
            self._set_window(self._best_window, now)
            self._hold, self._next_hold = self._next_hold, min(self._next_hold * 2, MAX_HOLD)

    def _is_better(self, one: _Round) -> bool:
        assert self._best_tokens_per_s is not None  # noqa: S101 - for the type checkers
        best_s, first_token_s = self._best_first_token_s, one.first_token_s
        is_prompt = first_token_s is None or first_token_s < max(MAX_SLOWDOWN * best_s, best_s + IGNORED_SLOWDOWN_S)
        return is_prompt and one.tokens_per_s >= MIN_GAIN * self._best_tokens_per_s

    def _try_more(self, one: _Round, now: float) -> None:
        """Grow, if the window is what holds requests back."""
        if one.running < FULL * self.window or self.window >= self._max_window:
            self._hold = 1
            return
        factor = 1 + (self._growth - 1) * (1 - JITTER * self._random())
        self._set_window(max(self.window + 1, self.window * factor), now)

    def _cut(self, now: float) -> None:
        self._cut_at = now
        self._growth = REFINE
        self._hold, self._next_hold = MIN_HOLD, MIN_HOLD
        self._best_tokens_per_s = None
        self._set_window(max(1.0, self.window * CUT), now)
        self._best_window = self.window

    def _set_window(self, window: float, now: float) -> None:
        self.window = min(float(int(window)), self._max_window)
        self._round = _Round(now, int(self.window))


class AdaptiveLimiter(Limiter):
    """A limiter that finds out by itself how many requests at once a server takes.

    It starts with 2 and grows while that gains something: while the delivered tokens per second grow by 3 % or more,
    and the time to the first token stays under twice its best. A burst of responses 429 or 503 cuts it by a quarter,
    once. For many requests that nobody waits for, as in a batch; what it does in the time that a few take is not much.

    Args:
        max_concurrency: it never grows beyond; None for no bound.
        requests_per_minute: as for `Limiter`.
        tokens_per_minute: as for `Limiter`.

    Raises:
        ConfigurationError: one of them is not above 0.
    """

    def __init__(
        self,
        max_concurrency: int | None = 512,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
    ) -> None:
        self._init_limits(max_concurrency, requests_per_minute, tokens_per_minute)

    def _new_state(self) -> LimiterState:
        return AdaptiveState(*self._limits, random.random)

    @property
    def window(self) -> int:
        """How many requests may be under way at once now."""
        return int(self._gate().state.window)


AdaptiveLimiter.__module__ = "firsttoken.batch"
