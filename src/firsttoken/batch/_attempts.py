"""Whether a row is tried again, and when; and when to give up all of them."""

from typing import Final

from firsttoken._protocol.limits import OVERLOAD_STATUSES, AttemptResult
from firsttoken._protocol.retry import may_be_retried
from firsttoken.errors import APIConnectionError, APIStatusError, APITimeoutError, ChatCompletionError
from firsttoken.types import ChatCompletion

MAX_FAULTS: Final = 4
"""So often a row may fail in a way that may pass: a truncated answer, a lost connection, a 500, a deadline."""

MAX_REFUSALS: Final = 30
"""So often a row may meet a server that is overloaded or not there. That is not the row's fault."""

FIRST_DELAY_S: Final = 0.5
MAX_DELAY_S: Final = 30.0
JITTER: Final = 0.5

GIVE_UP_AFTER_S: Final = 900.0
"""A server that has answered nothing for so long is not there for this run."""

MAX_FIRST_CONNECTS: Final = 5
"""So often a first row may find no server at the address before that is taken for a wrong one."""

_HOPELESS_AT_FIRST: Final = frozenset({401, 403, 404})
"""No key, no right or no model: if the first rows meet that, all will."""

_PASSING: Final = frozenset({408, 409, 425, 429})


class Attempts:
    """The failed attempts of one row."""

    def __init__(self) -> None:
        self.count = 0
        self.refusals = 0
        self._faults = 0

    def retry_delay_s(self, error: ChatCompletionError, jitter: float) -> float | None:
        """How long to wait until the row is tried again; None where its error is final.

        Args:
            error: of the last attempt.
            jitter: a random number from 0 to 1.
        """
        if not is_transient(error):
            return None
        if is_refusal(error):
            self.refusals += 1
        else:
            self._faults += 1
        if self._faults >= MAX_FAULTS or self.refusals >= MAX_REFUSALS:
            return None
        asked_s = error.retry_after_s if isinstance(error, APIStatusError) else None
        if asked_s is not None and is_refusal(error):
            return 0.0  # the limiter pauses for it
        return min(FIRST_DELAY_S * 2.0 ** (self._faults + self.refusals - 1), MAX_DELAY_S) * (1 - JITTER * jitter)


class Health:
    """Whether the server answers at all."""

    def __init__(self, now: float) -> None:
        self.answers = 0
        self._last_answer_at = now

    def answered(self, now: float) -> None:
        """Note a complete answer."""
        self.answers += 1
        self._last_answer_at = now

    def is_hopeless(self, error: ChatCompletionError, now: float, *, refusals: int) -> bool:
        """Whether the rows to come would only meet the same error.

        Args:
            error: of an attempt.
            now: the time.
            refusals: how often its row has met a server that is overloaded or not there.
        """
        if isinstance(error, APIStatusError):
            if is_out_of_credit(error):
                return True
            if not self.answers and error.status in _HOPELESS_AT_FIRST:
                return True
        if not is_refusal(error):
            return False
        if now - self._last_answer_at > GIVE_UP_AFTER_S:
            return True
        return not self.answers and not isinstance(error, APIStatusError) and refusals >= MAX_FIRST_CONNECTS


def is_out_of_credit(error: APIStatusError) -> bool:
    """Whether there is no credit left."""
    return "insufficient_quota" in (error.code, error.type)


def is_refusal(error: ChatCompletionError) -> bool:
    """Whether the server did not take the request: it is overloaded, or not there."""
    if isinstance(error, APIStatusError):
        return error.status in OVERLOAD_STATUSES and not error.chunks_received
    return isinstance(error, APIConnectionError | APITimeoutError) and error.retryable and not error.chunks_received


def is_transient(error: ChatCompletionError) -> bool:
    """Whether the same row may get an answer when it is sent again."""
    if "x-should-retry" in error.headers:
        return may_be_retried(error, error.headers)
    if isinstance(error, APIStatusError):
        status = error.status
        if is_out_of_credit(error):
            return False
        return status is None or status >= 500 or status in _PASSING
    return error.retryable or not isinstance(error, APIConnectionError)


def outcome_of_answer(completion: ChatCompletion) -> AttemptResult:
    """What a limiter receives of a complete answer."""
    usage, timing = completion.usage, completion.timing
    return AttemptResult(
        "complete",
        total_tokens=None if usage is None else usage.total_tokens or usage.prompt_tokens + usage.completion_tokens,
        completion_tokens=usage.completion_tokens if usage else timing.chunks if timing else None,
        time_to_first_token_s=None if timing is None else timing.time_to_first_token_s,
    )


def outcome_of_error(error: ChatCompletionError) -> AttemptResult:
    """What a limiter receives of a failure."""
    if isinstance(error, APIStatusError):
        return AttemptResult("failed", status=error.status, retry_after_s=error.retry_after_s)
    return AttemptResult("failed")
