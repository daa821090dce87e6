"""Which deadline is next, and what its passing means; times are in seconds of one monotonic clock."""

import math
from typing import Final

from firsttoken._models.request import Timeout
from firsttoken.errors import APITimeoutError, TimeoutPhase

ERROR_BODY_S: Final = 5.0
"""How long the body of an error response is waited for: its status alone says most."""

DRAIN_S: Final = 0.1
"""How long the end of a body is waited for after `[DONE]`, so that its connection can be used again."""

SILENCE_S: Final = 30.0
"""Complete silence after which a stream without an end is complete, if all its choices have finished."""

MIN_PAUSE_S: Final = 0.01
"""Pauses between chunks longer than this are not counted against deadlines."""

_SETTINGS: dict[TimeoutPhase, str] = {
    "connect": "connect_s",
    "first_chunk": "first_chunk_s",
    "idle": "idle_s",
    "response": "response_s",
    "total": "total_s",
}


class Deadlines:
    """The deadlines of one call, over all its attempts.

    Args:
        timeout: the caller's settings.
        started_at: when the call began.
        server: the server's address, for messages.
        streamed: whether progress is seen; else the response has one deadline, `response_s`.

    Attributes:
        deadline: the next one; infinite where there is none.
        phase: what the call waits for.
    """

    __slots__ = (
        "_idle_s",
        "_phase_deadline",
        "_server",
        "_started_phase",
        "_timeout",
        "_total_deadline",
        "deadline",
        "phase",
    )

    def __init__(self, timeout: Timeout, started_at: float, server: str, *, streamed: bool = True) -> None:
        self._timeout = timeout
        self._server = server
        self._started_phase: TimeoutPhase = "first_chunk" if streamed else "response"
        self._idle_s = _seconds(timeout.idle_s)
        self._total_deadline = started_at + _seconds(timeout.total_s)
        self.phase: TimeoutPhase = "total"
        self._phase_deadline = math.inf
        self.deadline = self._total_deadline

    def waiting(self) -> None:
        """Start a wait that only the total deadline bounds."""
        self._set("total", math.inf)

    def connecting(self, now: float) -> None:
        """Start connecting."""
        self._set("connect", now + _seconds(self._timeout.connect_s))

    def requesting(self, now: float) -> None:
        """Start sending the request, or waiting for a token for it."""
        limit_s = self._timeout.first_chunk_s if self._started_phase == "first_chunk" else self._timeout.response_s
        self._set(self._started_phase, now + _seconds(limit_s))

    def progressed(self, now: float) -> None:
        """Progress was received."""
        self.phase = "idle"
        self._phase_deadline = deadline = now + self._idle_s
        self.deadline = min(self._total_deadline, deadline)

    def paused(self, away_s: float, now: float) -> None:
        """The caller was away for `away_s` seconds until now: only waiting counts, except for the total."""
        limit_s: float | None = getattr(self._timeout, _SETTINGS[self.phase])
        self._set(self.phase, min(self._phase_deadline + away_s, now + _seconds(limit_s)))

    def _set(self, phase: TimeoutPhase, deadline: float) -> None:
        self.phase = phase
        self._phase_deadline = deadline
        self.deadline = min(deadline, self._total_deadline)

    def remaining_s(self, now: float) -> float | None:
        """Seconds until the total deadline; None where there is none."""
        return None if self._total_deadline == math.inf else self._total_deadline - now

    def error(self, waiting_for: str | None = None) -> APITimeoutError:
        """The error for the passing of the next deadline.

        Args:
            waiting_for: what has not come, if the server is not to blame.
        """
        phase: TimeoutPhase = "total" if self._total_deadline < self._phase_deadline else self.phase
        setting = _SETTINGS[phase]
        limit = f"{getattr(self._timeout, setting):g} s ({setting})"
        if waiting_for is not None:
            message = f"timed out after {limit} waiting for {waiting_for}"
        elif phase == "connect":
            message = f"timed out after {limit} connecting to {self._server}"
        elif phase in ("first_chunk", "idle"):
            message = f"timed out after {limit} waiting for the {_TOKENS[phase]} token from {self._server}"
        else:
            message = f"the response from {self._server} was not complete after {limit}"
        return APITimeoutError(message, phase=phase)


_TOKENS = {"first_chunk": "first", "idle": "next"}


def _seconds(limit_s: float | None) -> float:
    return math.inf if limit_s is None else limit_s
