"""firsttoken._protocol.retry: whether again, and when."""

from email.utils import formatdate

import pytest

from firsttoken._protocol.retry import retry_after_s, retry_delay_s
from firsttoken._protocol.server_error import status_error, stream_error
from firsttoken.errors import (
    APIConnectionError,
    APITimeoutError,
    ChatCompletionError,
    ResponseFormatError,
    StreamTruncatedError,
    TimeoutPhase,
)

NOW_S = 1_700_000_000.0


def delay(
    error: ChatCompletionError,
    headers: dict[str, str] | None = None,
    *,
    attempt: int = 0,
    remaining_s: float | None = None,
    jitter: float = 0.0,
) -> float | None:
    return retry_delay_s(error, headers or {}, attempt=attempt, remaining_s=remaining_s, jitter=jitter)


def refusal(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> ChatCompletionError:
    return status_error(status, headers or {}, body, NOW_S)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529, 599])
def test_statuses_that_may_pass_are_tried_again(status: int) -> None:
    assert delay(refusal(status)) == 0.5
    assert delay(stream_error({"error": {"message": "no", "code": status}})) == 0.5


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 418, 422])
def test_other_statuses_are_not(status: int) -> None:
    assert delay(refusal(status)) is None
    assert delay(stream_error({"error": {"message": "no", "code": status}})) is None


def test_an_error_inside_a_stream_without_a_status_is_not() -> None:
    assert delay(stream_error({"error": "no"})) is None


@pytest.mark.parametrize(
    ("phase", "again"), [("connect", True), ("first_chunk", False), ("idle", False), ("total", False)]
)
def test_of_the_timeouts_that_of_connecting(phase: TimeoutPhase, again: bool) -> None:
    assert (delay(APITimeoutError("slow", phase=phase)) is not None) == again


def test_a_lost_connection_is_tried_again_and_a_broken_answer_is_not() -> None:
    assert delay(APIConnectionError("lost")) == 0.5
    assert delay(ResponseFormatError("odd")) is None
    assert delay(StreamTruncatedError("cut")) is None


def test_the_server_decides() -> None:
    assert delay(refusal(400), {"x-should-retry": "true"}) == 0.5
    assert delay(refusal(400), {"x-should-retry": " True "}) == 0.5
    assert delay(refusal(503), {"x-should-retry": "false"}) is None
    assert delay(refusal(503), {"x-should-retry": "maybe"}) == 0.5


@pytest.mark.parametrize("phase", ["first_chunk", "idle", "total"])
def test_no_header_of_a_200_has_a_say_in_the_callers_own_limits(phase: TimeoutPhase) -> None:
    assert delay(APITimeoutError("slow", phase=phase), {"x-should-retry": "true"}) is None
    assert delay(APITimeoutError("slow", phase="connect"), {"x-should-retry": "false"}) == 0.5


def test_of_other_failures_the_server_knew_nothing() -> None:
    assert delay(ResponseFormatError("odd"), {"x-should-retry": "true"}) is None
    assert delay(StreamTruncatedError("cut"), {"x-should-retry": "true"}) is None


def test_a_lost_connection_is_not_tried_again_where_the_server_said_so() -> None:
    assert delay(APIConnectionError("lost"), {"x-should-retry": "false"}) is None
    assert delay(APIConnectionError("lost"), {"x-should-retry": "true"}) == 0.5
    hopeless = APIConnectionError("lost")
    hopeless.retryable = False
    assert delay(hopeless, {"x-should-retry": "true"}) is None


def test_delays_double_from_half_a_second_to_eight() -> None:
    assert [delay(refusal(503), attempt=attempt) for attempt in range(6)] == [0.5, 1, 2, 4, 8, 8]
    assert delay(refusal(503), attempt=10**9) == 8


def test_jitter_only_shortens() -> None:
    assert delay(refusal(503), attempt=2, jitter=1.0) == 1.5
    assert delay(refusal(503), attempt=2, jitter=0.5) == 1.75


def test_what_the_server_asks_for_is_obeyed_up_to_a_minute() -> None:
    assert delay(refusal(429, {"retry-after": "7"}), jitter=1.0, attempt=3) == 7
    assert delay(refusal(429, {"retry-after": "0"})) == 0
    assert delay(refusal(429, {"retry-after": "60"})) == 60
    assert delay(refusal(429, {"retry-after": "60.1"})) is None


def test_a_wait_past_the_total_deadline_is_not_taken() -> None:
    assert delay(refusal(503), remaining_s=0.6) == 0.5
    assert delay(refusal(503), remaining_s=0.5) is None
    assert delay(refusal(429, {"retry-after": "7"}), remaining_s=8) == 7
    assert delay(refusal(429, {"retry-after": "7"}), remaining_s=6) is None


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "5"}, 5),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "5"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "5"}, 5),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": formatdate(NOW_S + 30, usegmt=True)}, 30),
        ({"retry-after": formatdate(NOW_S - 30, usegmt=True)}, 0),
        ({"retry-after": formatdate(90, usegmt=True), "date": formatdate(60, usegmt=True)}, 30),
        ({"retry-after": formatdate(NOW_S + 30, usegmt=True), "date": "?"}, 30),
        ({"retry-after": "Fri, 13 Nov 99999999999999 22:13:20 GMT"}, None),
    ],
)
def test_every_form_of_the_header(headers: dict[str, str], wait_s: float | None) -> None:
    assert retry_after_s(headers, NOW_S) == wait_s
