"""Which deadline is next, and what its passing means.

Owns the arithmetic; refuses to read a clock: times are arguments, in seconds of one monotonic clock.
"""

from typing import NamedTuple

from firsttoken._types.timeout import Timeout
from firsttoken.errors import APITimeoutError, TimeoutPhase

SETTLE_S = 5.0
"""How long a stream without `[DONE]` is read on once all its choices have finished: usage may follow."""

_NEVER = float("inf")

_SETTINGS: dict[TimeoutPhase, str] = {
    "connect": "connect_s",
    "first_chunk": "first_chunk_s",
    "idle": "idle_s",
    "total": "total_s",
}

_MEANINGS: dict[TimeoutPhase, str] = {
    "connect": "no connection to",
    "first_chunk": "no first chunk with anything in it from",
    "idle": "no chunk with anything in it from",
    "total": "no whole answer from",
}


class Deadline(NamedTuple):
    """A moment, and what has failed when it comes."""

    at_s: float
    phase: TimeoutPhase


class Deadlines:
    """The deadlines of one call, over all its attempts.

    Args:
        timeout: the caller's settings.
        started_s: when the call began.
        server: whose answer is waited for, for messages.
    """

    __slots__ = ("_phase_at_s", "_server", "_total_at_s", "phase", "timeout")

    def __init__(self, timeout: Timeout, started_s: float, server: str) -> None:
        self._server = server
        self.timeout = timeout
        self.phase: TimeoutPhase = "connect"
        self._total_at_s = _after(started_s, timeout.total_s)
        self._phase_at_s = _NEVER

    def connecting(self, now_s: float) -> None:
        """An attempt begins to connect."""
        self.phase = "connect"
        self._phase_at_s = _after(now_s, self.timeout.connect_s)

    def requesting(self, now_s: float) -> None:
        """The request goes out."""
        self.phase = "first_chunk"
        self._phase_at_s = _after(now_s, self.timeout.first_chunk_s)

    def progressed(self, now_s: float) -> None:
        """Something that counts has come."""
        self.phase = "idle"
        self._phase_at_s = _after(now_s, self.timeout.idle_s)

    def paused(self, away_s: float) -> None:
        """The caller was busy elsewhere for so many seconds: only waiting counts, save for the total."""
        self._phase_at_s += away_s

    def left_s(self, now_s: float) -> float | None:
        """Seconds until the total deadline; None where there is none."""
        return None if self._total_at_s == _NEVER else self._total_at_s - now_s

    @property
    def at_s(self) -> float:
        """When the next deadline is; infinity where there is none."""
        return min(self._phase_at_s, self._total_at_s)

    def error(self) -> APITimeoutError:
        """The failure of the next deadline's passing."""
        phase: TimeoutPhase = "total" if self._total_at_s < self._phase_at_s else self.phase
        setting = _SETTINGS[phase]
        value_s = getattr(self.timeout, setting)
        return APITimeoutError(f"{_MEANINGS[phase]} {self._server} within {value_s:g} s ({setting})", phase=phase)


def _after(moment_s: float, delay_s: float | None) -> float:
    return _NEVER if delay_s is None else moment_s + delay_s
