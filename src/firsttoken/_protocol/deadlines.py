"""Which deadline is next, and what its passing means.

Owns the arithmetic; refuses to read a clock: times are arguments, in seconds of one monotonic clock.
"""

from typing import NamedTuple

from firsttoken._models.timeout import Timeout
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

    Attributes:
        phase: what is waited for.
        at_s: when the next deadline is; infinity where there is none.
    """

    __slots__ = ("_idle_s", "_phase_at_s", "_server", "_total_at_s", "at_s", "phase", "timeout")

    def __init__(self, timeout: Timeout, started_s: float, server: str) -> None:
        self._server = server
        self.timeout = timeout
        self._idle_s = _seconds(timeout.idle_s)
        self._total_at_s = started_s + _seconds(timeout.total_s)
        self._set("connect", _NEVER)

    def connecting(self, now_s: float) -> None:
        """An attempt begins to connect."""
        self._set("connect", now_s + _seconds(self.timeout.connect_s))

    def requesting(self, now_s: float) -> None:
        """The request goes out."""
        self._set("first_chunk", now_s + _seconds(self.timeout.first_chunk_s))

    def progressed(self, now_s: float) -> None:
        """Something that counts has come."""
        self._set("idle", now_s + self._idle_s)

    def paused(self, away_s: float, now_s: float) -> None:
        """The caller was busy elsewhere for so many seconds: only waiting counts, save for the total."""
        limit_s: float | None = getattr(self.timeout, _SETTINGS[self.phase])
        self._set(self.phase, min(self._phase_at_s + away_s, now_s + _seconds(limit_s)))

    def _set(self, phase: TimeoutPhase, at_s: float) -> None:
        self.phase: TimeoutPhase = phase
        self._phase_at_s = at_s
        self.at_s = min(at_s, self._total_at_s)

    def left_s(self, now_s: float) -> float | None:
        """Seconds until the total deadline; None where there is none."""
        return None if self._total_at_s == _NEVER else self._total_at_s - now_s

    def error(self, lacking: str | None = None) -> APITimeoutError:
        """The failure of the next deadline's passing; `lacking` says what has not come, if not the server's."""
        phase: TimeoutPhase = "total" if self._total_at_s < self._phase_at_s else self.phase
        setting = _SETTINGS[phase]
        value_s = getattr(self.timeout, setting)
        lacking = lacking or f"{_MEANINGS[phase]} {self._server}"
        return APITimeoutError(f"{lacking} within {value_s:g} s ({setting})", phase=phase)


def _seconds(limit_s: float | None) -> float:
    return _NEVER if limit_s is None else limit_s
