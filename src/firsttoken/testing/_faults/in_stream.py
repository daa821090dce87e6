"""Faults in the stream that leave half an answer: it is cut, it stalls, it can't be read, its frame is wrong."""

import zlib

from firsttoken.testing._faults.fault import GAP_S, HELLO, READ_S, REST, Fault, LazyStep, event_of, make_script
from firsttoken.testing._script import (
    Step,
    StepLike,
    chunk,
    close,
    comment,
    delta,
    done,
    event,
    finish,
    forever,
    head,
    pause,
    raw,
    reset,
    role,
    stall,
    text,
    tool_call,
    wire,
)


def _fault(
    name: str,
    what: str,
    *steps: StepLike,
    text: str = "Hello",
    never_ends: bool = False,
    is_retried: bool = False,
) -> Fault:
    return Fault(
        name,
        "in the stream",
        what,
        make_script(*steps),
        text=text,
        needs_deadline=never_ends,
        is_retried=is_retried,
    )


def _padding() -> Step:
    return raw(b"x" * 2**18)


def _nested() -> Step:
    return event('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}")


_HALF = event_of("!")[:-20]

CUTS = (
    _fault("close", "closes in the middle of the answer", HELLO, close()),
    _fault("reset", "resets in the middle of the answer", HELLO, pause(READ_S), reset()),
    _fault("close-before-text", "closes behind the head", head(), close(), text=""),
    _fault(
        "reset-before-text",
        "resets behind the head",
        head(),
        pause(READ_S),
        reset(),
        text="",
        is_retried=True,
    ),
    _fault("end-in-answer", "ends the body in the middle of the answer", HELLO),
    _fault("end-in-event", "ends the body in the middle of an event", HELLO, raw(_HALF)),
    _fault("close-in-event", "closes in the middle of an event", HELLO, raw(_HALF), close()),
    _fault("close-in-chunk", "closes in the middle of an HTTP chunk", HELLO, wire(b"ff\r\n" + _HALF), close()),
    _fault(
        "close-behind-finish",
        "closes behind the finish reason, without `[DONE]` and without the end of the body",
        HELLO,
        finish(),
        close(),
    ),
    _fault("close-delimited-cut", "ends the body with the connection, too early", head(framing="close"), HELLO),
    _fault(
        "close-delimited-cut-in-event",
        "ends the body with the connection, in the middle of an event",
        head(framing="close"),
        HELLO,
        raw(_HALF),
    ),
    _fault("only-done", "sends `[DONE]` and nothing else", done(), text=""),
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
        text("Hel"),
        text("Good", index=1),
        text("lo"),
        finish(),
    ),
)
"""The stream ends before the answer does."""

STALLS = (
    _fault("stall", "is silent in the middle of the answer", HELLO, stall(), never_ends=True),
    _fault("stall-before-text", "is silent behind the head", head(), stall(), text="", never_ends=True),
    _fault("stall-in-event", "is silent in the middle of an event", HELLO, raw(_HALF), stall(), never_ends=True),
    _fault(
        "endless-comments",
        "sends comments for ever",
        head(),
        forever(comment(), gap_s=GAP_S),
        text="",
        never_ends=True,
    ),
    _fault(
        "endless-comments-in-answer",
        "sends comments for ever, in the middle of the answer",
        HELLO,
        forever(comment(), gap_s=GAP_S),
        never_ends=True,
    ),
    _fault(
        "endless-blank-lines", "sends blank lines for ever", HELLO, forever(raw(b"\n"), gap_s=GAP_S), never_ends=True
    ),
    _fault("endless-roles", "sends the role for ever", forever(role(), gap_s=GAP_S), text="", never_ends=True),
    _fault(
        "endless-empty-deltas", "sends empty deltas for ever", HELLO, forever(delta({}), gap_s=GAP_S), never_ends=True
    ),
    _fault(
        "endless-dripping",
        "drips bytes of an event, for ever",
        HELLO,
        raw(b"data: "),
        forever(raw(b" "), gap_s=GAP_S),
        never_ends=True,
    ),
    _fault(
        "endless-event",
        "sends an event that never ends",
        HELLO,
        raw(b'data: {"padding": "'),
        forever(LazyStep(_padding), gap_s=0.001),
        never_ends=True,
    ),
)
"""The stream does not end, and no more of the answer comes."""


def _garbled(name: str, what: str, data: StepLike) -> Fault:
    """Something unreadable, and then the rest as if nothing had been: a client that skips it has a hole."""
    return _fault(name, what, HELLO, data, text("!"), REST)


def _chunk_with(choices: object) -> Step:
    return chunk({"choices": choices})


MALFORMED = (
    _garbled("bad-json", "sends an event that is no JSON", event('{"choices": [{"index": 0, "delta"')),
    _garbled("bad-utf-8", "sends an event that is no UTF-8", raw(event_of("?").replace(b"?", b"\xc3\x28"))),
    _garbled("text-event", "sends an event of plain text", event("Hello")),
    _garbled("list-event", "sends an event that is a list", event("[1, 2]")),
    _garbled("null-event", "sends an event that is null", event("null")),
    _garbled("choices-no-list", "sends choices that are no list", _chunk_with({"index": 0})),
    _garbled("choice-no-object", "sends a choice that is no object", _chunk_with(["!"])),
    _garbled("delta-no-object", "sends a delta that is no object", _chunk_with([{"index": 0, "delta": "!"}])),
    _garbled("deep-nesting", "nests 100,000 lists", LazyStep(_nested)),
    _fault("broken-framing", "sends a chunk whose size is no number", HELLO, wire(b"zz\r\n"), REST, close()),
)
"""What comes can't be read."""

_FIRST = event_of("Hel")
_CUT_AT = len(_FIRST) + 20


def _with_length(length: int) -> Step:
    return head(headers={"content-length": str(length)}, framing="close")


def _gzipped(tail: bytes) -> list[Step]:
    coder = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    coded = coder.compress(_FIRST + event_of("lo")) + coder.flush(zlib.Z_SYNC_FLUSH)
    return [head(headers={"content-encoding": "gzip"}), raw(coded + tail)]


FRAMED_WRONG = (
    _fault("content-length-too-long", "promises more bytes than it sends", _with_length(9999), raw(_FIRST), text="Hel"),
    _fault(
        "content-length-too-short",
        "promises fewer bytes than it sends",
        _with_length(_CUT_AT),
        raw(_FIRST + event_of("lo")),
        REST,
        text="Hel",
    ),
    _fault("gzip-cut", "ends the body in the middle of its gzip", *_gzipped(b"")),
    _fault("gzip-close", "closes in the middle of its gzip", *_gzipped(b""), close()),
    _fault("gzip-broken", "sends gzip that is broken", *_gzipped(b"\xff" * 20)),
    _fault(
        "unknown-coding",
        "compresses with something that nobody knows",
        head(headers={"content-encoding": "snappy"}),
        HELLO,
        REST,
        text="",
    ),
)
"""The frame around the stream is wrong."""

TRUNCATED = (*CUTS, *STALLS, *MALFORMED, *FRAMED_WRONG)
