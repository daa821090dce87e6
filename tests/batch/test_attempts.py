"""Which rows are tried again, how often, and when there is no sense in going on."""

import pytest

from firsttoken.batch._runner import (
    GIVE_UP_AFTER_S,
    MAX_FAULTS,
    MAX_FIRST_CONNECTS,
    MAX_REFUSALS,
    Attempts,
    Health,
)
from firsttoken.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ChatCompletionError,
    ResponseFormatError,
    StreamTruncatedError,
)
from firsttoken.types import Headers, ResponseInfo


def status(number: int | None, **fields: object) -> APIStatusError:
    return APIStatusError("x", status=number, **fields)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def midway(error: ChatCompletionError) -> ChatCompletionError:
    error.chunks_received = 3
    return error


def told(should_retry: str, error: APIStatusError) -> APIStatusError:
    error.response = ResponseInfo(status=error.status or 0, headers=Headers({"x-should-retry": should_retry}))
    return error


def bad_certificate() -> APIConnectionError:
    error = APIConnectionError("no connection")
    error.retryable = False
    return error


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (status(400), 1),
        (status(401), 1),
        (status(404), 1),
        (status(413), 1),
        (status(429, code="insufficient_quota"), 1),
        (status(429, type="insufficient_quota"), 1),
        (told("false", status(500)), 1),
        (bad_certificate(), 1),
        (told("true", status(400)), MAX_FAULTS),
        (status(408), MAX_FAULTS),
        (status(500), MAX_FAULTS),
        (status(None, in_stream=True), MAX_FAULTS),
        (midway(status(529, in_stream=True)), MAX_FAULTS),
        (StreamTruncatedError("x"), MAX_FAULTS),
        (ResponseFormatError("x"), MAX_FAULTS),
        (midway(APIConnectionError("x")), MAX_FAULTS),
        (APITimeoutError("x", phase="first_chunk"), MAX_FAULTS),
        (midway(APITimeoutError("x", phase="idle")), MAX_FAULTS),
        (status(429), MAX_REFUSALS),
        (status(503), MAX_REFUSALS),
        (APIConnectionError("x"), MAX_REFUSALS),
        (APITimeoutError("x", phase="connect"), MAX_REFUSALS),
    ],
    ids=str,
)
def test_how_often_a_row_is_tried(error: ChatCompletionError, tries: int) -> None:
    attempts = Attempts()
    delays: list[float] = []
    while (delay_s := attempts.retry_delay_s(error, 0.0)) is not None:
        delays.append(delay_s)
    assert len(delays) == tries - 1
    assert delays == [min(0.5 * 2.0**number, 30.0) for number in range(tries - 1)]
    assert Attempts().retry_delay_s(error, 1.0) in (0.25, None)


def test_the_limiter_waits_for_what_the_server_asked() -> None:
    assert Attempts().retry_delay_s(status(429, retry_after_s=5.0), 0.0) == 0.0
    assert Attempts().retry_delay_s(status(500, retry_after_s=5.0), 0.0) == 0.5


@pytest.mark.parametrize(
    ("error", "answers", "now", "refusals", "is_hopeless"),
    [
        (status(401), 0, 1, 0, True),
        (status(401), 1, 1, 0, False),
        (status(403), 0, 1, 0, True),
        (status(404), 0, 1, 0, True),
        (status(400), 0, 1, 0, False),
        (status(429, code="insufficient_quota"), 1, 1, 0, True),
        (status(429), 0, 1, 29, False),
        (status(503), 0, GIVE_UP_AFTER_S, 5, False),
        (status(503), 0, GIVE_UP_AFTER_S + 1, 5, True),
        (status(500), 0, GIVE_UP_AFTER_S + 1, 5, False),
        (APIConnectionError("x"), 0, 1, MAX_FIRST_CONNECTS - 1, False),
        (APIConnectionError("x"), 0, 1, MAX_FIRST_CONNECTS, True),
        (APIConnectionError("x"), 1, 1, MAX_FIRST_CONNECTS, False),
        (APIConnectionError("x"), 1, GIVE_UP_AFTER_S + 1, 1, True),
    ],
)
def test_when_there_is_no_sense_in_going_on(
    error: ChatCompletionError, answers: int, now: float, refusals: int, *, is_hopeless: bool
) -> None:
    health = Health(0.0)
    for _ in range(answers):
        health.answered(0.0)
    assert health.is_hopeless(error, now, refusals=refusals) is is_hopeless
