"""What a server may answer besides a stream: refusals, redirects, other bodies, broken HTTP, and keys repeated."""

import gzip
import json
import pickle
import zlib
from collections.abc import Callable

import pytest

from firsttoken import errors
from firsttoken.errors import APIStatusError, BadRequestError, ResponseFormatError, StreamTruncatedError
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

CLASSES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    402: "APIStatusError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
    500: "InternalServerError",
    503: "InternalServerError",
    599: "InternalServerError",
}


@pytest.mark.parametrize("status", CLASSES)
@pytest.mark.parametrize("style", ["whole", "stream"])
def test_every_status_has_its_class(make_client: MakeClient, status: int, style: str) -> None:
    error = {"message": "because", "type": "a_type", "code": "a_code", "param": "a_param"}
    answer = respond(status, json.dumps({"error": error}).encode(), x_request_id="req_1")
    with Server(respond_sequentially(answer)) as server:
        client = make_client(server)
        with pytest.raises(APIStatusError) as caught:
            client.chat_completion(REQUEST) if style == "whole" else next(client.chat_completion_stream(REQUEST))
    failure = caught.value
    assert type(failure) is getattr(errors, CLASSES[status])
    assert message_of(failure).startswith(f"the server answered {status}")
    assert ": because" in message_of(failure)
    assert (failure.status, failure.type, failure.code, failure.param) == (status, "a_type", "a_code", "a_param")
    assert failure.body == {"error": error}
    assert failure.request_id == "req_1"
    assert failure.partial is None
    assert not failure.in_stream


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (b'{"error": "just text"}', "application/json", ": just text"),
        (b'{"detail": "not found"}', "application/json", ": not found"),
        (b"<html><h1>Bad</h1></html>", "text/html", ": '<html><h1>Bad</h1></html>'"),
        (b"plain words", "text/plain", ": 'plain words'"),
        (b"", "text/plain", ""),
        (b"data: {}\n\n", "text/event-stream", ": 'data: {}"),
    ],
)
def test_bodies_of_refusals(make_client: MakeClient, body: bytes, content_type: str, words: str) -> None:
    with Server(respond_sequentially(respond(400, body, content_type))) as server:
        failure = failure_of(make_client(server).chat_completion_stream(REQUEST))
    assert isinstance(failure, BadRequestError)
    assert message_of(failure).startswith(f"the server answered 400 Bad Request{words}")


def test_a_refusal_cut_short_is_still_the_refusal(make_client: MakeClient) -> None:
    with Server(raw(b'HTTP/1.1 400 No\r\ncontent-length: 99\r\n\r\n{"error": "too')) as server:
        failure = failure_of(make_client(server).chat_completion_stream(REQUEST))
    assert isinstance(failure, BadRequestError)
    assert '{"error": "too' in message_of(failure)


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


def test_failures_pickle(make_client: MakeClient) -> None:
    with Server(raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + event(chunk("Hel")))) as server:
        failure = failure_of(make_client(server).chat_completion_stream(REQUEST))
    copy = pickle.loads(pickle.dumps(failure))
    assert type(copy) is type(failure)
    assert str(copy) == message_of(failure)
    assert copy.partial == failure.partial
    assert copy.chunks_received == 1


# --- a 200 without a stream ----------------------------------------------------------------------------------------


def test_a_complete_completion_is_one_chunk(make_client: MakeClient) -> None:
    with Server(respond_sequentially(*[respond(200, json.dumps(completion()).encode())] * 2)) as server:
        client = make_client(server)
        stream = client.chat_completion_stream(REQUEST)
        assert drain(stream) == (["Hello"], None)
        assert stream.state == "complete"
        assert stream.final_completion() == client.chat_completion(REQUEST)


NOT_A_STREAM: dict[str, tuple[Answer, str]] = {
    "HTML": (
        respond(200, b"<html>" + b"x" * 500, "text/html; charset=utf-8"),
        "expected a chat completion, got status 200 with text/html: '<html>xxx",
    ),
    "text": (respond(200, b"hello", "text/plain"), "expected a chat completion, got status 200 with text/plain"),
    "nothing": (
        respond(200, b"", "text/plain"),
        "expected a chat completion, got status 200 with an empty body (text/plain)",
    ),
    "a list": (respond(200, b"[1]"), "expected a chat completion, got status 200 with application/json"),
    "other JSON": (respond(200, b'{"a": 1}'), "expected a chat completion: '{\"a\": 1}'"),
    "half JSON": (respond(200, b'{"choices": ['), "the server sent data that is not JSON (Expecting value: "),
    "HTML as events": (
        respond(200, b"<html>no</html>", "text/event-stream"),
        "expected a chat completion, got status 200 with text/event-stream: '<html>no</html>'",
    ),
}


@pytest.mark.parametrize("name", NOT_A_STREAM)
def test_a_200_that_is_neither(make_client: MakeClient, name: str) -> None:
    answer, words = NOT_A_STREAM[name]
    with Server(respond_sequentially(answer)) as server:
        stream = make_client(server, max_retries=2).chat_completion_stream(REQUEST)
        failure = failure_of(stream)
    assert isinstance(failure, ResponseFormatError)
    assert isinstance(failure, ValueError)
    assert message_of(failure).startswith(words)
    assert len(message_of(failure)) < 500
    assert len(server.requests) == 1
    assert stream.state == "failed"


def test_a_json_error_in_a_200(make_client: MakeClient) -> None:
    body = json.dumps({"error": {"message": "no such model", "code": 404}}).encode()
    with Server(respond_sequentially(respond(200, body), respond(200, body, "text/event-stream"))) as server:
        for _ in range(2):
            failure = failure_of(make_client(server).chat_completion_stream(REQUEST))
            assert isinstance(failure, errors.NotFoundError)
            assert message_of(failure) == "error response with status 200: no such model"
            assert failure.in_stream


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", "application/json", ""])
def test_events_under_another_content_type(make_client: MakeClient, content_type: str) -> None:
    with Server(respond_sequentially(respond(200, STREAM, content_type))) as server:
        assert drain(make_client(server).chat_completion_stream(REQUEST)) == (["Hel", "lo"], None)


def test_a_stream_for_the_blocking_call(make_client: MakeClient) -> None:
    with (
        Server(respond_sequentially(respond(200, STREAM, "text/event-stream"))) as server,
        pytest.raises(ResponseFormatError) as caught,
    ):
        make_client(server).chat_completion(REQUEST)
    assert message_of(caught.value) == (
        "the server streamed the response though no stream was requested\n"
        "hint: use chat_completion_stream with this server"
    )


# --- HTTP -----------------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
LENGTH = b"content-length: %d\r\n\r\n" % len(STREAM)
ODD_BUT_RIGHT = {
    "interim responses": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + HEAD + LENGTH + STREAM,
    "HTTP/1.0": HEAD.replace(b"1.1", b"1.0") + b"\r\n" + STREAM,
    "names in capitals": HEAD.upper() + b"\r\n" + STREAM,
    "no reason": HEAD.replace(b" OK", b"") + LENGTH + STREAM,
    "a length twice": HEAD + b"content-length: %d\r\n" % len(STREAM) + LENGTH + STREAM,
    "a length beside chunks": HEAD
    + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(STREAM), STREAM),
    "extensions and trailers": HEAD
    + b"transfer-encoding: chunked\r\n\r\n%x;name=value\r\n%s\r\n0\r\nx-checked: yes\r\n\r\n" % (len(STREAM), STREAM),
}


@pytest.mark.parametrize("name", ODD_BUT_RIGHT)
def test_http_that_is_rarely_seen(make_client: MakeClient, name: str) -> None:
    with Server(raw(ODD_BUT_RIGHT[name])) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        assert drain(stream) == (["Hel", "lo"], None)
    assert stream.response is not None
    assert stream.response.status == 200
    assert stream.response.headers["Content-Type"].lower() == "text/event-stream"


@OVER_SOCKETS
@pytest.mark.parametrize("name", ["a length twice", "a length beside chunks"])
def test_a_connection_whose_response_names_two_lengths_is_not_reused(make_client: MakeClient, name: str) -> None:
    def answer(peer: Peer) -> None:
        assert peer.read_request() is not None
        peer.send(ODD_BUT_RIGHT[name])
        peer.wait_for_disconnect()

    with Server(answer) as server:
        client = make_client(server)
        for _ in range(2):
            assert drain(client.chat_completion_stream(REQUEST)) == (["Hel", "lo"], None)
    assert len(server.requests) == server.connections == 2


BROKEN = {
    "another protocol": (b"SSH-2.0-OpenSSH_9.6\r\n", "invalid HTTP/1.1 response ("),
    "a switch": (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        "the server switched protocols without being asked",
    ),
    "an endless head": (
        b"HTTP/1.1 200 OK\r\n" + b"x-filler: 0123456789\r\n" * 20_000,
        "the response has more than 131072 bytes of headers, trailers or chunk extensions",
    ),
    "an unknown coding": (
        HEAD + b"content-encoding: br\r\n" + LENGTH + STREAM,
        "unsupported content-encoding 'br'",
    ),
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


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


CODINGS = {"gzip": gzip.compress, "deflate": zlib.compress, "deflate ": _raw_deflate}


@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_stream(make_client: MakeClient, coding: str) -> None:
    answer = respond(200, CODINGS[coding](STREAM), "text/event-stream", content_encoding=coding.strip())
    with Server(respond_sequentially(answer)) as server:
        assert drain(make_client(server).chat_completion_stream(REQUEST)) == (["Hel", "lo"], None)
        assert server.requests[0].headers["accept-encoding"] == "identity"


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


def test_a_compressed_stream_that_was_cut(make_client: MakeClient) -> None:
    packed = gzip.compress(event(chunk("Hel")) + event(chunk("lo", finish="stop")))[:-8]
    answer = respond(200, packed, "text/event-stream", content_encoding="gzip")
    with Server(respond_sequentially(answer)) as server:
        texts, failure = drain(make_client(server).chat_completion_stream(REQUEST))
    assert texts == ["Hel", "lo"]
    assert isinstance(failure, StreamTruncatedError)
    assert message_of(failure) == "the compressed body is truncated"
    assert failure.partial is not None
    assert failure.partial.text == "Hello"


def test_a_compressed_answer_to_the_blocking_call(make_client: MakeClient) -> None:
    body = gzip.compress(json.dumps(completion()).encode())
    with Server(respond_sequentially(respond(200, body, content_encoding="gzip"))) as server:
        answer = make_client(server).chat_completion(REQUEST)
        assert server.requests[0].headers["accept-encoding"] == "gzip, deflate"
    assert answer.text == "Hello"


@pytest.mark.parametrize(
    "body",
    [
        b"<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>",
        b"Client sent an HTTP request to an HTTPS server.\n",
        b"<h1>Bad Request</h1>\nReason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
    ],
    ids=["nginx", "Go", "Apache"],
)
def test_a_port_that_wants_tls(make_client: MakeClient, body: bytes) -> None:
    with Server(respond_sequentially(respond(400, body, "text/html"))) as server:
        failure = failure_of(make_client(server).chat_completion_stream(REQUEST))
    assert message_of(failure).endswith("\nhint: this port expects TLS: base_url must begin with https://")
