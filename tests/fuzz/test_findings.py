"""What the fuzzers have found, and what they should have: cases that once broke something, replayed at every split."""

import time
import zlib
from typing import Any

import pytest

from fuzz import fuzz_http1, fuzz_sse, fuzz_stream
from fuzz.budget import MAX_CPU_S, BudgetError, within_budget
from fuzz.kept import kept
from tests.support.core import every_split

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n"
HELLO = b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n'


def gzipped(plain: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(plain) + packer.flush(zlib.Z_SYNC_FLUSH)


def http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


SSE: dict[str, tuple[bytes, int]] = {
    "a byte-order mark that is cut, and as long as events may be": (b"\xef\xbb", 2),
    "line ends of all kinds before an event that is as long as events may be": (b"\r\n\r\r\n\ndata: 12\r\n\n", 8),
    "a field that looks like data after a byte-order mark in the middle": (b"data: a\n\xef\xbb\xbfdata: b\n\n", 100),
}

HTTP1: dict[str, bytes] = {
    "line ends after a response": CHUNKED + b"\r\n1\r\nx\r\n0\r\n\r\n\r\n",
    "line ends after a response that closes": OK + b"connection: close\r\ncontent-length: 1\r\n\r\nx\r\n",
    "broken framing after a broken coding": (
        CHUNKED + b"content-encoding: gzip\r\n\r\n" + http_chunk(b"not gzip") + b"not a size\r\n"
    ),
    "broken framing after a coding that is not known": CHUNKED + b"content-encoding: br\r\n\r\nnot a size\r\n",
    "broken framing after good gzip": (
        CHUNKED + b"content-encoding: gzip\r\n\r\n" + http_chunk(gzipped(b"hello")) + b"not a size\r\n"
    ),
    "a gzip member with a wrong checksum": (
        OK + b"content-encoding: gzip\r\ncontent-length: 25\r\n\r\n" + zlib.compress(b"hello", wbits=31)[:-8] + bytes(8)
    ),
    "no response at all": b"\0HTTP/1.1 200 OK\r\n\r\n",
}

STREAMS: dict[str, bytes] = {
    "a keep-alive that a proxy framed as data": OK + b"\r\ndata:: {}\n\n" + HELLO,
    "white space that is none of JSON's before a body that is not a chat completion": (
        OK + b"content-length: 7\r\n\r\n\x0b\x0bdta: "
    ),
    "white space that is none of JSON's before a completion": (
        OK + b'\r\n\x0b\x0b{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}'
    ),
    "gzip that breaks after a chunk": (
        OK + b"content-encoding: gzip\r\n\r\n" + gzipped(HELLO.replace(b"stop", b"")) + b"\xff\xff\xff\xff"
    ),
    "gzip that breaks after the end of the answer": (
        OK + b"content-encoding: gzip\r\n\r\n" + gzipped(HELLO + b"data: [DONE]\n\n") + b"\xff\xff\xff\xff"
    ),
    "framing that breaks after a gzipped chunk": (
        CHUNKED + b"content-encoding: gzip\r\n\r\n" + http_chunk(gzipped(HELLO)) + b"not a size\r\n"
    ),
    "fields of the server's own that come and go": OK
    + b"\r\n"
    + (
        b'data: {"choices":[{"delta":{}}],"z":null}\n\n'
        b'data: {"own":[{"delta":{}}],"z":null}\n\n'
        b'data: {"own":[{"delta":{"x":1},"y":{}}],"z":null}\n\n'
        b'data: {"z":NaN,"own":NaN}\n\n'
    ),
    "[DONE] with something after it at the end of the connection": OK + b"\r\n" + HELLO + b"data: [DONE]:\n",
}


@pytest.mark.parametrize("name", SSE)
def test_events(name: str) -> None:
    wire, cap = SSE[name]
    for pieces in every_split(wire):
        fuzz_sse.check(wire, pieces, cap)


@pytest.mark.parametrize("name", HTTP1)
def test_responses(name: str) -> None:
    for pieces in every_split(HTTP1[name]):
        fuzz_http1.check(HTTP1[name], pieces)


@pytest.mark.parametrize("name", STREAMS)
def test_streams(name: str) -> None:
    for pieces in every_split(STREAMS[name]):
        fuzz_stream.check(STREAMS[name], pieces)


HARNESSES = {"sse": fuzz_sse, "http1": fuzz_http1, "stream": fuzz_stream}


@pytest.mark.parametrize("name", HARNESSES)
def test_every_input_that_is_kept_passes_and_costs_little(name: str) -> None:
    inputs = kept(name)
    assert len(inputs) > 10
    run = within_budget(HARNESSES[name].run)
    for data in inputs:
        run(data)
        run(b"\xff" + data[1:])  # repeated


def test_an_input_that_costs_too_much_is_a_finding() -> None:
    def spin(_: bytes) -> None:
        until_s = time.process_time() + MAX_CPU_S / 2
        while time.process_time() < until_s:
            pass

    def fill(_: bytes) -> None:
        assert bytearray(b"x") * (512 * 2**20)

    within_budget(spin)(b"\0\0 once")
    with pytest.raises(BudgetError, match="an input of 7 bytes took 3"):
        within_budget(spin)(b"\xff\0 twice"[:7])
    with pytest.raises(BudgetError, match=r"and \d+ MiB"):
        within_budget(fill)(b"")


@pytest.mark.parametrize("harness", [fuzz_sse, fuzz_http1, fuzz_stream])
def test_every_harness_takes_what_it_starts_with(harness: Any) -> None:
    for seed in harness.SEEDS:
        for steering in range(0, 256, 5):  # one of 240 and more repeats the input
            harness.run(bytes([steering, steering]) + seed)
