"""Oddities of the stream that break nothing, however a client may trip over them: cuts, line ends, codings, endings."""

import zlib
from collections.abc import Callable

from firsttoken.testing._faults.fault import (
    ANSWER_END,
    ANSWER_START,
    FINISH_EVENT,
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
    end,
    event,
    finish,
    head,
    reply,
    role,
    text,
    wire_bytes,
)
from firsttoken.testing._script.flow import coalesce, pause, repeat, split, stall

_GREETING = "Grüße, Welt 🌍"
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
_DONE = b"data: [DONE]\n\n"
_FINISHED = ROLE_EVENT + make_event("Hel") + make_event("lo") + FINISH_EVENT + _DONE


def _benign(name: str, what: str, *steps: StepLike, text: str = "Hello", never_ends: bool = False) -> Fault:
    """An answer that is complete all the same."""
    return Fault(
        name, "in the stream", what, make_script(*steps), text=text, is_complete=True, needs_deadline=never_ends
    )


def _apart(data: bytes, *cuts: int, send: Callable[[bytes], Step] = body_bytes) -> list[Step]:
    """Bytes, in pieces that are read by themselves."""
    pieces = [data[start:stop] for start, stop in zip((0, *cuts), (*cuts, len(data)), strict=True)]
    return [step for piece in pieces for step in (send(piece), pause(READ_S))]


def _huge() -> Step:
    choice = {"index": 0, "delta": {"content": "lo"}, "finish_reason": None}
    return chunk({"choices": [choice], "padding": "x" * 2**21})


_UMLAUT = make_event("Grüß")
_EMOJI = make_event("e, Welt 🌍")
_HTTP_CHUNK = b"%x\r\n%s\r\n" % (len(make_event("lo")), make_event("lo"))
_CRLF = make_event("Hel").replace(b"\n", b"\r\n")

CUTS = (
    _benign("split-every-byte", "sends each byte by itself", split(1, *reply(_GREETING)), text=_GREETING),
    _benign(
        "split-in-character",
        "cuts in the middle of the UTF-8 of two characters",
        role(),
        *_apart(_UMLAUT, _UMLAUT.index("ü".encode()) + 1),
        *_apart(_EMOJI, _EMOJI.index("🌍".encode()) + 1, _EMOJI.index("🌍".encode()) + 3),
        ANSWER_END,
        text=_GREETING,
    ),
    _benign(
        "split-in-crlf",
        "cuts between CR and LF",
        role(),
        *_apart(_CRLF, len(_CRLF) - 3, len(_CRLF) - 1),
        text("lo"),
        ANSWER_END,
    ),
    _benign(
        "split-in-framing",
        "cuts in the middle of an HTTP chunk's size, and of the CRLF after it and after the chunk",
        coalesce(role(), text("Hel")),
        *_apart(_HTTP_CHUNK, 1, _HTTP_CHUNK.index(b"\n"), len(_HTTP_CHUNK) - 1, send=wire_bytes),
        ANSWER_END,
    ),
    _benign(
        "many-events-at-once", "sends 200 events in one piece", coalesce(*reply(["Hello "] * 200)), text="Hello " * 200
    ),
    _benign("huge-event", "sends an event of 2 MiB", role(), text("Hel"), LazyStep(_huge), ANSWER_END),
)
"""The bytes come in other pieces than the events."""


def _with_line_ends(line_end: bytes) -> Step:
    return body_bytes(_FINISHED.replace(b"\n", line_end))


GRAMMAR = (
    _benign("lf", "ends lines in LF", _with_line_ends(b"\n")),
    _benign("cr", "ends lines in CR", _with_line_ends(b"\r")),
    _benign("crlf", "ends lines in CRLF", _with_line_ends(b"\r\n")),
    _benign(
        "line-separators",
        "has U+2028 and U+0085 in a text, which end no line",
        *reply(["a\u2028b\u0085c"]),
        text="a\u2028b\u0085c",
    ),
    _benign("bom", "begins with a byte-order mark", body_bytes(b"\xef\xbb\xbf" + _FINISHED)),
    _benign(
        "comments",
        "sends comments between the events",
        comment(),
        role(),
        text("Hel"),
        comment(),
        text("lo"),
        comment(""),
        ANSWER_END,
    ),
    _benign(
        "blank-lines",
        "sends more blank lines than it needs",
        body_bytes(b"\n\n\n" + _FINISHED.replace(b"\n\n", b"\n\n\n\n\n")),
    ),
    _benign("no-space", "has no space after the colons", body_bytes(_FINISHED.replace(b"data: ", b"data:"))),
    _benign(
        "blank-data",
        "sends events without data",
        role(),
        text("Hel"),
        body_bytes(b"data:\n\ndata: \n\nevent: ping\n\n"),
        text("lo"),
        ANSWER_END,
    ),
    _benign(
        "multi-line-data",
        "sends an event's data in two lines",
        role(),
        body_bytes(make_event("Hel").replace(b', "delta"', b',\ndata: "delta"')),
        text("lo"),
        ANSWER_END,
    ),
    _benign(
        "other-fields",
        "names, numbers and times its events",
        body_bytes(_FINISHED.replace(b"data: ", b"event: message\nid: 7\nretry: 100\nwhatever: x\ndata: ")),
    ),
    _benign(
        "no-last-blank-line", "leaves out the last blank line", head(framing="close"), body_bytes(_FINISHED.rstrip())
    ),
    _benign(
        "other-content-type",
        "calls its events plain text",
        head(headers={"content-type": "text/plain"}),
        ANSWER_START,
        ANSWER_END,
    ),
)
"""What the grammar of event streams allows, and few servers do."""

SHAPES = (
    _benign("error-null", "sends `error: null`, which is none", ANSWER_START, chunk({"error": None}), ANSWER_END),
    _benign(
        "no-choices",
        "sends chunks whose choices are null, empty or missing",
        chunk({"choices": None}),
        ANSWER_START,
        chunk({"choices": []}),
        event({"id": "chatcmpl-1"}),
        ANSWER_END,
    ),
    _benign(
        "nulls",
        "sends nulls where there is nothing",
        delta({"role": None, "content": None, "tool_calls": None, "refusal": None}),
        ANSWER_START,
        chunk({"choices": [{"index": 0, "delta": None, "finish_reason": None}], "usage": None}),
        ANSWER_END,
    ),
    _benign(
        "other-types",
        "sends fields of other types than the schema's",
        ANSWER_START,
        chunk({"id": 7, "created": "now", "usage": [], "choices": [{"index": "0", "delta": {"role": 1}}]}),
        ANSWER_END,
    ),
    _benign(
        "finish-in-every-chunk",
        "sends a finish reason with every chunk, and text after it",
        role(),
        delta({"content": "Hel"}, finish_reason="stop"),
        comment(),
        delta({"content": "lo"}, finish_reason="stop"),
        done(),
    ),
    _benign(
        "finish-null-text",
        'sends the finish reasons "null" and "None", which are none',
        role(),
        delta({"content": "Hel"}, finish_reason="null"),
        delta({"content": "lo"}, finish_reason="None"),
        ANSWER_END,
    ),
    _benign(
        "foreign-events",
        "sends events of other names, which are not part of the answer",
        event("ping", name="ping"),
        ANSWER_START,
        event({"type": "file_produced", "error": "none of yours"}, name="file_produced"),
        ANSWER_END,
    ),
    _benign(
        "not-a-number", "sends NaN, which JSON has not", ANSWER_START, event('{"choices": [], "cost": NaN}'), ANSWER_END
    ),
)
"""What the schema does not allow, and yet says nothing wrong."""


def _gzip(data: bytes) -> bytes:
    return zlib.compress(data, wbits=16 + zlib.MAX_WBITS)


CODINGS = (
    _benign(
        "gzip",
        "compresses with gzip, though nobody asked",
        head(headers={"content-encoding": "gzip"}),
        body_bytes(_gzip(_FINISHED)),
    ),
    _benign(
        "gzip-split",
        "compresses with gzip, and sends each byte by itself",
        head(headers={"content-encoding": "gzip"}),
        split(1, body_bytes(_gzip(_FINISHED))),
    ),
    _benign(
        "deflate",
        "compresses with deflate",
        head(headers={"content-encoding": "deflate"}),
        body_bytes(zlib.compress(_FINISHED)),
    ),
)
"""The body is compressed."""

ENDINGS = (
    _benign("no-done", "sends no `[DONE]`", ANSWER_START, finish()),
    _benign(
        "no-terminating-chunk", "closes after `[DONE]`, without the end of the body", ANSWER_START, ANSWER_END, close()
    ),
    _benign("done-then-silence", "is silent after `[DONE]`", ANSWER_START, ANSWER_END, stall()),
    _benign(
        "done-then-comments",
        "sends comments after `[DONE]`, forever",
        ANSWER_START,
        ANSWER_END,
        repeat(comment(), gap_s=0.01),
    ),
    _benign(
        "done-then-data",
        "sends more text after `[DONE]`",
        ANSWER_START,
        ANSWER_END,
        text("!"),
        finish("length"),
        done(),
    ),
    _benign(
        "done-then-garbage", "sends garbage after `[DONE]`", ANSWER_START, ANSWER_END, body_bytes(b"data: {\xff\n\n")
    ),
    _benign(
        "answer-then-garbage",
        "sends garbage after the end of the body",
        ANSWER_START,
        ANSWER_END,
        end(),
        wire_bytes(b"garbage\r\n\r\n"),
    ),
    _benign(
        "finish-then-silence",
        "is silent after the finish reason, without `[DONE]`",
        ANSWER_START,
        finish(),
        stall(),
        never_ends=True,
    ),
    _benign("close-delimited", "ends the body with the connection", head(framing="close"), ANSWER_START, finish()),
    _benign("http-1.0", "speaks HTTP/1.0", wire_bytes(b"HTTP/1.0 200 OK\r\n\r\n" + _FINISHED), close()),
    _benign(
        "content-length",
        "says how long the stream is, before it has begun",
        wire_bytes(_HEAD + b"content-length: %d\r\n\r\n" % len(_FINISHED) + _FINISHED),
        close(),
    ),
    _benign(
        "trailers",
        "sends chunk extensions, and trailers after the body",
        wire_bytes(_HEAD + b"transfer-encoding: chunked\r\n\r\n%x;a=b\r\n" % len(_FINISHED) + _FINISHED),
        wire_bytes(b"\r\n0\r\nx-checksum: 1\r\n\r\n"),
        close(),
    ),
)
"""The end is not the usual one, but it is one."""


BENIGN = (*CUTS, *GRAMMAR, *SHAPES, *CODINGS, *ENDINGS)
