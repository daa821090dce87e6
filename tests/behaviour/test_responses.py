"""What a server may answer besides a stream: refusals, redirects, other bodies, broken HTTP, and keys repeated."""

import json
import pickle
import zlib
from collections.abc import Callable

import pytest

from firsttoken import errors
from firsttoken.errors import APIStatusError, BadRequestError, ResponseFormatError
from tests.support.clients import KEY, OVER_SOCKETS, REQUEST, MakeClient, drain, failure_of
from tests.support.errors import message_of
from tests.support.server import EVENT_STREAM, Peer, Server, chunk, completion, event, respond_sequentially

Answer = Callable[[Peer], None]
STREAM = event(chunk("Hel")) + event(chunk("lo", finish="stop")) + event("[DONE]")


def respond(status: int, body: bytes, content_type: str = "application/json", **headers: str) -> Answer:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda peer: peer.answer(status, body, {"content-type": content_type} | fields)


def raw(data: bytes) -> Answer:
    def answer(peer: Peer) -> None:
        peer.read_request()
        peer.send(data)

    return answer


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 599])
@pytest.mark.parametrize("style", ["whole", "stream"])
def test_every_status_has_its_class(make_client: MakeClient, status: int, style: str) -> None:
    error = {"message": "because", "type": "a_type", "code": "a_code", "param": "a_param"}
    answer = respond(status, json.dumps({"error": error}).encode(), x_request_id="req_1")
    with Server(respond_sequentially(answer)) as server:
        client = make_client(server)
        with pytest.raises(APIStatusError) as caught:
            client.chat_completion(REQUEST) if style == "whole" else next(client.chat_completion_stream(REQUEST))
    failure = caught.value
    assert type(failure) is (errors.NotFoundError if status == 404 else errors.InternalServerError)
    assert message_of(failure).startswith(f"the server answered {status}")
    assert ": because" in message_of(failure)
    assert (failure.status, failure.type, failure.code, failure.param) == (status, "a_type", "a_code", "a_param")
    assert failure.body == {"error": error}
    assert failure.request_id == "req_1"
    assert failure.partial is None
    assert not failure.in_stream


@pytest.mark.parametrize("coding", ["br", "gzip"])
def test_a_refusal_that_can_not_be_read_is_still_one(make_client: MakeClient, coding: str) -> None:
    refusal = respond(429, b"\x8b\x02\x80", content_encoding=coding, retry_after_ms="0")
    with Server(respond_sequentially(refusal, refusal)) as server:
        failure = failure_of(make_client(server, max_retries=1).chat_completion_stream(REQUEST))
    assert isinstance(failure, errors.RateLimitError)
    assert message_of(failure) == "the server answered 429 Too Many Requests"


def test_a_refusal_whose_body_never_ends(make_client: MakeClient) -> None:
    def answer(peer: Peer) -> None:
        peer.read_request()
        peer.send_head(400, {"transfer-encoding": "chunked"})
        while True:  # until the client has had enough
            peer.send_part(b"no " * 10_000)

    with Server(answer) as server:
        failure = failure_of(make_client(server).chat_completion_stream(REQUEST))
        assert server.was_left()
    assert isinstance(failure, BadRequestError)
    assert len(message_of(failure)) < 1000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_error_and_the_key_goes_nowhere(make_client: MakeClient, status: int) -> None:
    with Server(lambda _: pytest.fail("nothing goes here")) as other:
        target = f"{other.base_url}/chat/completions"
        with Server(respond_sequentially(respond(status, b"", location=target))) as server:
            failure = failure_of(make_client(server, max_retries=2).chat_completion_stream(REQUEST))
    assert isinstance(failure, APIStatusError)
    assert failure.status == status
    assert f"redirects to {target!r} are not followed, to avoid sending the key to another host" in message_of(failure)
    assert other.connections == 0


@pytest.mark.parametrize("style", ["json", "text", "event", "type"])
def test_a_key_that_the_server_repeats_is_shown_nowhere(make_client: MakeClient, style: str) -> None:
    def answer(peer: Peer) -> None:
        if style == "json":
            error = {"message": f"bad key {KEY}", "code": KEY, "type": KEY, "param": KEY, KEY: [KEY, {"k": KEY}]}
            peer.answer_json(401, {"error": error})
        elif style == "text":
            peer.answer(401, f"bad key {KEY}".encode(), {"content-type": "text/plain"})
        elif style == "event":
            peer.answer(200, event({"error": {"message": KEY, "code": 401}}), EVENT_STREAM)
        else:
            peer.answer(200, f"your key is {KEY}".encode(), {"content-type": "text/plain"})

    with Server(respond_sequentially(answer)) as server:
        client = make_client(server)
        stream = client.chat_completion_stream(REQUEST)
        failure = failure_of(stream)
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    shown = [
        message_of(failure),
        repr(failure),
        repr(vars(failure)),
        repr(pickle.dumps(failure)),
        repr(client),
        repr(stream),
    ]
    assert not any(KEY in text for text in shown)
    assert "[redacted]" in message_of(failure)


# --- a 200 without a stream ----------------------------------------------------------------------------------------


def test_a_complete_completion_is_one_chunk(make_client: MakeClient) -> None:
    with Server(respond_sequentially(*[respond(200, json.dumps(completion()).encode())] * 2)) as server:
        client = make_client(server)
        stream = client.chat_completion_stream(REQUEST)
        assert drain(stream) == (["Hello"], None)
        assert stream.state == "complete"
        assert stream.final_completion() == client.chat_completion(REQUEST)


def test_a_200_that_is_neither(make_client: MakeClient) -> None:
    answer = respond(200, b"<html>" + b"x" * 500, "text/html; charset=utf-8")
    with Server(respond_sequentially(answer)) as server:
        stream = make_client(server, max_retries=2).chat_completion_stream(REQUEST)
        failure = failure_of(stream)
    assert isinstance(failure, ResponseFormatError)
    assert isinstance(failure, ValueError)
    assert message_of(failure).startswith("expected a chat completion, got status 200 with text/html: '<html>xxx")
    assert len(message_of(failure)) < 500
    assert len(server.requests) == 1
    assert stream.state == "failed"


# --- HTTP -----------------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
LENGTH = b"content-length: %d\r\n\r\n" % len(STREAM)
TWO_LENGTHS = {
    "a length twice": HEAD + b"content-length: %d\r\n" % len(STREAM) + LENGTH + STREAM,
    "a length beside chunks": HEAD
    + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(STREAM), STREAM),
}


@OVER_SOCKETS
@pytest.mark.parametrize("name", TWO_LENGTHS)
def test_a_connection_whose_response_names_two_lengths_is_not_reused(make_client: MakeClient, name: str) -> None:
    def answer(peer: Peer) -> None:
        assert peer.read_request() is not None
        peer.send(TWO_LENGTHS[name])
        peer.wait_for_disconnect()

    with Server(answer) as server:
        client = make_client(server)
        for _ in range(2):
            assert drain(client.chat_completion_stream(REQUEST)) == (["Hel", "lo"], None)
    assert len(server.requests) == server.connections == 2


BROKEN = {
    "another protocol": (b"SSH-2.0-OpenSSH_9.6\r\n", "invalid HTTP/1.1 response ("),
    "gzip that is none": (HEAD + b"content-encoding: gzip\r\n" + LENGTH + STREAM, "the compressed body is broken: "),
}


@OVER_SOCKETS
@pytest.mark.parametrize("name", BROKEN)
def test_http_that_is_broken(make_client: MakeClient, name: str) -> None:
    data, words = BROKEN[name]

    def answer(peer: Peer) -> None:
        peer.read_request()
        peer.send(data)
        peer.wait_for_disconnect()

    with Server(answer) as server:
        failure = failure_of(make_client(server, max_retries=2).chat_completion_stream(REQUEST))
        assert server.was_left()
    assert isinstance(failure, ResponseFormatError)
    assert message_of(failure).startswith(words)
    assert len(message_of(failure)) < 500
    assert failure.partial is None
    assert server.connections == 1


def test_a_compressed_stream_arrives_as_it_is_flushed(make_client: MakeClient) -> None:
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)

    def answer(peer: Peer) -> None:
        peer.read_request()
        peer.begin_stream({"content-encoding": "gzip"})
        peer.send_part(packer.compress(event(chunk("Hel"))) + packer.flush(zlib.Z_SYNC_FLUSH))
        peer.wait_for_disconnect()

    with Server(answer) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        assert next(stream).text == "Hel"
        stream.close()
        assert server.was_left()
