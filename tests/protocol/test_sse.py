"""firsttoken._protocol.sse: the WHATWG grammar, each case at every split of its bytes."""

import tracemalloc
from typing import Any

import pytest

from firsttoken._protocol.sse import MAX_EVENT_BYTES, ServerSentEvent, SSEDecoder
from firsttoken.errors import ResponseFormatError
from tests.support.core import cut_every, every_split

Message = tuple[Any, ...]
"""Type, data, id and retry of an event, as many as it needs."""

CASES: dict[str, tuple[bytes, list[Message]]] = {
    "LF": (b"data: a\n\ndata: b\n\n", [("message", b"a"), ("message", b"b")]),
    "CRLF": (b"data: a\r\n\r\ndata: b\r\n\r\n", [("message", b"a"), ("message", b"b")]),
    "CR": (b"data: a\r\rdata: b\r\r", [("message", b"a"), ("message", b"b")]),
    "mixed line ends": (
        b"data: a\r\n\ndata: b\r\r\ndata: c\n\r\n",
        [("message", b"a"), ("message", b"b"), ("message", b"c")],
    ),
    "LF CR is two line ends": (b"data: a\n\rdata: b\n\n", [("message", b"a"), ("message", b"b")]),
    "CR CR LF is two line ends": (b"data: a\r\r\ndata: b\r\n\r\n", [("message", b"a"), ("message", b"b")]),
    "a lone CR at the end": (b"data: a\n\r", [("message", b"a")]),
    "a lone CR ends an event": (b"data: a\r\r", [("message", b"a")]),
    "no space": (b"data:a\n\n", [("message", b"a")]),
    "only the first space goes": (b"data:  a \n\n", [("message", b" a ")]),
    "a tab is no space": (b"data:\ta\n\n", [("message", b"\ta")]),
    "no colon": (b"data: a\ndata\ndata: b\n\n", [("message", b"a\n\nb")]),
    "colons in data": (b"data: a: b:c\n\n", [("message", b"a: b:c")]),
    "multi-line data": (b"data: {\ndata: }\n\n", [("message", b"{\n}")]),
    "BOM": (b"\xef\xbb\xbfdata: a\n\n", [("message", b"a")]),
    "only one BOM goes": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [("message", b"b")]),
    "a BOM later is none": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [("message", b"a")]),
    "half a BOM is none": (b"\xef\xbbdata: a\n\ndata: b\n\n", [("message", b"b")]),
    "nothing but a BOM": (b"\xef\xbb\xbf", []),
    "nothing but half a BOM": (b"\xef\xbb", []),
    "comments": (b": ping\n\n:\ndata: a\n: between\n\n:\n\n", [("message", b"a")]),
    "blank lines": (b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n", [("message", b"a"), ("message", b"b")]),
    "an odd number of blank lines": (b"data: a\n\n\ndata: b\n\n", [("message", b"a"), ("message", b"b")]),
    "event": (b"event: error\ndata: a\n\ndata: b\n\n", [("error", b"a"), ("message", b"b")]),
    "event after data": (b"data: a\nevent: ping\n\n", [("ping", b"a")]),
    "the last event field wins": (b"event: a\nevent: b\ndata: x\n\n", [("b", b"x")]),
    "an empty event is a message": (b"event: a\nevent:\ndata: x\n\n", [("message", b"x")]),
    "event without data": (b"event: ping\n\ndata: a\n\n", [("message", b"a")]),
    "event of bad UTF-8": (b"event: \xff\ndata: a\n\n", [("\ufffd", b"a")]),
    "id lives on": (b"id: 1\ndata: a\n\ndata: b\n\n", [("message", b"a", "1"), ("message", b"b", "1")]),
    "id without data": (b"id: 7\n\ndata: a\n\n", [("message", b"a", "7")]),
    "id is reset": (b"id: 1\ndata: a\n\nid\ndata: b\n\n", [("message", b"a", "1"), ("message", b"b", "")]),
    "NUL in id": (b"id: 1\n\nid: a\0b\ndata: a\n\n", [("message", b"a", "1")]),
    "retry": (b"retry: 1500\ndata: a\n\ndata: b\n\n", [("message", b"a", "", 1500), ("message", b"b")]),
    "invalid retry": (b"retry: 1.5\nretry: -1\nretry:\ndata: a\n\n", [("message", b"a")]),
    "retry of absurd length": (b"retry: " + b"9" * 30 + b"\ndata: a\n\n", [("message", b"a")]),
    "blank data": (b"data:\n\ndata: \n\ndata:  \t\n\ndata\n\ndata: \ndata:\n\ndata: a\n\n", [("message", b"a")]),
    "unknown fields": (b"foo: bar\nDATA: no\n data: no\ndata : no\ndata: a\n\n", [("message", b"a")]),
    "error field": (b'error: {"a":1}\n\n', [("error", b'{"a":1}')]),
    "error field, then data": (b"error: a\ndata: b\n\n", [("error", b"a\nb")]),
    "NUL in data": (b"data: a\0b\n\n", [("message", b"a\0b")]),
    "bad UTF-8 in data": (b"data: \xff\xfe\n\n", [("message", b"\xff\xfe")]),
    "U+2028, U+2029 and U+0085 end no line": (
        "data: a\u2028b\u2029c\u0085d\n\n".encode(),
        [("message", "a\u2028b\u2029c\u0085d".encode())],
    ),
    "VT, FF, FS end no line": (b"data: a\x0bb\x0cc\x1cd\n\n", [("message", b"a\x0bb\x0cc\x1cd")]),
    "unterminated last event": (b"data: a\n\ndata: b", [("message", b"a"), ("message", b"b")]),
    "unterminated last event with its line's end": (b"data: a\n\ndata: b\r\n", [("message", b"a"), ("message", b"b")]),
    "unterminated comment": (b"data: a\n\n: b", [("message", b"a")]),
    "nothing": (b"", []),
}


def decode(pieces: list[bytes], decoder: SSEDecoder | None = None) -> list[ServerSentEvent]:
    decoder = decoder or SSEDecoder()
    events = [event for piece in pieces for event in decoder.receive_data(piece)]
    return events + decoder.receive_eof()


@pytest.mark.parametrize("name", CASES)
def test_the_grammar_at_every_split(name: str) -> None:
    data, expected = CASES[name]
    events = [ServerSentEvent(*fields) for fields in expected]
    for pieces in every_split(data):
        assert decode(pieces) == events, pieces


def test_an_event_is_given_as_soon_as_it_has_ended() -> None:
    decoder = SSEDecoder()
    assert decoder.receive_data(b"data: a\n") == []
    assert decoder.receive_data(b"\n") == [ServerSentEvent("message", b"a")]
    assert decoder.receive_data(b"data: b\r\n\r") == [ServerSentEvent("message", b"b")]
    assert decoder.receive_data(b"\ndata: c\n\nda") == [ServerSentEvent("message", b"c")]
    assert decoder.receive_eof() == []


def test_the_end_gives_the_pending_event_once() -> None:
    decoder = SSEDecoder()
    decoder.receive_data(b"data: a")
    assert decoder.receive_eof() == [ServerSentEvent("message", b"a")]
    assert decoder.receive_eof() == []
    assert decoder.failure is None


def test_an_empty_read_is_nothing() -> None:
    pieces = [b"", b"data: a\r", b"", b"\ndata: b", b"", b"\r\n", b"", b"\r", b"", b"\ndata: c\n\n"]
    assert [event.data for event in decode(pieces)] == [b"a\nb", b"c"]


def test_a_long_line_passes() -> None:
    payload = b"x" * 1_000_000
    assert decode(cut_every(b"data: " + payload + b"\n\n", 1000)) == [ServerSentEvent("message", payload)]


TOO_LARGE = "event larger than 20 bytes"


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_an_event_of_just_the_cap_passes_at_every_split(line_end: bytes) -> None:
    data = 2 * line_end + b"data: " + b"x" * 14 + 3 * line_end + b"data: " + b"y" * 14 + 2 * line_end
    for pieces in every_split(data):
        decoder = SSEDecoder(max_event_bytes=20)
        assert [event.data for event in decode(pieces, decoder)] == [b"x" * 14, b"y" * 14]
        assert decoder.failure is None


@pytest.mark.parametrize("tail", [b"\n\ndata: b\n\n", b"", b"\n"])
def test_an_event_over_the_cap_is_a_failure_behind_those_before_it(tail: bytes) -> None:
    data = b"data: a\n\nid: 5\ndata: " + b"x" * 9 + tail
    for pieces in every_split(data):
        decoder = SSEDecoder(max_event_bytes=20)
        assert decode(pieces, decoder) == [ServerSentEvent("message", b"a")]
        assert isinstance(decoder.failure, ResponseFormatError)
        assert str(decoder.failure) == TOO_LARGE
        assert decoder.receive_data(b"data: c\n\n") == []


def test_an_endless_comment_is_bounded_too() -> None:
    decoder = SSEDecoder(max_event_bytes=20)
    assert all(decoder.receive_data(b": ping ping\n") == [] for _ in range(3))
    assert str(decoder.failure) == TOO_LARGE


def test_the_cap_is_32_mib_by_default() -> None:
    decoder = SSEDecoder()
    decoder.receive_data(b"x" * MAX_EVENT_BYTES)
    assert decoder.failure is None
    decoder.receive_data(b"x")
    assert str(decoder.failure) == "event larger than 33554432 bytes"


@pytest.mark.parametrize(
    ("blocks", "payloads"),
    [
        (b"data: a", [b"a"]),
        (b"data: a\n\ndata: b", [b"a", b"b"]),
        (b"data:a", None),
        (b"data: a\nid: 1", None),
        (b"data: a\n\n: ping\n\ndata: b", None),
        (b"event: x\ndata: a", None),
        (b"", None),
    ],
)
def test_plain_blocks_are_those_of_single_data_lines(blocks: bytes, payloads: list[bytes] | None) -> None:
    assert SSEDecoder().split_simple_events(blocks) == payloads


def started(*, max_event_bytes: int = MAX_EVENT_BYTES) -> SSEDecoder:
    decoder = SSEDecoder(max_event_bytes=max_event_bytes)
    assert decoder.receive_data(b": hello\n\n") == []
    return decoder


def test_a_lone_event_between_events_is_taken_at_once() -> None:
    assert started().match_single_event(b"data: {}\n\n") == b"{}"
    assert started(max_event_bytes=8).match_single_event(b"data: {}\n\n") == b"{}"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"data: {}",
        b"data: {}\n",
        b"data: {}\n ",
        b"data:{}\n\n",
        b"data: {}\r\n\n",
        b"data: {}\n\ndata: {}\n\n",
        b"data: {\ndata: }\n\n",
        b"id: 1\n\n",
    ],
)
def test_any_other_read_is_not_taken_as_a_lone_event(data: bytes) -> None:
    assert started().match_single_event(data) is None


def test_an_event_is_not_alone_within_another_or_at_the_start_or_after_a_failure() -> None:
    assert SSEDecoder().match_single_event(b"data: {}\n\n") is None
    within = started()
    within.receive_data(b"data: {")
    assert within.match_single_event(b"data: {}\n\n") is None
    after_cr = started()
    after_cr.receive_data(b"data: {}\r\r")
    assert after_cr.match_single_event(b"data: {}\n\n") is None
    assert started(max_event_bytes=7).match_single_event(b"data: {}\n\n") is None
    failed = started(max_event_bytes=10)
    failed.receive_data(b"data: 0123456789")
    assert failed.match_single_event(b"data: {}\n\n") is None


def test_an_event_in_many_small_reads_takes_no_more_memory_than_its_size() -> None:
    decoder = SSEDecoder()
    pieces = [bytes([65 + number % 26, 66]) for number in range(50_000)]
    tracemalloc.start()
    try:
        decoder.receive_data(b"data: ")
        for piece in pieces:
            decoder.receive_data(piece)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 2 * 100_000
    (event,) = decoder.receive_data(b"\n\n")
    assert event.data == b"".join(pieces)
