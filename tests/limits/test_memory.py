"""However much a server sends, a client takes less than 64 MiB of memory for it."""

import gzip
import zlib
from collections.abc import Callable, Iterable
from itertools import repeat

import pytest

from tests.limits.resource_usage import measure
from tests.support.server import DONE, EVENT_STREAM, Peer, Server, chunk, event

MIB = 1024 * 1024
LIMIT_MIB = 64
FAR_TOO_MUCH = 512 * MIB
"""When an endless response stops after all; a client that is still there then has failed."""

Answer = Callable[[Peer], None]
TOO_LARGE_EVENT = "ResponseFormatError: event larger than 33554432 bytes"
TOO_LARGE = "ResponseFormatError: the response is larger than 33554432 bytes"
TOO_MANY_HEADERS = (
    "ResponseFormatError: the response has more than 131072 bytes of headers, trailers or chunk extensions"
)


def endless(begin: bytes, piece: bytes) -> Answer:
    """A response that goes on for ever with this piece."""
    block = piece * (65536 // len(piece))

    def answer(peer: Peer) -> None:
        peer.read_request()
        peer.send(begin)
        for _ in range(FAR_TOO_MUCH // len(block)):
            peer.send(block)
        raise AssertionError("the client has taken it all")

    return answer


def head(headers: dict[str, str], status: int = 200) -> bytes:
    lines = [f"HTTP/1.1 {status} Any", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def packed(plain: bytes, *, wbits: int = -15) -> bytes:
    """Deflated, so that it can be repeated: it refers to nothing before it."""
    packer = zlib.compressobj(wbits=wbits)
    return packer.compress(plain) + packer.flush(zlib.Z_FULL_FLUSH)


GZIP_HEAD = gzip.compress(b"")[:10]
GZIP, DEFLATE, JSON = (
    {"content-encoding": "gzip"},
    {"content-encoding": "deflate"},
    {"content-type": "application/json"},
)
STREAM = head(EVENT_STREAM | {"transfer-encoding": "chunked"})

ENDLESS: dict[str, tuple[Answer, str]] = {
    "an event": (endless(STREAM + http_chunk(b"data: "), http_chunk(b"x" * 4096)), TOO_LARGE_EVENT),
    "an event of many lines": (endless(STREAM, http_chunk(b"data: x\n" * 512)), TOO_LARGE_EVENT),
    "a comment": (endless(STREAM + http_chunk(b": "), http_chunk(b"x" * 4096)), TOO_LARGE_EVENT),
    "comments without a blank line": (endless(STREAM, http_chunk(b": ping\r\n" * 500)), TOO_LARGE_EVENT),
    "header lines": (endless(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"), TOO_MANY_HEADERS),
    "a header line": (endless(b"HTTP/1.1 200 OK\r\na: ", b"x" * 4096), TOO_MANY_HEADERS),
    "a reason": (endless(b"HTTP/1.1 200 ", b"x" * 4096), TOO_MANY_HEADERS),
    "interim responses": (endless(b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"), TOO_MANY_HEADERS),
    "trailers": (endless(STREAM + b"0\r\n", b"a: b\r\n"), TOO_MANY_HEADERS),
    "a chunk extension": (endless(STREAM + b"1;", b"x" * 4096), TOO_MANY_HEADERS),
    "a gzipped event": (
        endless(head(EVENT_STREAM | GZIP) + GZIP_HEAD + packed(b"data: "), packed(b"x" * MIB)),
        TOO_LARGE_EVENT,
    ),
    "a deflated event": (
        endless(head(EVENT_STREAM | DEFLATE), packed(b": " + b"x" * MIB)),
        TOO_LARGE_EVENT,
    ),
    "white space": (endless(head(JSON), b" " * 4096), TOO_LARGE),
}


@pytest.mark.parametrize(
    ("name", "shell"),
    [*((name, "sync") for name in ENDLESS), *((name, "async") for name in ("an event", "header lines", "white space"))],
)
def test_a_stream_without_an_end(name: str, shell: str) -> None:
    answer, failure = ENDLESS[name]
    with Server(answer) as server:
        (use,) = measure(server, shell)
    assert use.failure == failure
    assert use.chunks == 0
    assert use.grown_mib < LIMIT_MIB


ENDLESS_ANSWERS: dict[str, tuple[Answer, str]] = {
    "an answer": (endless(head(JSON) + b'{"id": "', b"x" * 4096), TOO_LARGE),
    "a gzipped answer": (
        endless(head(JSON | GZIP) + GZIP_HEAD + packed(b'{"id": "'), packed(b"x" * MIB)),
        TOO_LARGE,
    ),
    "a refusal": (
        endless(head({}, 500), b"x" * 4096),
        f"InternalServerError: the server answered 500 Internal Server Error: '{'x' * 200}'…",
    ),
    "a gzipped refusal": (
        endless(head(GZIP, 500) + GZIP_HEAD, packed(b"x" * MIB)),
        f"InternalServerError: the server answered 500 Internal Server Error: '{'x' * 200}'…",
    ),
}


@pytest.mark.parametrize(("style", "shell"), [("stream", "sync"), ("whole", "async")])
@pytest.mark.parametrize("name", ENDLESS_ANSWERS)
def test_an_answer_without_an_end(name: str, style: str, shell: str) -> None:
    answer, failure = ENDLESS_ANSWERS[name]
    with Server(answer) as server:
        (use,) = measure(server, shell, style=style)
    assert use.failure == failure
    assert use.grown_mib < LIMIT_MIB


def stream_of(parts: Iterable[bytes], headers: dict[str, str] | None = None) -> Answer:
    """A complete stream, whose body ends with the connection."""

    def answer(peer: Peer) -> None:
        peer.read_request()
        peer.send_head(200, EVENT_STREAM | (headers or {}))
        for part in parts:
            peer.send(part)

    return answer


END = event(chunk(finish="stop")) + DONE


def without_text(total_bytes: int) -> tuple[int, Answer]:
    """Chunks without text, of 32 KiB each, which only ever change a field that the client keeps the last value of."""
    made = event(chunk(obfuscation="x" * 32 * 1024))
    count = total_bytes // len(made) + 1
    return count, stream_of([*repeat(made * 8, count // 8), made * (count % 8) + END])


@pytest.mark.parametrize("shell", ["sync", "async"])
@pytest.mark.parametrize(
    "total_mib",
    [512, pytest.param(4096, marks=[pytest.mark.large, pytest.mark.timeout(300)])],
    ids=["512 MiB", "4 GiB"],
)
def test_chunks_without_text(total_mib: int, shell: str) -> None:
    count, answer = without_text(total_mib * MIB)
    with Server(answer) as server:
        (use,) = measure(server, shell)
    print(f"{total_mib} MiB, {shell}: {use}")
    assert use.failure is None
    assert use.chunks == count + 1
    assert use.grown_mib < LIMIT_MIB


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_a_body_that_is_read_far_faster_than_it_is_decoded(shell: str) -> None:
    """Chunks that are packed a thousand times over: the reading waits for the decoding."""
    made = packed(event({"choices": [], "padding": "x" * 64 * 1024}) * 64)
    with Server(endless(head(EVENT_STREAM | DEFLATE), made)) as server:
        (use,) = measure(server, shell, most_chunks=4000)
    assert use.failure is None
    assert use.chunks == 4000
    assert use.grown_mib < LIMIT_MIB
