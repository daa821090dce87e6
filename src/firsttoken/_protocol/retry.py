"""Failed attempts: the error of a lost connection, whether another attempt is worth it, and when.

Only calls that have not yielded anything are repeated.

The error itself has the first answer (`error.retryable`), `call_progress` counts attempts; the path is in the map.

Sources: RFC 9110, section 10.2.3 (Retry-After); `retry-after-ms` and `x-should-retry` are OpenAI's.
"""

from collections.abc import Mapping
from typing import Final, TypeVar

from firsttoken.errors import OUT_OF_CREDIT, APIConnectionError, APIStatusError, ChatCompletionError

FIRST_DELAY_S = 0.5
MAX_DELAY_S = 8.0
JITTER = 0.25
"""A delay is reduced by up to this fraction, so that clients that failed together do not retry together."""

OVERLOAD_STATUSES: Final = frozenset({429, 503, 529})
"""The statuses of overloaded servers; 529 is Anthropic's."""

MAX_RETRY_AFTER_S = 60.0
"""With a longer `Retry-After` the error is raised at once; it has the time as `retry_after_s`."""


def retry_delay_s(
    error: ChatCompletionError, headers: Mapping[str, str], *, attempt: int, remaining_s: float | None, jitter: float
) -> float | None:
    """How long to wait before the next attempt.

    Args:
        error: why the attempt failed.
        headers: those of the response, where one came.
        attempt: how many attempts were repeated before: 0 after the first.
        remaining_s: seconds until the total deadline, None where there is none.
        jitter: a random number from 0 to 1.

    Returns:
        Seconds; None where the attempt is not to be repeated.
    """
    if not may_be_retried(error, headers):
        return None
    retry_after = error.retry_after_s if isinstance(error, APIStatusError) else None
    if retry_after is None:
        delay_s = min(FIRST_DELAY_S * 2.0 ** min(attempt, 10), MAX_DELAY_S) * (1 - JITTER * jitter)
    elif retry_after > MAX_RETRY_AFTER_S:
        return None
    else:
        delay_s = retry_after
    return None if remaining_s is not None and delay_s >= remaining_s else delay_s


def may_be_retried(error: ChatCompletionError, headers: Mapping[str, str]) -> bool:
    """Whether an error is transient: by the header `x-should-retry`, else by its kind.

    The header counts for error responses; for a lost connection only "false" does. It says nothing about other errors,
    which came after it: a timeout is the caller's own limit.
    """
    should_retry = headers.get("x-should-retry", "").strip().lower()
    if should_retry == "true" and isinstance(error, APIStatusError):
        return not _out_of_credit(error)
    if should_retry == "false" and isinstance(error, (APIStatusError, APIConnectionError)):
        return False
    return error.retryable


def _out_of_credit(error: ChatCompletionError) -> bool:
    return isinstance(error, APIStatusError) and not OUT_OF_CREDIT.isdisjoint((error.code, error.type))


def retry_after_s(headers: Mapping[str, str], wall_clock_s: float) -> float | None:
    """The wait that a response requests, in seconds.

    Args:
        headers: of the response.
        wall_clock_s: the time now, in Unix seconds; for a date in a response without a `date` header.

    Returns:
        `retry-after-ms`, else `retry-after` in seconds or as a date; None if neither is valid.
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


def connection_error(error: Exception, what: str, server: str) -> APIConnectionError:
    """The error of a call for an error of its connection, which becomes its cause.

    Args:
        error: an `OSError`, or another error that `ssl` or `socket` raises.
        what: what failed: "no connection to" or "lost the connection to".
        server: its address, and that of a proxy.
    """
    reason = (
        getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error) or type(error).__name__
    )
    failure = APIConnectionError(f"{what} {server}: {reason}", hint=_hint(error))
    failure.retryable = not hasattr(error, "verify_message")  # a retry does not change a certificate
    failure.__cause__ = error
    return failure


def _hint(error: Exception) -> str | None:
    if isinstance(error, ConnectionRefusedError):
        return "is the server running on this port?"
    if hasattr(error, "verify_message"):
        code: object = getattr(error, "verify_code", 0)
        return _CERTIFICATE_HINTS.get(code, _UNTRUSTED_HINT) if isinstance(code, int) else _UNTRUSTED_HINT
    if "WRONG_VERSION_NUMBER" in str(error):
        return "the server does not speak TLS there; does base_url begin with https:// by mistake?"
    return None


_UNTRUSTED_HINT = "the certificate is not trusted; SSL_CERT_FILE can name a file with the one of a private authority"
_CERTIFICATE_HINTS = {  # X509_V_ERR_… of OpenSSL's x509_vfy.h
    9: "the certificate is not valid yet; is this machine's clock right?",
    10: "the certificate has expired; is this machine's clock right?",
    62: "the certificate is for another name; is the host of base_url the server's own?",
    64: "the certificate is for another name; is the host of base_url the server's own?",
}


def may_begin_response(data: bytes) -> bool:
    """Whether the first bytes of a read can begin a response; else they are left over from the one before."""
    begin = data.lstrip(b"\r\n")[:5]
    return b"HTTP/".startswith(begin)


_Failure = TypeVar("_Failure", bound=BaseException)


def without_traceback(failure: _Failure) -> _Failure:
    """The failure, with tracebacks and contexts removed from it and its causes."""
    link: BaseException | None = failure
    while link is not None:
        link.__traceback__ = link.__context__ = None
        link = link.__cause__
    return failure
