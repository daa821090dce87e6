"""ResponseParser: any bytes, split anywhere, give the same response or failure; nothing is lost, nothing raised."""

import zlib
from typing import NamedTuple

from firsttoken._protocol.http1 import ResponseParser
from fuzz.splits import split

SEEDS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 100 Wait\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x\r\nhel\r\n0\r\na: b\r\n\r\n",
    b"HTTP/1.0 404 No\r\nConnection: keep-alive, close\r\nx-request-id: 1\r\n\r\nuntil the end",
    b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 25\r\n\r\n" + zlib.compress(b"hello", wbits=31),
    b"HTTP/1.1 200 OK\r\ncontent-encoding: deflate\r\n\r\n" + zlib.compress(b"hello"),
    b"HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
]
TOKENS = [
    *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 ", b"HTTP/1.1 100 \r\n\r\n", b"\r\n\r\n", b"\r\n0\r\n\r\n", b"\n", b"\r"),
    *(b"content-length: 1", b"transfer-encoding: ", b"chunked", b"connection: ", b"close", b"keep-alive", b"upgrade"),
    *(b"content-encoding: ", b"gzip", b"deflate", b"identity", b": ", b";", b"\x1f\x8b\x08\0\0\0\0\0\x02\x03"),
]


class Parsed(NamedTuple):
    body: bytes
    info: object
    ended: bool
    reusable: bool
    failure: str


def run(data: bytes) -> None:
    check(data[2:], split(data[2:], sum(data[:1])))


def check(wire: bytes, pieces: list[bytes]) -> None:
    unsplit = _parsed([wire])
    assert _parsed(pieces) == unsplit
    assert unsplit.ended or unsplit.failure
    assert not unsplit.reusable or (unsplit.ended and not unsplit.failure)


def _parsed(pieces: list[bytes]) -> Parsed:
    parser = ResponseParser()
    body: list[bytes] = []
    for piece in pieces:
        body.append(parser.receive_data(piece))
        while parser.has_pending_data:
            body.append(parser.process_pending())
    parser.receive_eof()
    failure = str(parser.failure or "").partition("): ")[0]  # after it come the bytes of the read that failed
    return Parsed(b"".join(body), parser.info, parser.body_ended and not failure, parser.reusable, failure)
