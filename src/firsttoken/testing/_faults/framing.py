"""Oddities of the stream that break nothing, however a client may trip over them: cuts, line ends, codings, endings."""

import zlib
from collections.abc import Callable

from firsttoken.testing._faults.fault import HELLO, READ_S, REST, Fault, LazyStep, event_of, make_script
from firsttoken.testing._script import (
    Step,
    StepLike,
    chunk,
    close,
    comment,
    delta,
    done,
    end,
    event,
    finish,
    forever,
    head,
    pause,
    raw,
    reply,
    role,
    split,
    stall,
    text,
    together,
    wire,
)

_GREETING = "Grüße, Welt 🌍"
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
_DONE = b"data: [DONE]\n\n"
_FINISHED = event_of("Hel") + event_of("lo", "stop") + _DONE


def _odd(name: str, what: str, *steps: StepLike, text: str = "Hello", never_ends: bool = False) -> Fault:
    """An answer that is whole all the same."""
    return Fault(name, "in the stream", what, make_script(*steps), text=text, is_whole=True, needs_deadline=never_ends)


def _apart(data: bytes, *cuts: int, send: Callable[[bytes], Step] = raw) -> list[Step]:
    """Bytes, in pieces that are read by themselves."""
    pieces = [data[start:stop] for start, stop in zip((0, *cuts), (*cuts, len(data)), strict=True)]
    return [step for piece in pieces for step in (send(piece), pause(READ_S))]


def _huge() -> Step:
    choice = {"index": 0, "delta": {"content": "lo"}, "finish_reason": None}
    return chunk({"choices": [choice], "padding": "x" * 2**21})


_UMLAUT = event_of("Grüß")
_EMOJI = event_of("e, Welt 🌍", "stop")
_FRAMED = b"%x\r\n%s\r\n" % (len(event_of("lo")), event_of("lo"))
_CRLF = event_of("Hel").replace(b"\n", b"\r\n")

CUTS = (
    _odd("split-every-byte", "sends each byte by itself", split(1, *reply(_GREETING)), text=_GREETING),
    _odd(
        "split-in-character",
        "cuts in the middle of the UTF-8 of two characters",
        *_apart(_UMLAUT, _UMLAUT.index("ü".encode()) + 1),
        *_apart(_EMOJI, _EMOJI.index("🌍".encode()) + 1, _EMOJI.index("🌍".encode()) + 3),
        done(),
        text=_GREETING,
    ),
    _odd(
        "split-in-crlf",
        "cuts between CR and LF",
        *_apart(_CRLF, len(_CRLF) - 3, len(_CRLF) - 1),
        text("lo"),
        REST,
    ),
    _odd(
        "split-in-framing",
        "cuts in the middle of an HTTP chunk's size, and of the CRLF behind it and behind the chunk",
        together(head(), text("Hel")),
        *_apart(_FRAMED, 1, _FRAMED.index(b"\n"), len(_FRAMED) - 1, send=wire),
        REST,
    ),
    _odd(
        "many-events-at-once",
        "sends 200 events in one piece",
        together(*reply(["Hello "] * 200)),
        text="Hello " * 200,
    ),
    _odd("huge-event", "sends an event of 2 MiB", role(), text("Hel"), LazyStep(_huge), REST),
)
"""The bytes come in other pieces than the events."""


def _with_line_ends(line_end: bytes) -> Step:
    return raw(_FINISHED.replace(b"\n", line_end))


GRAMMAR = (
    _odd("lf", "ends lines in LF", _with_line_ends(b"\n")),
    _odd("cr", "ends lines in CR", _with_line_ends(b"\r")),
    _odd("crlf", "ends lines in CRLF", _with_line_ends(b"\r\n")),
    _odd(
        "line-separators",
        "has U+2028 and U+0085 in a text, which end no line",
        *reply(["a\u2028b\u0085c"]),
        text="a\u2028b\u0085c",
    ),
    _odd("bom", "begins with a byte-order mark", raw(b"\xef\xbb\xbf" + _FINISHED)),
    _odd(
        "comments",
        "sends comments between the events",
        comment(),
        text("Hel"),
        comment(),
        text("lo"),
        comment(""),
        REST,
    ),
    _odd(
        "blank-lines",
        "sends more blank lines than it needs",
        raw(b"\n\n\n" + _FINISHED.replace(b"\n\n", b"\n\n\n\n\n")),
    ),
    _odd("no-space", "has no space behind the colons", raw(_FINISHED.replace(b"data: ", b"data:"))),
    _odd(
        "blank-data",
        "sends events without data",
        text("Hel"),
        raw(b"data:\n\ndata: \n\nevent: ping\n\n"),
        text("lo"),
        REST,
    ),
    _odd(
        "multi-line-data",
        "sends an event's data in two lines",
        raw(event_of("Hel").replace(b', "delta"', b',\ndata: "delta"')),
        text("lo"),
        REST,
    ),
    _odd(
        "other-fields",
        "names, numbers and times its events",
        raw(_FINISHED.replace(b"data: ", b"event: message\nid: 7\nretry: 100\nwhatever: x\ndata: ")),
    ),
    _odd("no-last-blank-line", "leaves out the last blank line", head(framing="close"), raw(_FINISHED.rstrip())),
    _odd(
        "other-content-type",
        "calls its events plain text",
        head(headers={"content-type": "text/plain"}),
        HELLO,
        REST,
    ),
)
"""What the grammar of event streams allows, and few servers do."""

SHAPES = (
    _odd("error-null", "sends `error: null`, which is none", HELLO, chunk({"error": None}), REST),
    _odd(
        "no-choices",
        "sends chunks whose choices are null, empty or missing",
        chunk({"choices": None}),
        HELLO,
        chunk({"choices": []}),
        event({"id": "chatcmpl-1"}),
        REST,
    ),
    _odd(
        "nulls",
        "sends nulls where there is nothing",
        delta({"role": None, "content": None, "tool_calls": None, "refusal": None}),
        HELLO,
        chunk({"choices": [{"index": 0, "delta": None, "finish_reason": None}], "usage": None}),
        REST,
    ),
    _odd(
        "other-types",
        "sends fields of other types than the schema's",
        HELLO,
        chunk({"id": 7, "created": "now", "usage": [], "choices": [{"index": "0", "delta": {"role": 1}}]}),
        REST,
    ),
    _odd("not-a-number", "sends NaN, which JSON has not", HELLO, event('{"choices": [], "cost": NaN}'), REST),
)
"""What the schema does not allow, and yet says nothing wrong."""


def _coded(data: bytes) -> bytes:
    return zlib.compress(data, wbits=16 + zlib.MAX_WBITS)


CODINGS = (
    _odd(
        "gzip",
        "compresses with gzip, though nobody asked",
        head(headers={"content-encoding": "gzip"}),
        raw(_coded(_FINISHED)),
    ),
    _odd(
        "gzip-split",
        "compresses with gzip, and sends each byte by itself",
        head(headers={"content-encoding": "gzip"}),
        split(1, raw(_coded(_FINISHED))),
    ),
    _odd(
        "deflate",
        "compresses with deflate",
        head(headers={"content-encoding": "deflate"}),
        raw(zlib.compress(_FINISHED)),
    ),
)
"""The body is compressed."""

ENDINGS = (
    _odd("no-done", "sends no `[DONE]`", HELLO, finish()),
    _odd("no-finish-reason", "sends `[DONE]`, but no finish reason", HELLO, done()),
    _odd("no-terminating-chunk", "closes behind `[DONE]`, without the end of the body", HELLO, REST, close()),
    _odd("done-then-silence", "is silent behind `[DONE]`", HELLO, REST, stall()),
    _odd("done-then-comments", "sends comments behind `[DONE]`, for ever", HELLO, REST, forever(comment(), gap_s=0.01)),
    _odd("done-then-data", "sends more text behind `[DONE]`", HELLO, REST, text("!"), finish("length"), done()),
    _odd("done-then-garbage", "sends garbage behind `[DONE]`", HELLO, REST, raw(b"data: {\xff\n\n")),
    _odd(
        "answer-then-garbage", "sends garbage behind the end of the body", HELLO, REST, end(), wire(b"garbage\r\n\r\n")
    ),
    _odd(
        "finish-then-silence",
        "is silent behind the finish reason, without `[DONE]`",
        HELLO,
        finish(),
        stall(),
        never_ends=True,
    ),
    _odd("close-delimited", "ends the body with the connection", head(framing="close"), HELLO, finish()),
    _odd("http-1.0", "speaks HTTP/1.0", wire(b"HTTP/1.0 200 OK\r\n\r\n" + _FINISHED), close()),
    _odd(
        "content-length",
        "says how long the stream is, before it has begun",
        wire(_HEAD + b"content-length: %d\r\n\r\n" % len(_FINISHED) + _FINISHED),
        close(),
    ),
    _odd(
        "trailers",
        "sends chunk extensions, and trailers behind the body",
        wire(_HEAD + b"transfer-encoding: chunked\r\n\r\n%x;a=b\r\n" % len(_FINISHED) + _FINISHED),
        wire(b"\r\n0\r\nx-checksum: 1\r\n\r\n"),
        close(),
    ),
)
"""The end is not the usual one, but it is one."""


BENIGN = (*CUTS, *GRAMMAR, *SHAPES, *CODINGS, *ENDINGS)
