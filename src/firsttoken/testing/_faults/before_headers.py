"""Faults before the answer begins: the connection, HTTP itself, refusals, and a 200 that is not a stream."""

import time
from collections.abc import Mapping
from http import HTTPStatus

from firsttoken.testing._faults.fault import GAP_S, READ_S, Fault, LazyStep, make_script
from firsttoken.testing._script import (
    Step,
    StepLike,
    body_bytes,
    close,
    error,
    head,
    interim,
    reply,
    reset,
    respond,
    role,
    wire_bytes,
)
from firsttoken.testing._script.flow import pause, repeat, split, stall
from firsttoken.testing._server.script import Script, on_connect, refuse


def is_transient(status: int) -> bool:
    """Whether a request that was answered with this status may be sent again."""
    return status in (408, 409, 429) or status >= 500


def _fault(
    name: str,
    what: str,
    *steps: StepLike,
    script: Script | None = None,
    text: str = "",
    status: int | None = None,
    is_retried: bool | None = None,
    never_ends: bool = False,
) -> Fault:
    """A fault before the head; a status that may pass is one that is retried, unless `is_retried` says otherwise."""
    if is_retried is None:
        is_retried = status is not None and is_transient(status)
    return Fault(
        name,
        "before the head",
        what,
        script or make_script(*steps),
        text=text,
        is_complete=bool(text),
        needs_deadline=never_ends,
        status=status,
        is_retried=is_retried,
    )


_LINES = b"".join(b"x-filler-%d: %s\r\n" % (number, b"a" * 480) for number in range(8))

LOST = (
    _fault("refuse", "its port refuses connections", script=refuse(), is_retried=True),
    _fault("accept-and-close", "closes each connection at once", script=on_connect(close()), is_retried=True),
    _fault("accept-and-reset", "resets each connection at once", script=on_connect(reset()), is_retried=True),
    _fault("close-after-request", "reads the request and closes", close(), is_retried=True),
    _fault("reset-after-request", "reads the request and resets", reset(), is_retried=True),
    _fault("close-in-head", "closes in the middle of the head", wire_bytes(b"HTTP/1.1 200 OK\r\ncont"), close()),
    _fault(
        "reset-in-head",
        "resets in the middle of the head",
        wire_bytes(b"HTTP/1.1 200 OK\r\ncont"),
        pause(READ_S),
        reset(),
        is_retried=True,
    ),
)
"""The connection is refused, closed or reset."""

SLOW = (
    _fault("slow-head", "sends the head a tenth of a second late", pause(0.1), *reply("Hello"), text="Hello"),
    _fault(
        "dripping-head", "sends the head byte by byte", split(1, role(), gap_s=0.0002), *reply("Hello"), text="Hello"
    ),
    _fault("no-head", "reads the request, and is silent", stall(), never_ends=True),
    _fault(
        "stall-in-head",
        "is silent from the middle of the head on",
        wire_bytes(b"HTTP/1.1 200 OK\r\ncont"),
        stall(),
        never_ends=True,
    ),
    _fault(
        "endless-dripping-head",
        "sends a head byte by byte, forever",
        wire_bytes(b"HTTP/1.1 200 OK\r\nx-drip: "),
        repeat(wire_bytes(b"."), gap_s=GAP_S),
        never_ends=True,
    ),
    _fault(
        "endless-headers",
        "sends header lines forever",
        wire_bytes(b"HTTP/1.1 200 OK\r\n"),
        repeat(wire_bytes(_LINES), gap_s=0.001),
        never_ends=True,
    ),
    _fault(
        "endless-header-line",
        "sends a header line that never ends",
        wire_bytes(b"HTTP/1.1 200 OK\r\nx-endless: "),
        repeat(wire_bytes(b"a" * 4096), gap_s=0.001),
        never_ends=True,
    ),
)
"""The head is late, or never there."""

INTERIM = (
    _fault(
        "interim-then-answer",
        "sends 100 and 103 before the answer",
        interim(100),
        interim(103, {"link": "</style.css>; rel=preload"}),
        *reply("Hello"),
        text="Hello",
    ),
    _fault("endless-interim", "sends 102 forever", repeat(interim(102), gap_s=GAP_S), never_ends=True),
    _fault(
        "switching-protocols",
        "answers 101, to speak another protocol",
        wire_bytes(b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"),
        close(),
    ),
)
"""Responses that are not the last one, as 1xx are."""

NOT_HTTP = (
    _fault("ssh", "speaks SSH", wire_bytes(b"SSH-2.0-OpenSSH_9.6\r\n"), close()),
    _fault("tls-alert", "speaks TLS, to a client that does not", wire_bytes(b"\x15\x03\x03\0\x02\x02\x46"), close()),
    _fault("http-2", "speaks HTTP/2", wire_bytes(b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64"), close()),
    _fault("body-without-head", "sends events and no head", wire_bytes(b"data: [DONE]\n\n"), close()),
    _fault("bad-status-line", "sends a status that is not a number", wire_bytes(b"HTTP/1.1 OK 200\r\n\r\n"), close()),
    _fault("bad-header", "sends a header without a name", wire_bytes(b"HTTP/1.1 200 OK\r\n: x\r\n\r\n"), close()),
)
"""What comes is not HTTP/1.1."""

_PAGE = "<!doctype html><html><head><title>{0}</title></head><body><h1>{0}</h1><hr>nginx</body></html>"
_EVENTS = {"content-type": "text/event-stream"}
_HALF_AN_ERROR = b'{"error": {"message": "the engi'


def _plain(status: int) -> Fault:
    step = error(status, f"no: {status}", kind="scripted_error", code=f"scripted_{status}")
    return _fault(f"status-{status}", f"answers {status} with an error as JSON", step, status=status)


def _html(status: int) -> Fault:
    step = respond(status, _PAGE.format(f"{status} {HTTPStatus(status).phrase}"))
    return _fault(f"status-{status}-html", f"answers {status} with a page of HTML", step, status=status)


def _bare(status: int) -> Fault:
    return _fault(f"status-{status}-empty", f"answers {status} without a body", respond(status), status=status)


def _redirect(status: int) -> Fault:
    step = respond(status, b"", {"location": "http://127.0.0.1:9/v1/chat/completions"})
    return _fault(f"redirect-{status}", f"answers {status}, with another address", step, status=status)


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
    _fault(
        "status-422-detail",
        "answers 422 with a list of details, as FastAPI does",
        respond(422, {"detail": [{"loc": ["body", "messages"], "msg": "Field required", "type": "missing"}]}),
        status=422,
    ),
    _fault(
        "status-400-flat",
        "answers 400 with an error that is not under `error`",
        respond(400, {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}),
        status=400,
    ),
    _fault(
        "status-400-events",
        "answers 400 with the error as an event",
        respond(400, b'data: {"error": {"message": "too long", "type": "invalid"}}\n\n', _EVENTS),
        status=400,
    ),
    _fault(
        "status-400-text", "answers 400 in plain text", respond(400, b"no", {"content-type": "text/plain"}), status=400
    ),
    _fault(
        "status-500-chunked",
        "answers 500, its body chunked",
        head(500, {"content-type": "application/json"}),
        body_bytes(_HALF_AN_ERROR),
        body_bytes(b'ne died"}}'),
        status=500,
    ),
    _fault(
        "status-500-cut",
        "answers 500, and closes in the middle of the body",
        respond(500, _HALF_AN_ERROR, {"content-type": "application/json", "content-length": "1000"}),
        close(),
        status=500,
    ),
    _fault(
        "status-500-stall",
        "answers 500, and is silent from the middle of the body on",
        respond(500, _HALF_AN_ERROR, {"content-type": "application/json", "content-length": "1000"}),
        stall(),
        status=500,
        never_ends=True,
    ),
)
"""The server says no in other words than OpenAI's, or not to the end."""

RETRIES = (
    _fault(
        "retry-after-seconds",
        "answers 429 with `Retry-After: 1`",
        _asking_to_wait(429, {"retry-after": "1"}),
        status=429,
    ),
    _fault("retry-after-date", "answers 429 with a date in `Retry-After`", LazyStep(_until_a_date), status=429),
    _fault(
        "retry-after-ms",
        "answers 503 with `retry-after-ms: 20`",
        _asking_to_wait(503, {"retry-after-ms": "20"}),
        status=503,
    ),
    _fault(
        "retry-after-an-hour",
        "answers 429 with `Retry-After: 3600`, which is too long to wait",
        _asking_to_wait(429, {"retry-after": "3600"}),
        status=429,
        is_retried=False,
    ),
    _fault(
        "should-not-retry",
        "answers 500 with `x-should-retry: false`",
        error(500, "gone for good", headers={"x-should-retry": "false"}),
        status=500,
        is_retried=False,
    ),
    _fault(
        "should-retry",
        "answers 400 with `x-should-retry: true`",
        error(400, "not yet", headers={"x-should-retry": "true", "retry-after-ms": "20"}),
        status=400,
        is_retried=True,
    ),
    _fault(
        "no-credit",
        "answers 429 with the code `insufficient_quota`, which no retry mends",
        error(429, "you exceeded your quota", kind="insufficient_quota", code="insufficient_quota"),
        status=429,
        is_retried=False,
    ),
)
"""The server says whether, and when, to come back."""

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
    _fault(
        "ok-completion", "answers 200 with the complete completion as JSON", respond(200, _COMPLETION), text="Hello"
    ),
    _fault("ok-error", "answers 200 with an error as JSON", respond(200, {"error": _OVERLOADED}), is_retried=True),
    _fault(
        "ok-error-429",
        "answers 200 with an error as JSON, whose code is 429",
        respond(200, {"error": {**_OVERLOADED, "code": 429}}),
        status=429,
    ),
    _fault(
        "ok-flat-error",
        "answers 200 with an error's fields as JSON, whose code is 429",
        respond(200, {**_OVERLOADED, "code": 429}),
        status=429,
    ),
    _fault(
        "ok-base-resp",
        "answers 200 with null choices and an error in `base_resp`",
        respond(200, {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "the model is overloaded"}}),
    ),
    _fault(
        "ok-error-as-events",
        "answers 200 with an error as JSON, and calls it an event stream",
        respond(200, {"error": _OVERLOADED}, {"content-type": "text/event-stream"}),
        is_retried=True,
    ),
    _fault("ok-other-json", "answers 200 with JSON that is not a completion", respond(200, {"status": "ok"})),
    _fault(
        "ok-json-list", "answers 200 with a list as JSON", respond(200, b"[1]", {"content-type": "application/json"})
    ),
    _fault(
        "ok-cut-completion",
        "answers 200 with a completion as JSON, and closes in the middle of it",
        respond(200, b'{"choices": [{"mess', {"content-type": "application/json", "content-length": "1000"}),
        close(),
    ),
    _fault(
        "ok-html", "answers 200 with a page of HTML, as a captive portal does", respond(200, _PAGE.format("Sign in"))
    ),
    _fault("ok-text", "answers 200 in plain text", respond(200, b"It works!", {"content-type": "text/plain"})),
    _fault("ok-empty", "answers 200 without a body", respond(200)),
    _fault("ok-empty-stream", "answers 200 with a stream of nothing", head()),
    _fault("status-204", "answers 204", respond(204)),
)
"""The server says yes, to something else."""

BEFORE_HEADERS = (*LOST, *SLOW, *INTERIM, *NOT_HTTP, *STATUSES, *BODIES, *RETRIES, *NOT_STREAMS)
