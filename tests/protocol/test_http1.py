"""firsttoken._protocol.http1: status, headers, body, its end, and whether the connection may live on."""

import gc
import gzip
import weakref
from typing import NamedTuple

import pytest

from firsttoken._protocol import http1
from firsttoken._protocol.content_coding import MAX_PIECE_BYTES
from firsttoken._protocol.http1 import MAX_OVERHEAD_BYTES, ResponseParser
from firsttoken._protocol.retry import may_begin_response
from firsttoken.errors import ChatCompletionError, ResponseFormatError, StreamTruncatedError
from tests.support.core import cut_every, every_split
from tests.support.interrupts import raising_at

OK = b"HTTP/1.1 200 OK\r\n"


class Parsed(NamedTuple):
    body: bytes
    status: int | None
    ended: bool
    reusable: bool
    failure: str | None


def parse(pieces: list[bytes], parser: ResponseParser | None = None, *, eof: bool = False) -> Parsed:
    parser = parser or ResponseParser()
    body = b"".join(parser.receive_data(piece) for piece in pieces)
    if eof:
        parser.receive_eof()
    status = None if parser.info is None else parser.info.status
    failure = None if parser.failure is None else str(parser.failure)
    return Parsed(body, status, parser.body_ended, parser.reusable, failure)


WHOLE: dict[str, tuple[bytes, Parsed]] = {
    "content-length": (OK + b"Content-Length: 5\r\n\r\nhello", Parsed(b"hello", 200, True, True, None)),
    "chunked": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n",
        Parsed(b"hello", 200, True, True, None),
    ),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", Parsed(b"", 204, True, False, None)),
    "empty body": (OK + b"content-length: 0\r\n\r\n", Parsed(b"", 200, True, True, None)),
    "connection: close": (
        OK + b"connection: keep-alive, Close\r\ncontent-length: 1\r\n\r\nx",
        Parsed(b"x", 200, True, False, None),
    ),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx", Parsed(b"x", 200, True, False, None)),
    "HTTP/1.0 that is kept alive": (
        b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\ncontent-length: 1\r\n\r\nx",
        Parsed(b"x", 200, True, True, None),
    ),
    "interim responses": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
        + OK
        + b"content-length: 1\r\n\r\nx",
        Parsed(b"x", 200, True, True, None),
    ),
    "a length twice": (OK + b"content-length: 1\r\nContent-Length:1\r\n\r\nx", Parsed(b"x", 200, True, False, None)),
    "a length twice in one header": (OK + b"content-length: 1, 1\r\n\r\nx", Parsed(b"x", 200, True, False, None)),
    "a length twice after an interim response without a reason": (
        b"HTTP/1.1 100\r\n\r\n" + OK + b"content-length: 1\r\ncontent-length: 1\r\n\r\nx",
        Parsed(b"x", 200, True, False, None),
    ),
    "a length twice after an interim response": (
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"content-length: 1\r\nx-a: b\r\ncontent-length: 1\r\n\r\nx",
        Parsed(b"x", 200, True, False, None),
    ),
    "a length beside chunks": (
        OK + b"content-length: 9\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        Parsed(b"x", 200, True, False, None),
    ),
    "chunks beside a length twice": (
        OK + b"transfer-encoding: chunked\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        Parsed(b"x", 200, True, False, None),
    ),
    "an empty coded body": (
        OK + b"content-encoding: gzip\r\ncontent-length: 0\r\n\r\n",
        Parsed(b"", 200, True, True, None),
    ),
    "identity": (OK + b"content-encoding: Identity\r\ncontent-length: 1\r\n\r\nx", Parsed(b"x", 200, True, True, None)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_complete_response_at_every_split(name: str) -> None:
    data, expected = WHOLE[name]
    for pieces in every_split(data):
        assert parse(pieces) == expected
        assert parse(pieces, eof=True) == expected


@pytest.mark.parametrize("head", [b"", b"transfer-encoding: gzip\r\n"])
def test_a_body_that_ends_with_the_connection(head: bytes) -> None:
    data = OK + head + b"\r\nhello"
    for pieces in every_split(data):
        assert parse(pieces) == Parsed(b"hello", 200, False, False, None)
        assert parse(pieces, eof=True) == Parsed(b"hello", 200, True, False, None)


CUT = "the connection was closed before the end of the response"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 2",
        OK,
        OK + b"content-length: 5\r\n\r\nhell",
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_a_response_that_is_cut(data: bytes) -> None:
    for pieces in ([data], cut_every(data, 1)):
        parser = ResponseParser()
        parsed = parse(pieces, parser, eof=True)
        assert (parsed.failure, parsed.ended, parsed.reusable) == (CUT, False, False)
        assert isinstance(parser.failure, StreamTruncatedError)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"SSH-2.0-OpenSSH\r\n",
            "invalid HTTP/1.1 response (expected HTTP/1.0 or HTTP/1.1): 'SSH-2.0-OpenSSH\\r\\n'",
        ),
        (
            b"\x16\x03\x01",
            "invalid HTTP/1.1 response (expected HTTP/1.0 or HTTP/1.1): '\\x16\\x03\\x01'",
        ),
        (
            OK + b"transfer-encoding: chunked\r\n\r\nxyz\r\n",
            "the framing of the response is broken: Invalid character in chunk size",
        ),
        (
            OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nxy",
            "invalid HTTP/1.1 response (Duplicate Content-Length): 'HTTP/1.1 200 OK\\r\\ncontent-length: 1\\r\\n",
        ),
        (
            OK + b"content-length: 1, 2\r\n\r\nxy",
            "invalid HTTP/1.1 response (Invalid character in Content-Length): 'HTTP/1.1 200 OK\\r\\ncontent-leng",
        ),
        (
            b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
            "the server switched protocols without being asked",
        ),
        (
            OK + b"content-encoding: br\r\ncontent-length: 1\r\n\r\nx",
            "unsupported content-encoding 'br'",
        ),
        (
            OK + b"content-encoding: gzip\r\ncontent-length: 1\r\n\r\n\x1f",
            "the compressed body is truncated",
        ),
    ],
)
def test_what_can_not_be_read(data: bytes, message: str) -> None:
    parser = ResponseParser()
    parsed = parse([data], parser, eof=True)
    assert parsed.failure is not None
    assert parsed.failure.startswith(message)
    assert not parsed.reusable
    assert isinstance(parser.failure, ChatCompletionError)
    assert parser.receive_data(b"more") == b""


INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    "start", [b"RTSP/1.0", b"ICE/1.1", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.2", INTERIM + b"HTTP/2.0", INTERIM + b"ICE"]
)
def test_another_protocol_in_the_status_line(start: bytes) -> None:
    data = start + b" 200 OK\r\ncontent-length: 2\r\n\r\nhi"
    for pieces in every_split(data):
        parsed = parse(pieces, eof=True)
        assert (parsed.body, parsed.status, parsed.reusable) == (b"", None, False)
        assert str(parsed.failure).startswith("invalid HTTP/1.1 response (")


class SignalledError(BaseException):
    pass


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SignalledError, ValueError])
@pytest.mark.parametrize("name", WHOLE)
def test_what_a_signal_handler_raises_propagates_from_wherever_it_ran(name: str, raised: type[BaseException]) -> None:
    """A signal handler runs between any two lines; those of httptools' callbacks too."""
    data, expected = WHOLE[name]

    def lines_run(line: int, parser: ResponseParser) -> int:
        with raising_at(line, raised("of a signal handler"), [http1.__file__]) as interrupt:
            parser.receive_data(data)
        return interrupt.lines

    parser = ResponseParser()
    total = lines_run(0, parser)
    assert parser.body_ended
    assert parser.info is not None
    assert parser.info.status == expected.status
    for line in range(1, total + 1):
        with pytest.raises(raised, match="of a signal handler"):
            lines_run(line, ResponseParser())


def test_the_cause_of_broken_framing_is_chained() -> None:
    parser = ResponseParser()
    parser.receive_data(OK + b"no header\r\n")
    assert parser.failure is not None
    assert type(parser.failure.__cause__).__module__.startswith("httptools")


def test_a_coded_body() -> None:
    body = gzip.compress(b"hello")
    head = OK + b"Content-Encoding: GZip\r\ncontent-length: %d\r\n\r\n" % len(body)
    for pieces in every_split(head + body):
        assert parse(pieces) == Parsed(b"hello", 200, True, True, None)


@pytest.mark.parametrize("surplus", [b"x", OK + b"content-length: 0\r\n\r\n", b"\0\0"])
@pytest.mark.parametrize("connection", [b"", b"connection: close\r\n"])
def test_after_surplus_bytes_the_connection_is_done_for(surplus: bytes, connection: bytes) -> None:
    whole = OK + connection + b"content-length: 2\r\n\r\nhi"
    for pieces in ([whole + surplus], [whole, surplus]):
        assert parse(pieces) == Parsed(b"hi", 200, True, False, None)


def test_line_ends_behind_a_response_are_nothing() -> None:
    whole = OK + b"content-length: 2\r\n\r\nhi"
    for pieces in every_split(whole + b"\r\n\n\r"):
        assert parse(pieces) == Parsed(b"hi", 200, True, True, None)


TOO_MUCH = f"the response has more than {MAX_OVERHEAD_BYTES} bytes of headers, trailers or chunk extensions"


@pytest.mark.parametrize(
    ("start", "endless"),
    [
        (OK, b"a: b\r\n"),
        (OK + b"a: ", b"xxxxxxxx"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (OK + b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"a: b\r\n"),
        (OK + b"transfer-encoding: chunked\r\n\r\n1;", b"extension"),
    ],
)
def test_what_is_no_body_is_bounded(start: bytes, endless: bytes) -> None:
    parser = ResponseParser()
    pieces = cut_every(start + endless * ((MAX_OVERHEAD_BYTES + 2000) // len(endless)), 1000)
    assert parse(pieces, parser).failure == TOO_MUCH
    assert isinstance(parser.failure, ResponseFormatError)
    within = cut_every(start + endless * (MAX_OVERHEAD_BYTES // len(endless) - 10), 1000)
    assert parse(within).failure is None


def test_headers_are_joined_and_their_names_know_no_case() -> None:
    parser = ResponseParser()
    parser.receive_data(OK + b"X-A: 1\r\nx-a: 2\r\nX-B: \xe9\r\ncontent-length: 0\r\n\r\n")
    assert parser.info is not None
    assert dict(parser.info.headers) == {"x-a": "1, 2", "x-b": "é", "content-length": "0"}
    assert parser.info.headers["X-A"] == "1, 2"


def test_headers_of_an_interim_response_are_not_kept() -> None:
    parser = ResponseParser()
    parser.receive_data(b"HTTP/1.1 103 Early\r\nx-a: 1\r\n\r\n" + OK + b"content-length: 0\r\n\r\n")
    assert parser.info is not None
    assert "x-a" not in parser.info.headers


@pytest.mark.parametrize("name", ["X-Request-Id", "request-id", "apim-request-id", "x-ms-request-id", "CF-Ray"])
def test_the_request_id_has_many_names(name: str) -> None:
    parser = ResponseParser()
    parser.receive_data(OK + name.encode() + b": req_1\r\n\r\n")
    assert parser.info is not None
    assert parser.info.request_id == "req_1"


def test_a_tunnel_has_no_body_and_no_coding() -> None:
    parser = ResponseParser(tunnel=True)
    assert parser.receive_data(b"HTTP/1.1 200 Connected\r\ncontent-encoding: br\r\n\r\n") == b""
    assert parser.info is not None
    assert parser.failure is None


def test_a_parser_that_was_let_go_calls_back_in_vain() -> None:
    parser = ResponseParser()
    parser.release()
    parser.on_headers_complete()
    assert parser.info is None


def test_a_parser_that_was_let_go_is_not_kept_by_a_cycle() -> None:
    gc.disable()
    try:
        parser = ResponseParser()
        parser.receive_data(OK)
        watcher = weakref.ref(parser)
        parser.release()
        del parser
        assert watcher() is None
    finally:
        gc.enable()


def coded_response(body: bytes) -> bytes:
    return OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def test_a_coded_body_is_given_in_pieces() -> None:
    plain = b"x" * 200_000
    parser = ResponseParser()
    pieces = [parser.receive_data(coded_response(gzip.compress(plain)))]
    assert parser.body_ended
    parser.receive_eof()
    while parser.has_pending_data:
        assert parser.failure is None
        pieces.append(parser.process_pending())
    assert b"".join(pieces) == plain
    assert max(map(len, pieces)) == MAX_PIECE_BYTES
    assert parser.reusable
    assert parser.process_pending() == b""


@pytest.mark.parametrize(
    ("behind", "message"),
    [
        (b"xyz\r\n", "the framing of the response is broken: Invalid character in chunk size"),
        (b"0\r\n\r\n", "the compressed body is truncated"),
        (b"", "the connection was closed before the end of the response"),
    ],
)
def test_a_failure_behind_a_coded_body_waits_until_it_was_given(behind: bytes, message: str) -> None:
    coded = gzip.compress(b"x" * 200_000)[:-1]
    parser = ResponseParser()
    head = OK + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"
    given = parser.receive_data(head + b"%x\r\n%s\r\n" % (len(coded), coded) + behind)
    parser.receive_eof()
    assert parser.failure is None
    while parser.has_pending_data:
        given += parser.process_pending()
    assert given == b"x" * 200_000
    assert str(parser.failure) == message
    assert not parser.reusable


def test_a_body_that_is_ignored_is_not_decoded() -> None:
    parser = ResponseParser()
    data = coded_response(gzip.compress(b"x" * 200_000) + b"not gzip")
    parser.receive_data(data[:-3])
    parser.ignore_body()
    assert not parser.has_pending_data
    assert parser.process_pending() == b""
    parser.receive_data(data[-3:])
    assert parser.body_ended
    assert parser.failure is None
    assert parser.reusable


@pytest.mark.parametrize("data", [b"", b"H", b"HTTP/1.1 200 OK\r\n", b"\r\nHTTP/1.1 200 OK\r\n", b"\r\n"])
def test_a_response_may_begin_so(data: bytes) -> None:
    assert may_begin_response(data)


@pytest.mark.parametrize("data", [b"0\r\n\r\n", b"garbage", b"HTML", b"\x00"])
def test_a_response_does_not_begin_so(data: bytes) -> None:
    assert not may_begin_response(data)
