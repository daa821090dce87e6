"""Whether a failed attempt is worth another one, and when.

Owns the policy; refuses to wait: the shells do. Asked only while nothing has been handed out.

Sources: RFC 9110, section 10.2.3 (Retry-After); `retry-after-ms` and `x-should-retry` are OpenAI's.
"""

from collections.abc import Mapping

from firsttoken.errors import OUT_OF_CREDIT, APIConnectionError, APIStatusError, ChatCompletionError

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 8.0
JITTER = 0.25
"""A delay is cut by up to this part of it, so that clients which failed together do not come back together."""

LONGEST_ASKED_S = 60.0
"""A server that asks for a longer wait is not waited for: the caller is told how long it asked."""


def retry_delay_s(
    error: ChatCompletionError, headers: Mapping[str, str], *, attempt: int, left_s: float | None, jitter: float
) -> float | None:
    """How long to wait before the next attempt.

    Args:
        error: why the attempt failed.
        headers: those of the response, where one came.
        attempt: how many attempts were repeated before: 0 after the first.
        left_s: seconds until the total deadline, None where there is none.
        jitter: a random number from 0 to 1.

    Returns:
        Seconds; None where the attempt is not to be repeated.
    """
    if not may_be_retried(error, headers):
        return None
    asked_s = error.retry_after_s if isinstance(error, APIStatusError) else None
    if asked_s is None:
        delay_s = min(FIRST_DELAY_S * 2.0 ** min(attempt, 10), LONGEST_DELAY_S) * (1 - JITTER * jitter)
    elif asked_s > LONGEST_ASKED_S:
        return None
    else:
        delay_s = asked_s
    return None if left_s is not None and delay_s >= left_s else delay_s


def may_be_retried(error: ChatCompletionError, headers: Mapping[str, str]) -> bool:
    """Whether an error is of a kind that may pass, by what the server told in `x-should-retry`, else by its own.

    What the server told counts for its refusals; of a lost connection it can only say that it is not to be retried. Of
    other failures it knew nothing when it sent the head: a timeout is the caller's own limit.
    """
    told = headers.get("x-should-retry", "").strip().lower()
    if told == "true" and isinstance(error, APIStatusError):
        return not _out_of_credit(error)
    if told == "false" and isinstance(error, (APIStatusError, APIConnectionError)):
        return False
    return error.retryable


def _out_of_credit(error: ChatCompletionError) -> bool:
    return isinstance(error, APIStatusError) and not OUT_OF_CREDIT.isdisjoint((error.code, error.type))


def retry_after_s(headers: Mapping[str, str], wall_clock_s: float) -> float | None:
    """The wait that a response asks for, in seconds.

    Args:
        headers: of the response.
        wall_clock_s: the time now, in Unix seconds; for a date in a response that does not say its own time.

    Returns:
        `retry-after-ms`, else `retry-after` in seconds or as a date; None where neither says anything sensible.
    """
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        number = _number(headers.get(name, ""))
        if number is not None:
            return number * unit_s
    until_s = _date_s(headers.get("retry-after", ""))
    if until_s is None:
        return None
    now_s = _date_s(headers.get("date", ""))
    return max(0.0, until_s - (wall_clock_s if now_s is None else now_s))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _date_s(text: str) -> float | None:
    if not text:
        return None
    from email.utils import mktime_tz, parsedate_tz

    parsed = parsedate_tz(text)
    try:
        return None if parsed is None else float(mktime_tz(parsed))
    except (ValueError, OverflowError):
        return None
