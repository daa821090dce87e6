"""How many calls may run at once, and how many may start in a minute: the accounting behind `firsttoken.Limiter`."""

import math
from typing import Final, Literal, NamedTuple

from firsttoken._protocol.retry import OVERLOAD_STATUSES

MAX_PAUSE_S: Final = 60.0
"""Longer waits requested by a server are capped at this, since no retry waits longer; the next refusal pauses anew."""

BURST_S: Final = 0.1
"""How much of a minute's budget may be used at once. Servers enforce 1,200 a minute as 20 a second, so that a larger
burst would only be refused."""

_MEAN_OF: Final = 32
"""Over about how many calls the use of tokens is averaged."""


class AttemptResult(NamedTuple):
    """The result of an attempt.

    Attributes:
        kind: how it ended: the complete response was received, the caller ended it, or it failed.
        total_tokens: of prompt and answer, as the server counted them; None where it did not.
        completion_tokens: of the answer alone.
        time_to_first_token_s: from the sending of the request.
        status: the HTTP status of an error response.
        retry_after_s: how long the error response asked to wait.
    """

    kind: Literal["complete", "stopped", "failed"]
    total_tokens: int | None = None
    completion_tokens: int | None = None
    time_to_first_token_s: float | None = None
    status: int | None = None
    retry_after_s: float | None = None


STOPPED: Final = AttemptResult("stopped")


class _TokenBucket:
    """A token bucket whose level may become negative, since what a call costs is known only when it has ended."""

    __slots__ = ("_at", "_capacity", "_level", "_per_s")

    def __init__(self, per_minute: float | None, now: float) -> None:
        self._per_s = math.inf if per_minute is None else per_minute / 60
        self._capacity = max(1.0, self._per_s * BURST_S)
        self._level = self._capacity
        self._at = now

    def ready_at(self, amount: float, now: float) -> float:
        """When `amount` can be taken; if it exceeds the capacity, when the bucket is full."""
        if self._per_s == math.inf:
            return now
        self._refill(now)
        missing = min(amount, self._capacity) - self._level
        return now if missing <= 1e-9 else now + missing / self._per_s

    def take(self, amount: float, now: float) -> None:
        """Take, or give back, an amount."""
        if self._per_s != math.inf:
            self._refill(now)
            self._level = min(self._capacity, self._level - amount)

    def _refill(self, now: float) -> None:
        self._level = min(self._capacity, self._level + max(0.0, now - self._at) * self._per_s)
        self._at = max(now, self._at)


class LimiterState:
    """What runs, and what may start when; times are arguments.

    After an overloaded server's response with `Retry-After` nothing starts until then. Afterwards only half as many
    requests as it accepted before the pause may wait for a response at once, and one more whenever it has accepted so
    many; for a minute, if it refuses none. Otherwise all would come back at the same moment, to be refused again. Half,
    so that fewer are refused than it accepts the next time: those go first, and get through.

    Attributes:
        window: how many may run at once.
        running: how many run.
        paused_until: nothing starts before this time.
    """

    def __init__(self, concurrency: int | None, per_minute: float | None, tokens_per_minute: float | None) -> None:
        self.window: float = math.inf if concurrency is None else concurrency
        self.running = 0
        self.paused_until = -math.inf
        self._requests = _TokenBucket(per_minute, -math.inf)
        self._tokens = _TokenBucket(tokens_per_minute, -math.inf)
        self._mean_tokens = 0.0
        self._tokens_seen = 0
        self._unanswered = 0
        self._unanswered_limit = math.inf
        self._accepted = 0
        self._paused_at = -math.inf

    def ready_at(self, tokens: int, now: float) -> float:
        """When the next attempt may start; infinite where another one has to end, or be accepted, first."""
        if now - self.paused_until > MAX_PAUSE_S:
            self._unanswered_limit = math.inf
        if self.running >= int_window(self.window) or self._unanswered >= int(min(self._unanswered_limit, 1e9)):
            return math.inf
        cost = self.estimate(tokens)
        return max(now, self.paused_until, self._requests.ready_at(1, now), self._tokens.ready_at(cost, now))

    def estimate(self, tokens: int) -> float:
        """The estimated cost of an attempt before the server has counted: at least the average of the others."""
        return max(tokens, self._mean_tokens)

    def start(self, tokens: int, now: float) -> float:
        """Count an attempt that starts; return its estimated cost in tokens."""
        cost = self.estimate(tokens)
        self.running += 1
        self._unanswered += 1
        self._requests.take(1, now)
        self._tokens.take(cost, now)
        return cost

    def accept(self) -> None:
        """Count an attempt whose response has begun and has no error status."""
        self._unanswered -= 1
        self._unanswered_limit += 1 / self._unanswered_limit
        self._accepted += 1

    def end(self, outcome: AttemptResult, *, started_at: float, cost: float, accepted: bool, now: float) -> None:
        """Count an attempt that has ended.

        Args:
            outcome: its result.
            started_at: when `start` was called.
            cost: what `start` returned.
            accepted: whether `accept` was called.
            now: the time.
        """
        if not accepted and outcome.kind == "complete":
            self.accept()
        elif not accepted:
            self._unanswered -= 1
        self.running -= 1
        if outcome.total_tokens is not None:
            self._tokens.take(outcome.total_tokens - cost, now)
            self._tokens_seen = min(self._tokens_seen + 1, _MEAN_OF)
            self._mean_tokens += (outcome.total_tokens - self._mean_tokens) / self._tokens_seen
        if outcome.status in OVERLOAD_STATUSES and outcome.retry_after_s is not None:
            self._pause(min(outcome.retry_after_s, MAX_PAUSE_S), started_at, now)

    def _pause(self, pause_s: float, started_at: float, now: float) -> None:
        self.paused_until = max(self.paused_until, now + pause_s)
        if started_at > self._paused_at:  # else one of the same burst
            self._paused_at = now
            self._unanswered_limit = max(1, self._accepted // 2)
            self._accepted = 0


def int_window(window: float) -> float:
    """The window as a number of attempts, at least one."""
    return window if window == math.inf else max(1, int(window))
