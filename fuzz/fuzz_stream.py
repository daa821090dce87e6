"""From a connection's bytes to chunks: any bytes, split anywhere, give the same chunks and the same end."""

import zlib
from itertools import filterfalse

from firsttoken._protocol.decode import is_keep_alive
from firsttoken._protocol.sse import ServerSentEvent, SSEDecoder
from fuzz.splits import split
from tests.support.core import run as run_core
from tests.support.exchange import exchanged, response

_TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
_STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
_CALL = b'{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]}}]}'
SEEDS = [
    _TEXT + _STOP + b"data: [DONE]\n\n",
    b"data:" + _CALL + b'\r\r: ping\n\ndata: {"choices":[{"finish_reason":"length"}],"usage":{"x":1}}',
    b'data: {"id":"1","choices":[{"text":"a","finish_reason":"error"}]}\n\nerror: {"code": 503}\n\n',
    3 * b'data: {"choices":[{"delta":{"content":"a","x":1},"y":{}}],"z":null}\n\n' + _STOP,
    b'{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}',
    b'{"error":{"message":"busy","code":429}}',
]
TOKENS = [
    *(b"data: ", b"\n\n", b"\r\n\r\n", b"[DONE]", b"event: error\n", b"error: ", b"\xef\xbb\xbf", b": ", b"HTTP/1.1 "),
    *(b'"choices":[', b'{"index":0,', b'"delta":{', b'"content":"', b'"finish_reason":', b'"stop"', b'"message":{'),
    *(b'"tool_calls":[', b'"function":{', b'"arguments":"', b'"name":"', b'"id":', b'"usage":', b'"error":', b"null"),
    *(
        b'"reasoning_content":',
        b'"text":',
        b'"type":',
        b'"code":',
        b"NaN",
        b"\\ud800",
        b"1e999",
        b"-1",
        b"[",
        b"]",
        b"}",
    ),
]


def run(data: bytes) -> None:
    seed, kind = [*data[:2], 0, 0][:2]
    wire = _wire(data[2:], kind)
    check(wire, split(wire, seed))


def check(wire: bytes, pieces: list[bytes]) -> None:
    unsplit = exchanged([wire])
    got = exchanged(pieces)
    assert got._replace(failure=_without_excerpt(got.failure)) == unsplit._replace(
        failure=_without_excerpt(unsplit.failure)
    )
    assert unsplit.complete == (not unsplit.failure)
    check_body(wire.partition(b"\r\n\r\n")[2])


def check_body(body: bytes) -> None:
    """Each event is a chunk, up to the end or to the first that is not one."""
    outcome = run_core(body)
    decoder = SSEDecoder()
    events = [event for event in decoder.receive_data(body) if not _is_passed_over(event)]
    payloads = [event.data for event in (*events, *filterfalse(_is_passed_over, decoder.receive_eof()))]
    count = len(outcome.chunks)
    assert [chunk.raw for chunk in outcome.chunks] == payloads[:count]
    for made in outcome.chunks:  # an event means the same wherever it stands
        alone = run_core(b"data: " + made.raw.replace(b"\n", b"\ndata: ") + b"\n\n")
        assert alone.chunks == [made] or "nan" in repr(made)
    assert outcome.complete == (outcome.failure is None)
    if outcome.failure is not None:
        assert outcome.failure.chunks_received == count
        assert repr(outcome.failure.partial) == repr(outcome.completion if count else None)
    elif count < len(events):  # an event that the end of the body cut may be missing in a complete stream
        assert payloads[count].strip() == b"[DONE]"


def _wire(body: bytes, kind: int) -> bytes:
    """A response: the fuzzer's bytes after a built-in head or with their own, maybe compressed and then broken."""
    if kind % 8 == 7:
        return body
    coding = ["", "", "gzip", "deflate"][kind // 8 % 4]
    if coding:
        packer = zlib.compressobj(1, wbits=31 if coding == "gzip" else 15)
        body = packer.compress(body) + packer.flush()
        if kind >= 128:
            body = body[:-9] + b"\xff" + body[-8:]
    headers = {"content-encoding": coding} if coding else {}
    framing = ("length", "chunked", "eof")[kind % 3]
    return response(503 if kind % 8 == 6 else 200, headers, body, framing=framing)


def _is_passed_over(event: ServerSentEvent) -> bool:
    """Whether an event is no part of the answer."""
    return event.event == "message" and is_keep_alive(event.data)


def _without_excerpt(failure: tuple[str, ...]) -> tuple[str, ...]:
    """A failure without the bytes of the failed read, which some messages quote."""
    return (failure[0], failure[1].partition("): ")[0]) if failure[1:2] and "HTTP/1.1" in failure[1] else failure
