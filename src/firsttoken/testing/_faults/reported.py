"""Faults that the server reports inside the stream of a 200: every form of error that servers are known to send."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from firsttoken.testing._faults.fault import ANSWER_START, Fault, make_script
from firsttoken.testing._script import Step, body_bytes, chunk, delta, done, event, role, text


@dataclass(frozen=True, slots=True)
class _Form:
    """A way to say it.

    Attributes:
        name: of the form.
        what: it is.
        step: that sends it.
        status: the HTTP status that it names, if any.
    """

    name: str
    what: str
    step: Step
    status: int | None = None


def _error(code: int | str | None = None) -> Mapping[str, object]:
    return {"message": "the engine died", "type": "engine_error", "param": None, "code": code}


def _failed_choice(fields: Mapping[str, object]) -> Step:
    return chunk({"choices": [{"index": 0, "delta": {"content": ""}, **fields}]})


_FORMS = (
    _Form("error-object", '`{"error": {…}}`', event({"error": _error()})),
    _Form("error-401", '`{"error": {…}}` with the code 401', event({"error": _error(401)}), 401),
    _Form("error-429", '`{"error": {…}}` with the code 429', event({"error": _error(429)}), 429),
    _Form("error-500", '`{"error": {…}}` with the code "500"', event({"error": _error("500")}), 500),
    _Form("error-text", '`{"error": "…"}`', event({"error": "the engine died"})),
    _Form("error-event", "`event: error` with an object", event(dict(_error()), name="error")),
    _Form("error-event-503", "`event: error` with the code 503", event({"error": _error(503)}, name="error"), 503),
    _Form("error-event-text", "`event: error` with plain text", event("the engine died", name="error")),
    _Form(
        "object-error",
        '`{"object": "error", …}` with the code 400',
        event({"object": "error", **_error(400)}),
        400,
    ),
    _Form(
        "choice-error",
        "an error inside a choice, with the code 502",
        _failed_choice({"error": _error(502), "finish_reason": None}),
        502,
    ),
    _Form(
        "error-beside-choice",
        "an error beside the choices",
        chunk({"error": _error(), "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]}),
    ),
    _Form("finish-error", 'the finish reason "error"', _failed_choice({"finish_reason": "error"})),
    _Form("finish-abort", 'the finish reason "abort"', _failed_choice({"finish_reason": "abort"})),
    _Form(
        "finish-network-error",
        'the finish reason "network_error"',
        _failed_choice({"finish_reason": "network_error"}),
    ),
    _Form(
        "finish-bad-call",
        'the finish reason "MALFORMED_FUNCTION_CALL"',
        _failed_choice({"finish_reason": "MALFORMED_FUNCTION_CALL"}),
    ),
    _Form("flat-error", "an error's fields beside nothing else, with the code 429", event(_error(429)), 429),
    _Form("error-detail", '`{"detail": "…"}`', event({"detail": "the engine died"})),
    _Form("error-in-list", '`[{"error": {…}}]` with the code 503', event(json.dumps([{"error": _error(503)}])), 503),
    _Form(
        "base-resp",
        "`base_resp` with a status that is not 0, and null choices",
        event({"choices": None, "base_resp": {"status_code": 1008, "status_msg": "the engine died"}}),
    ),
    _Form("error-in-x-groq", "an error in `x_groq`", chunk({"x_groq": {"error": "the engine died"}})),
    _Form(
        "json-line",
        "a line of JSON without `data:`, an error with the code 500",
        body_bytes(b'{"error": {"message": "the engine died", "code": 500}}\n\n'),
        500,
    ),
    _Form(
        "error-line",
        "a line `error: {…}`, with the code 500",
        body_bytes(b'error: {"message": "the engine died", "type": "server_error", "code": 500}\n\n'),
        500,
    ),
)


def _first(form: _Form) -> Fault:
    return Fault(
        f"{form.name}-first",
        "in the stream",
        f"begins with {form.what}",
        make_script(form.step, done()),
        status=form.status,
        is_retried=form.name.startswith("finish-") or form.status == 429 or (form.status or 0) >= 500,
    )


def _in_answer(form: _Form) -> Fault:
    what = f"sends, in the middle of the answer, {form.what}"
    script = make_script(ANSWER_START, form.step, done())
    return Fault(form.name, "in the stream", what, script, text="Hello", status=form.status)


_WITH_TEXT = Fault(
    "finish-abort-with-text",
    "in the stream",
    'sends the last text together with the finish reason "abort"',
    make_script(role(), text("Hel"), delta({"content": "lo"}, finish_reason="abort"), done()),
    text="Hello",
)

IN_STREAM_ERRORS = (*map(_in_answer, _FORMS), *map(_first, _FORMS), _WITH_TEXT)
