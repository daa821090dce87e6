"""firsttoken._protocol.response: one attempt's answer, from the bytes of its connection and the times they came."""

import json
import zlib

import pytest

from firsttoken import Timeout
from firsttoken._protocol.call_states import State
from firsttoken._protocol.content_coding import MAX_PIECE_BYTES
from firsttoken._protocol.deadlines import ERROR_BODY_S
from firsttoken._protocol.response import MAX_BODY_BYTES, MAX_ERROR_BODY_BYTES
from firsttoken.errors import (
    APIConnectionError,
    ChatCompletionError,
    InternalServerError,
    RateLimitError,
    ResponseFormatError,
    StreamTruncatedError,
)
from tests.support.errors import message_of
from tests.support.exchange import NOW_S, SECRET, Exchange, drain_all, new_exchange, new_machine, response
from tests.support.server import DONE, chunk, completion, event

SSE = {"content-type": "text/event-stream", "x-request-id": "req_1"}
HELLO, STOP = event(chunk("Hello")), event(chunk(finish="stop"))
BODY = HELLO + STOP + DONE


def received(data: bytes, *, streamed: bool = True, eof: bool = False, secrets: tuple[str, ...] = ()) -> Exchange:
    exchange = new_exchange(streamed=streamed, secrets=secrets)
    exchange.receive_data(data, NOW_S)
    if eof:
        exchange.receive_eof(NOW_S)
    return exchange


def failure_of(exchange: Exchange) -> ChatCompletionError:
    list(drain_all(exchange))
    failure = exchange.failure
    assert failure is not None
    return failure


# A complete answer


@pytest.mark.parametrize("framing", ["length", "chunked", "eof"])
@pytest.mark.parametrize("content_type", ["text/event-stream; charset=utf-8", "text/plain", "application/json", None])
def test_a_streamed_answer(framing: str, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    data = response(200, headers, BODY, framing=framing)  # pyright: ignore[reportArgumentType]
    exchange = received(data, eof=framing == "eof")
    assert [made.text for made in drain_all(exchange)] == ["Hello", ""]
    assert exchange.is_complete
    assert exchange.failure is None
    assert exchange.machine.outcome == "complete"
    assert exchange.reader.body_ended == exchange.reader.is_reusable == (framing != "eof")


def test_an_answer_may_be_complete_before_its_response_is() -> None:
    data = response(200, SSE, BODY, framing="chunked")
    exchange = received(data[:-5])
    assert exchange.is_complete
    assert not exchange.reader.body_ended
    assert exchange.reader.may_be_reusable
    assert not exchange.reader.is_reusable
    exchange.receive_data(data[-5:], NOW_S)
    assert exchange.reader.is_reusable


def test_an_answer_that_was_complete_stays_so_when_the_connection_breaks() -> None:
    exchange = received(response(200, SSE, BODY, framing="chunked")[:-5], eof=True)
    assert exchange.is_complete
    assert exchange.failure is None
    assert not exchange.reader.is_reusable


def test_a_stream_that_was_answered_in_one_piece_is_one_chunk() -> None:
    for body in (
        json.dumps(completion("Hello")).encode(),
        b"\xef\xbb\xbf\n" + json.dumps(completion("Hello")).encode(),
    ):
        exchange = received(response(200, {"content-type": "application/json"}, body))
        assert [made.text for made in drain_all(exchange)] == ["Hello"]
        assert exchange.is_complete
        assert exchange.machine.timing.time_to_first_token_s == 0


def test_an_answer_that_is_not_streamed() -> None:
    for body in (json.dumps(completion("Hello")).encode(), b"\xef\xbb\xbf" + json.dumps(completion("Hello")).encode()):
        exchange = received(response(200, {}, body), streamed=False)
        assert exchange.completion is not None
        assert exchange.completion.text == "Hello"
        assert exchange.is_complete


def test_blank_bytes_before_the_first_event() -> None:
    exchange = new_exchange()
    data = response(200, {"content-type": "text/plain"}, b"\n" * (5000) + BODY)
    for start in range(0, len(data), 100):
        exchange.receive_data(data[start : start + 100], NOW_S)
    assert exchange.is_complete


@pytest.mark.parametrize("streamed", [False, True])
def test_json_behind_blanks_that_kept_the_connection_alive(streamed: bool) -> None:
    exchange = new_exchange(streamed=streamed)
    data = response(200, {}, b" \n" * 10_000 + json.dumps(completion("Hello")).encode())
    for start in range(0, len(data), 1000):
        exchange.receive_data(data[start : start + 1000], NOW_S)
    assert exchange.is_complete
    answer = exchange.parser.completion if streamed else exchange.completion
    drained = next(drain_all(exchange), None)
    assert (drained.text if drained else answer and answer.text) == "Hello"


# What is none

HINT = "\nhint: is base_url the address of the API? Most end in /v1"


@pytest.mark.parametrize(
    ("headers", "body", "message"),
    [
        (
            {"content-type": "text/html"},
            b"<html>",
            "expected a chat completion, got status 200 with text/html: '<html>'" + HINT,
        ),
        ({}, b"[1]", "expected a chat completion, got status 200 with no content type: '[1]'" + HINT),
        (
            {"content-type": "application/json"},
            b"",
            "expected a chat completion, got status 200 with an empty body (application/json)",
        ),
        (
            {"content-type": "text/event-stream"},
            b"<html>no</html>",
            "expected a chat completion, got status 200 with text/event-stream: '<html>no</html>'" + HINT,
        ),
        (
            {},
            b"{} x",
            "the server sent data that is not JSON (Extra data: line 1 column 4 (char 3)): '{} x'",
        ),
        (
            {"content-type": "application/json"},
            b'{"a":1}',
            "expected a chat completion: '{\"a\":1}'",
        ),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
def test_a_200_that_is_no_completion(headers: dict[str, str], body: bytes, message: str, streamed: bool) -> None:
    failure = failure_of(received(response(200, headers, body), streamed=streamed))
    assert isinstance(failure, ResponseFormatError)
    assert message_of(failure) == message


@pytest.mark.parametrize("streamed", [True, False])
def test_a_200_that_is_an_error(streamed: bool) -> None:
    body = json.dumps({"error": {"message": "no", "code": 429}}).encode()
    for content_type in ("application/json", "text/event-stream"):
        failure = failure_of(received(response(200, {"content-type": content_type}, body), streamed=streamed))
        assert isinstance(failure, RateLimitError)
        assert failure.in_stream
        assert message_of(failure) == "error response with status 200: no"


def test_an_empty_stream_is_truncated() -> None:
    for body in (b"", b"\r\n"):
        failure = failure_of(received(response(200, SSE, body)))
        assert isinstance(failure, StreamTruncatedError)
        assert message_of(failure) == "stream truncated before the first chunk: the body is empty"
        assert failure.request_id == "req_1"


def test_a_stream_that_nobody_asked_for() -> None:
    failure = failure_of(received(response(200, SSE, BODY), streamed=False))
    assert isinstance(failure, ResponseFormatError)
    assert message_of(failure) == (
        "the server streamed the response though no stream was requested\n"
        "hint: use chat_completion_stream with this server"
    )


def test_a_body_without_an_end_is_bounded() -> None:
    failure = failure_of(received(response(200, {}, b"{" + b" " * MAX_BODY_BYTES), streamed=False))
    assert isinstance(failure, ResponseFormatError)
    assert message_of(failure) == f"the response is larger than {MAX_BODY_BYTES} bytes"


# Refusals


@pytest.mark.parametrize("streamed", [True, False])
def test_a_refusal(streamed: bool) -> None:
    body = json.dumps({"error": {"message": "slow down"}}).encode()
    exchange = received(response(429, {"retry-after": "7", "x-request-id": "req_2"}, body), streamed=streamed)
    failure = failure_of(exchange)
    assert isinstance(failure, RateLimitError)
    assert message_of(failure) == "the server answered 429 Too Many Requests: slow down"
    assert (failure.retry_after_s, failure.request_id, failure.in_stream) == (7, "req_2", False)
    assert exchange.reader.is_reusable


@pytest.mark.parametrize("ending", ["eof", "lost", "silence", "timeout", "broken framing"])
def test_a_refusal_counts_though_its_body_does_not_come(ending: str) -> None:
    exchange = new_exchange(timeout=Timeout(first_chunk_s=2) if ending == "timeout" else None)
    exchange.receive_data(b"HTTP/1.1 503 x\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbusy\r\n", NOW_S)
    assert not exchange.machine.is_open(NOW_S)
    if ending == "eof":
        exchange.receive_eof(NOW_S)
    elif ending == "lost":
        exchange.connection_lost(ConnectionResetError("lost"), NOW_S)
    elif ending == "broken framing":
        exchange.receive_data(b"nonsense\r\n", NOW_S)
    else:
        assert exchange.deadline == NOW_S + (ERROR_BODY_S if ending == "silence" else 2)
        exchange.machine.deadline_passed(exchange.deadline)
    failure = failure_of(exchange)
    assert isinstance(failure, InternalServerError)
    assert str(failure) == "the server answered 503 Service Unavailable: 'busy'"
    assert not exchange.reader.is_reusable


def test_a_refusal_without_an_end_is_bounded() -> None:
    exchange = new_exchange()
    exchange.receive_data(b"HTTP/1.1 500 x\r\ncontent-length: 99999999\r\n\r\n", NOW_S)
    for _ in range(MAX_ERROR_BODY_BYTES // 65536 + 1):
        assert exchange.parser.end is None
        exchange.receive_data(b"x" * 65536, NOW_S)
    assert str(failure_of(exchange)) == f"the server answered 500 Internal Server Error: {'x' * 200!r}…"


# The connection


def test_a_connection_that_ends_early() -> None:
    exchange = received(response(200, SSE, BODY)[:-40], eof=True)
    failure = failure_of(exchange)
    assert isinstance(failure, StreamTruncatedError)
    assert message_of(failure) == "the connection was closed before the end of the response"
    assert failure.partial is not None
    assert failure.partial.text == "Hello"
    assert failure.request_id == "req_1"


def test_a_connection_that_is_lost() -> None:
    for exchange in (new_exchange(), received(response(200, SSE, HELLO, framing="eof"))):
        lost = APIConnectionError("lost")
        exchange.reader.fail(lost)
        assert failure_of(exchange) is lost


def test_a_connection_that_is_lost_while_the_request_is_sent_may_have_answered_before() -> None:
    machine = new_machine()
    machine.connected(NOW_S, is_reused=False)
    machine.connection_lost(ConnectionResetError("lost"), NOW_S)
    assert machine.state is State.RECEIVING
    machine.receive_data(response(200, SSE, BODY), NOW_S)
    assert [made.text for made in machine.pending] == ["Hello", ""]


def test_broken_framing_comes_behind_the_good_chunks() -> None:
    exchange = received(response(200, SSE, HELLO, framing="chunked")[:-5] + b"zz\r\n")
    failure = failure_of(exchange)
    assert str(failure) == "the framing of the response is broken: Invalid character in chunk size"
    assert failure.partial is not None
    assert failure.partial.text == "Hello"


def test_what_follows_a_failure_is_not_looked_at() -> None:
    exchange = received(response(200, SSE, b"data: {\n\n", framing="chunked"))
    first = failure_of(exchange)
    exchange.receive_data(b"more", NOW_S)
    exchange.reader.fail(APIConnectionError("lost"))
    exchange.receive_eof(NOW_S)
    assert failure_of(exchange) is first


def test_letting_go() -> None:
    exchange = received(response(200, SSE, BODY, framing="chunked")[:-5])
    exchange.reader.release()
    exchange.receive_data(b"0\r\n\r\n", NOW_S)
    assert not exchange.reader.is_reusable


# Secrets


@pytest.mark.parametrize("status", [200, 401])
def test_a_key_that_the_server_repeats_is_in_no_failure(status: int) -> None:
    for body in (json.dumps({"error": {"message": f"bad key {SECRET}"}}).encode(), f"<p>{SECRET}".encode()):
        failure = failure_of(received(response(status, {}, body), secrets=(SECRET,)))
        assert "[redacted]" in message_of(failure)
        assert SECRET not in message_of(failure) + repr(vars(failure))


# A compressed body, of which only what is wanted is decoded


def compressed(plain: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(plain) + packer.flush()


GZIP = SSE | {"content-encoding": "gzip"}
MANY = HELLO * 1000
"""More than one piece of a decoder, in one read."""


def taken(exchange: Exchange) -> int:
    return sum(1 for _ in drain_all(exchange))


def test_a_compressed_body_is_decoded_as_chunks_are_handed_out() -> None:
    exchange = received(response(200, GZIP, compressed(MANY + STOP + DONE)))
    assert exchange.reader.has_pending_data
    assert exchange.reader.body_ended
    assert 0 < len(exchange.parser.pending) < 1000
    assert taken(exchange) == 1001
    assert exchange.is_complete
    assert exchange.reader.is_reusable


@pytest.mark.parametrize("framing", ["length", "eof"])
def test_the_end_of_the_connection_waits_for_what_was_read_before_it(framing: str) -> None:
    data = response(200, GZIP, compressed(MANY + STOP), framing=framing)  # pyright: ignore[reportArgumentType]
    exchange = received(data, eof=True)
    assert exchange.parser.end is None
    assert taken(exchange) == 1001
    assert exchange.is_complete


def test_the_loss_of_the_connection_waits_for_what_was_read_before_it() -> None:
    exchange = received(response(200, GZIP, compressed(MANY), framing="chunked")[:-5])
    failure = APIConnectionError("lost")
    exchange.reader.connection_lost(failure)
    assert exchange.parser.end is None
    assert taken(exchange) == 1000
    assert failure_of(exchange) is failure
    assert failure.chunks_received == 1000


@pytest.mark.parametrize("bad", [b"xyz\r\n", b""])
def test_broken_framing_waits_for_what_was_read_before_it(bad: bytes) -> None:
    exchange = received(response(200, GZIP, compressed(MANY), framing="chunked")[:-5] + bad, eof=True)
    assert taken(exchange) == 1000
    assert str(failure_of(exchange)) == (
        "the framing of the response is broken: Invalid character in chunk size"
        if bad
        else "the connection was closed before the end of the response"
    )


def test_what_is_compressed_behind_the_end_of_the_answer_is_not_decoded() -> None:
    data = response(200, GZIP, compressed(HELLO + STOP + DONE + bytes(10_000_000)) + b"broken", framing="chunked")
    exchange = received(data)
    assert not exchange.reader.has_pending_data
    assert taken(exchange) == 2
    assert exchange.is_complete
    assert exchange.reader.is_reusable


def test_an_outcome_from_elsewhere_ends_the_decoding() -> None:
    exchange = received(response(200, GZIP, compressed(MANY), framing="chunked")[:-5])
    exchange.reader.fail(APIConnectionError("enough"))
    assert not exchange.reader.has_pending_data
    exchange.receive_data(b"5\r\nhello\r\n", NOW_S)
    assert str(failure_of(exchange)) == "enough"


def test_nothing_is_kept_of_a_body_once_the_outcome_is_known() -> None:
    exchange = received(b"HTTP/1.1 500 x\r\ncontent-length: 99999999\r\n\r\nbusy")
    exchange.reader.fail(APIConnectionError("enough"))
    exchange.receive_data(b"x" * MAX_ERROR_BODY_BYTES, NOW_S)
    assert bytes(exchange.reader._buffer) == b"busy"


def test_a_deadline_passes_while_there_is_more_to_decode() -> None:
    exchange = new_exchange(timeout=Timeout(first_chunk_s=5))
    exchange.receive_data(response(200, GZIP, compressed(b": ping\n\n" * 100_000), framing="chunked"), NOW_S)
    exchange.process_pending(NOW_S + 4.9)
    assert exchange.reader.has_pending_data
    exchange.process_pending(NOW_S + 5)
    assert not exchange.reader.has_pending_data
    assert str(failure_of(exchange)) == "timed out after 5 s (first_chunk_s) waiting for the first token from test:80"


@pytest.mark.parametrize("streamed", [True, False])
def test_a_compressed_refusal_is_read_as_far_as_any(streamed: bool) -> None:
    body = compressed(b"x" * MAX_ERROR_BODY_BYTES * 2)
    exchange = received(response(500, GZIP, body), streamed=streamed)
    assert exchange.reader.has_pending_data
    assert taken(exchange) == 0
    assert str(failure_of(exchange)) == f"the server answered 500 Internal Server Error: '{'x' * 200}'…"
    assert len(exchange.reader._buffer) <= MAX_ERROR_BODY_BYTES + MAX_PIECE_BYTES


def test_a_compressed_answer_that_is_not_streamed() -> None:
    body = compressed(json.dumps(completion("x" * 200_000)).encode())
    exchange = received(response(200, {"content-encoding": "gzip"}, body), streamed=False)
    assert taken(exchange) == 0
    assert exchange.completion is not None
    assert exchange.completion.text == "x" * 200_000
