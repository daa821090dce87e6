"""Faults of the head: refusals, redirects, and a 200 that is not a stream."""

import time
from collections.abc import Mapping
from http import HTTPStatus

from firsttoken.testing._faults.fault import Fault, LazyStep, Where, make_script
from firsttoken.testing._script import Step, body_bytes, close, error, head, respond, stall

_WHERE: Where = "before the head"
_PAGE = "<!doctype html><html><head><title>{0}</title></head><body><h1>{0}</h1><hr>nginx</body></html>"
_EVENTS = {"content-type": "text/event-stream"}
_HALF_AN_ERROR = b'{"error": {"message": "the engi'


def is_transient(status: int) -> bool:
    """Whether a request that was answered with this status may be sent again."""
    return status in (408, 409, 429) or status >= 500


def _phrase(status: int) -> str:
    return "Overloaded" if status == 529 else HTTPStatus(status).phrase


def _plain(status: int) -> Fault:
    step = error(status, f"no: {status}", kind="scripted_error", code=f"scripted_{status}")
    return Fault(
        f"status-{status}",
        _WHERE,
        f"answers {status} with an error as JSON",
        make_script(step),
        status=status,
        is_retried=is_transient(status),
    )


def _html(status: int) -> Fault:
    step = respond(status, _PAGE.format(f"{status} {_phrase(status)}"))
    what = f"answers {status} with a page of HTML"
    return Fault(
        f"status-{status}-html", _WHERE, what, make_script(step), status=status, is_retried=is_transient(status)
    )


def _bare(status: int) -> Fault:
    what = f"answers {status} without a body"
    return Fault(
        f"status-{status}-empty",
        _WHERE,
        what,
        make_script(respond(status)),
        status=status,
        is_retried=is_transient(status),
    )


def _redirect(status: int) -> Fault:
    step = respond(status, b"", {"location": "http://127.0.0.1:9/v1/chat/completions"})
    what = f"answers {status}, with another address"
    return Fault(f"redirect-{status}", _WHERE, what, make_script(step), status=status)


def _refusal(name: str, status: int, what: str, *steps: Step, is_retried: bool = False, stalls: bool = False) -> Fault:
    return Fault(name, _WHERE, what, make_script(*steps), status=status, is_retried=is_retried, needs_deadline=stalls)


def _asking_to_wait(status: int, headers: Mapping[str, str]) -> Step:
    return error(status, "slow down", kind="rate_limit_error", headers=headers)


def _until_a_date() -> Step:
    from email.utils import formatdate

    now_s = time.time()
    dates = {"date": formatdate(now_s, usegmt=True), "retry-after": formatdate(now_s + 1, usegmt=True)}
    return _asking_to_wait(429, dates)


STATUSES = (
    *map(_plain, (400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529)),
    *map(_html, (404, 502, 503)),
    *map(_bare, (401, 429, 500, 503)),
    *map(_redirect, (301, 302, 307, 308)),
)
"""The server says no."""

BODIES = (
    _refusal(
        "status-422-detail",
        422,
        "answers 422 with a list of details, as FastAPI does",
        respond(422, {"detail": [{"loc": ["body", "messages"], "msg": "Field required", "type": "missing"}]}),
    ),
    _refusal(
        "status-400-flat",
        400,
        "answers 400 with an error that is not under `error`",
        respond(400, {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}),
    ),
    _refusal(
        "status-400-events",
        400,
        "answers 400 with the error as an event",
        respond(400, b'data: {"error": {"message": "too long", "type": "invalid"}}\n\n', _EVENTS),
    ),
    _refusal("status-400-text", 400, "answers 400 in plain text", respond(400, b"no", {"content-type": "text/plain"})),
    _refusal(
        "status-500-chunked",
        500,
        "answers 500, its body chunked",
        head(500, {"content-type": "application/json"}),
        body_bytes(_HALF_AN_ERROR),
        body_bytes(b'ne died"}}'),
        is_retried=True,
    ),
    _refusal(
        "status-500-cut",
        500,
        "answers 500, and closes in the middle of the body",
        respond(500, _HALF_AN_ERROR, {"content-type": "application/json", "content-length": "1000"}),
        close(),
        is_retried=True,
    ),
    _refusal(
        "status-500-stall",
        500,
        "answers 500, and is silent from the middle of the body on",
        respond(500, _HALF_AN_ERROR, {"content-type": "application/json", "content-length": "1000"}),
        stall(),
        is_retried=True,
        stalls=True,
    ),
)
"""The server says no in other words than OpenAI's, or not to the end."""

RETRIES = (
    _refusal(
        "retry-after-seconds",
        429,
        "answers 429 with `Retry-After: 1`",
        _asking_to_wait(429, {"retry-after": "1"}),
        is_retried=True,
    ),
    _refusal(
        "retry-after-date", 429, "answers 429 with a date in `Retry-After`", LazyStep(_until_a_date), is_retried=True
    ),
    _refusal(
        "retry-after-ms",
        503,
        "answers 503 with `retry-after-ms: 20`",
        _asking_to_wait(503, {"retry-after-ms": "20"}),
        is_retried=True,
    ),
    _refusal(
        "retry-after-an-hour",
        429,
        "answers 429 with `Retry-After: 3600`, which is too long to wait",
        _asking_to_wait(429, {"retry-after": "3600"}),
    ),
    _refusal(
        "should-not-retry",
        500,
        "answers 500 with `x-should-retry: false`",
        error(500, "gone for good", headers={"x-should-retry": "false"}),
    ),
    _refusal(
        "should-retry",
        400,
        "answers 400 with `x-should-retry: true`",
        error(400, "not yet", headers={"x-should-retry": "true", "retry-after-ms": "20"}),
        is_retried=True,
    ),
    _refusal(
        "no-credit",
        429,
        "answers 429 with the code `insufficient_quota`, which no retry mends",
        error(429, "you exceeded your quota", kind="insufficient_quota", code="insufficient_quota"),
    ),
)
"""The server says whether, and when, to come back."""


def _ok(name: str, what: str, *steps: Step, is_retried: bool = False) -> Fault:
    return Fault(name, _WHERE, what, make_script(*steps), is_retried=is_retried)


_COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "scripted",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
}
_OVERLOADED = {"message": "the model is overloaded", "type": "overloaded_error", "param": None, "code": None}

NOT_STREAMS = (
    Fault(
        "ok-completion",
        _WHERE,
        "answers 200 with the complete completion as JSON",
        make_script(respond(200, _COMPLETION)),
        text="Hello",
        is_complete=True,
    ),
    _ok("ok-error", "answers 200 with an error as JSON", respond(200, {"error": _OVERLOADED}), is_retried=True),
    Fault(
        "ok-error-429",
        _WHERE,
        "answers 200 with an error as JSON, whose code is 429",
        make_script(respond(200, {"error": {**_OVERLOADED, "code": 429}})),
        status=429,
        is_retried=True,
    ),
    Fault(
        "ok-flat-error",
        _WHERE,
        "answers 200 with an error's fields as JSON, whose code is 429",
        make_script(respond(200, {**_OVERLOADED, "code": 429})),
        status=429,
        is_retried=True,
    ),
    _ok(
        "ok-base-resp",
        "answers 200 with null choices and an error in `base_resp`",
        respond(200, {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "the model is overloaded"}}),
    ),
    _ok(
        "ok-error-as-events",
        "answers 200 with an error as JSON, and calls it an event stream",
        respond(200, {"error": _OVERLOADED}, {"content-type": "text/event-stream"}),
        is_retried=True,
    ),
    _ok("ok-other-json", "answers 200 with JSON that is not a completion", respond(200, {"status": "ok"})),
    _ok("ok-json-list", "answers 200 with a list as JSON", respond(200, b"[1]", {"content-type": "application/json"})),
    _ok(
        "ok-cut-completion",
        "answers 200 with a completion as JSON, and closes in the middle of it",
        respond(200, b'{"choices": [{"mess', {"content-type": "application/json", "content-length": "1000"}),
        close(),
    ),
    _ok("ok-html", "answers 200 with a page of HTML, as a captive portal does", respond(200, _PAGE.format("Sign in"))),
    _ok("ok-text", "answers 200 in plain text", respond(200, b"It works!", {"content-type": "text/plain"})),
    _ok("ok-empty", "answers 200 without a body", respond(200)),
    _ok("ok-empty-stream", "answers 200 with a stream of nothing", head()),
    _ok("status-204", "answers 204", respond(204)),
)
"""The server says yes, to something else."""

REFUSALS = (*STATUSES, *BODIES, *RETRIES, *NOT_STREAMS)
