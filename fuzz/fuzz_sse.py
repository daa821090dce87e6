"""SSEDecoder: any bytes, split anywhere, give the events of the standard; nothing is lost, nothing raised."""

import re

from firsttoken.sansio import ServerSentEvent, SSEDecoder
from fuzz.splits import split

SEEDS = [
    b"data: {}\n\ndata: [DONE]\n\n",
    b"\xef\xbb\xbf: comment\r\nevent: x\r\nid: 7\r\nretry: 10\r\ndata: a\r\ndata:b\r\n\r\n",
    b"error: no\rdata\r\rdata: \n\nid\0: \0\n\n\ndata: end",
]
TOKENS = [b"data: ", b"event:", b"error:", b"id: ", b"retry: 1", b"\r\n\r\n", b"\n\n", b"\r", b"\xef\xbb\xbf", b": "]


def run(data: bytes) -> None:
    check(data[2:], split(data[2:], sum(data[:1])), cap=2 + sum(data[1:2]) // 2)


def check(wire: bytes, pieces: list[bytes], cap: int = 2**20) -> None:
    unsplit = _decoded([wire], cap)
    assert _decoded(pieces, cap) == unsplit
    events, failure = unsplit
    expected = _by_the_standard(wire)
    assert events == (expected if failure is None else expected[: len(events)])
    blocks = re.sub(rb"\r\n?", b"\n", wire.removeprefix(b"\xef\xbb\xbf")).split(b"\n\n")
    assert (failure is not None) == (max(len(block.strip(b"\n")) for block in blocks) > cap)


def _decoded(pieces: list[bytes], cap: int) -> tuple[list[ServerSentEvent], str | None]:
    decoder = SSEDecoder(max_event_bytes=cap)
    events = [event for piece in pieces for event in decoder.receive_data(piece)]
    events += decoder.receive_eof()
    return events, None if decoder.failure is None else str(decoder.failure)


def _by_the_standard(wire: bytes) -> list[ServerSentEvent]:
    """Section 9.2.6, line by line; and our additions: blank data, a bare `error:`, an unterminated event."""
    events: list[ServerSentEvent] = []
    last_id, kind, retry, data = "", "", None, list[bytes]()
    for line in [*re.split(rb"\r\n|\r|\n", wire.removeprefix(b"\xef\xbb\xbf")), b""]:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if b"\n".join(data).strip():
                events.append(ServerSentEvent(kind or "message", b"\n".join(data), last_id, retry))
            kind, retry, data = "", None, []
        elif field in (b"data", b"error"):
            data.append(value)
            kind = "error" if field == b"error" else kind
        elif field == b"event":
            kind = value.decode("utf-8", "replace")
        elif field == b"id" and b"\0" not in value:
            last_id = value.decode("utf-8", "replace")
        elif field == b"retry" and re.fullmatch(rb"[0-9]{1,19}", value):
            retry = int(value)
    return events
