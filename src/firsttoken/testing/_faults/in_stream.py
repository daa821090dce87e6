"""Faults in the stream that leave half an answer: it is cut, it stalls, it can't be read, or it says that it failed."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from firsttoken.testing._faults.fault import (
    ANSWER_END,
    ANSWER_START,
    GAP_S,
    READ_S,
    ROLE_EVENT,
    Fault,
    LazyStep,
    make_event,
    make_script,
)
from firsttoken.testing._script import (
    Step,
    StepLike,
    body_bytes,
    chunk,
    close,
    comment,
    delta,
    done,
    event,
    finish,
    head,
    reset,
    role,
    text,
    tool_call,
    wire_bytes,
)
from firsttoken.testing._script.flow import pause, repeat, stall


def _fault(
    name: str, what: str, *steps: StepLike, text: str = "Hello", never_ends: bool = False, is_retried: bool = False
) -> Fault:
    return Fault(
        name, "in the stream", what, make_script(*steps), text=text, needs_deadline=never_ends, is_retried=is_retried
    )


def _padding() -> Step:
    return body_bytes(b"x" * 2**18)


def _nested() -> Step:
    return event('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}")


_HALF = make_event("!")[:-20]

CUTS = (
    _fault("close", "closes in the middle of the answer", ANSWER_START, close()),
    _fault("reset", "resets in the middle of the answer", ANSWER_START, pause(READ_S), reset()),
    _fault("close-before-text", "closes after the head", head(), close(), text=""),
    _fault("reset-before-text", "resets after the head", head(), pause(READ_S), reset(), text="", is_retried=True),
    _fault("end-in-answer", "ends the body in the middle of the answer", ANSWER_START),
    _fault("end-in-event", "ends the body in the middle of an event", ANSWER_START, body_bytes(_HALF)),
    _fault("close-in-event", "closes in the middle of an event", ANSWER_START, body_bytes(_HALF), close()),
    _fault(
        "close-in-chunk", "closes in the middle of an HTTP chunk", ANSWER_START, wire_bytes(b"ff\r\n" + _HALF), close()
    ),
    _fault(
        "close-behind-finish",
        "closes after the finish reason, without `[DONE]` and without the end of the body",
        ANSWER_START,
        finish(),
        close(),
    ),
    _fault("close-delimited-cut", "ends the body with the connection, too early", head(framing="close"), ANSWER_START),
    _fault(
        "close-delimited-cut-in-event",
        "ends the body with the connection, in the middle of an event",
        head(framing="close"),
        ANSWER_START,
        body_bytes(_HALF),
    ),
    _fault("no-finish-reason", "sends `[DONE]`, but no finish reason", ANSWER_START, done()),
    _fault("only-done", "sends `[DONE]` and nothing else", done(), text=""),
    _fault(
        "only-empty-choices", "sends a chunk without choices, and `[DONE]`", chunk({"choices": []}), done(), text=""
    ),
    _fault("only-comments", "sends a comment and nothing else", comment(), text=""),
    _fault(
        "tool-call-cut",
        "closes in the middle of a tool call's arguments",
        role(),
        tool_call("get_weather", '{"city": "Par', fragments=2),
        close(),
        text="",
    ),
    _fault(
        "tool-call-end",
        "ends the body in the middle of a tool call's arguments",
        role(),
        tool_call("get_weather", '{"city": "Par', fragments=2),
        text="",
    ),
    _fault(
        "one-choice-cut",
        "ends the body when one of two choices has finished",
        role(),
        role(index=1),
        chunk({"choices": [{"index": 0, "delta": {"content": "Hel"}}, {"index": 1, "delta": {"content": "Good"}}]}),
        text("lo"),
        finish(),
    ),
)
"""The stream ends before the answer does."""

STALLS = (
    _fault("stall", "is silent in the middle of the answer", ANSWER_START, stall(), never_ends=True),
    _fault("stall-before-text", "is silent after the head", head(), stall(), text="", never_ends=True),
    _fault(
        "stall-in-event",
        "is silent in the middle of an event",
        ANSWER_START,
        body_bytes(_HALF),
        stall(),
        never_ends=True,
    ),
    _fault(
        "endless-comments", "sends comments forever", head(), repeat(comment(), gap_s=GAP_S), text="", never_ends=True
    ),
    _fault(
        "endless-comments-in-answer",
        "sends comments forever, in the middle of the answer",
        ANSWER_START,
        repeat(comment(), gap_s=GAP_S),
        never_ends=True,
    ),
    _fault(
        "endless-blank-lines",
        "sends blank lines forever",
        ANSWER_START,
        repeat(body_bytes(b"\n"), gap_s=GAP_S),
        never_ends=True,
    ),
    _fault("endless-roles", "sends the role forever", repeat(role(), gap_s=GAP_S), text="", never_ends=True),
    _fault(
        "endless-empty-deltas",
        "sends empty deltas forever",
        ANSWER_START,
        repeat(delta({}), gap_s=GAP_S),
        never_ends=True,
    ),
    _fault(
        "endless-dripping",
        "drips bytes of an event, forever",
        ANSWER_START,
        body_bytes(b"data: "),
        repeat(body_bytes(b" "), gap_s=GAP_S),
        never_ends=True,
    ),
    _fault(
        "endless-event",
        "sends an event that never ends",
        ANSWER_START,
        body_bytes(b'data: {"padding": "'),
        repeat(LazyStep(_padding), gap_s=0.001),
        never_ends=True,
    ),
)
"""The stream does not end, and no more of the answer comes."""


def _malformed(name: str, what: str, data: StepLike) -> Fault:
    """Something unreadable, and then the rest as if nothing had been: a client that skips it has a hole."""
    return _fault(name, what, ANSWER_START, data, text("!"), ANSWER_END)


def _chunk_with(choices: object) -> Step:
    return chunk({"choices": choices})


MALFORMED = (
    _malformed("bad-json", "sends an event that is not JSON", event('{"choices": [{"index": 0, "delta"')),
    _malformed("bad-utf-8", "sends an event that is not UTF-8", body_bytes(make_event("?").replace(b"?", b"\xc3\x28"))),
    _malformed("text-event", "sends an event of plain text", event("Hello")),
    _malformed("list-event", "sends an event that is a list", event("[1, 2]")),
    _malformed("null-event", "sends an event that is null", event("null")),
    _malformed("choices-no-list", "sends choices that are not a list", _chunk_with({"index": 0})),
    _malformed("choice-no-object", "sends a choice that is not an object", _chunk_with(["!"])),
    _malformed("delta-no-object", "sends a delta that is not an object", _chunk_with([{"index": 0, "delta": "!"}])),
    _malformed("deep-nesting", "nests 100,000 lists", LazyStep(_nested)),
    _fault(
        "broken-framing",
        "sends a chunk whose size is not a number",
        ANSWER_START,
        wire_bytes(b"zz\r\n"),
        ANSWER_END,
        close(),
    ),
)
"""What comes can't be read."""

_FIRST = ROLE_EVENT + make_event("Hel")
_CUT_AT = len(_FIRST) + 20


def _with_length(length: int) -> Step:
    return head(headers={"content-length": str(length)}, framing="close")


def _gzipped(tail: bytes) -> list[Step]:
    coder = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    coded = coder.compress(_FIRST + make_event("lo")) + coder.flush(zlib.Z_SYNC_FLUSH)
    return [head(headers={"content-encoding": "gzip"}), body_bytes(coded + tail)]


BAD_FRAMING = (
    _fault(
        "content-length-too-long",
        "promises more bytes than it sends",
        _with_length(9999),
        body_bytes(_FIRST),
        text="Hel",
    ),
    _fault(
        "content-length-too-short",
        "promises fewer bytes than it sends",
        _with_length(_CUT_AT),
        body_bytes(_FIRST + make_event("lo")),
        ANSWER_END,
        text="Hel",
    ),
    _fault("gzip-cut", "ends the body in the middle of its gzip", *_gzipped(b"")),
    _fault("gzip-close", "closes in the middle of its gzip", *_gzipped(b""), close()),
    _fault("gzip-broken", "sends gzip that is broken", *_gzipped(b"\xff" * 20)),
    _fault(
        "unknown-coding",
        "compresses with something that nobody knows",
        head(headers={"content-encoding": "snappy"}),
        ANSWER_START,
        ANSWER_END,
        text="",
    ),
)
"""The frame around the stream is wrong."""

TRUNCATED = (*CUTS, *STALLS, *MALFORMED, *BAD_FRAMING)


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
    _Form("object-error", '`{"object": "error", …}` with the code 400', event({"object": "error", **_error(400)}), 400),
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
        "finish-network-error", 'the finish reason "network_error"', _failed_choice({"finish_reason": "network_error"})
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
