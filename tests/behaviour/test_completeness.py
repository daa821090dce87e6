"""When is a stream complete? The rule over real sockets: a finish reason, then `[DONE]`, the body's end or silence."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from firsttoken import Timeout, chat_completion_request
from firsttoken.errors import (
    APIConnectionError,
    APITimeoutError,
    BadRequestError,
    ResponseFormatError,
    StreamTruncatedError,
)
from tests.support.clients import REQUEST, MakeClient, drain, failure_of
from tests.support.server import DONE, WAIT_S, Peer, Server, chunk, completion, event

Answer = Callable[[Peer], None]


def once(answer: Answer) -> Answer:
    """Read one request, answer it, and wait for the client to leave."""

    def serve(peer: Peer) -> None:
        if peer.read_request() is not None:
            answer(peer)
            peer.wait_for_disconnect()

    return serve


def raw(*parts: bytes, head: str = "") -> Answer:
    """A stream whose body is sent as it is, under these header lines, and then the end of the connection."""

    def answer(peer: Peer) -> None:
        peer.read_request()
        peer.send(f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{head}\r\n".encode())
        for part in parts:
            peer.send(part)

    return answer


def as_http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


HELLO = event(chunk("Hel")) + event(chunk("lo"))
FINISH = event(chunk(finish="stop"))
CHUNKED = "transfer-encoding: chunked\r\n"

WHOLE: dict[str, Answer] = {
    "done": raw(as_http_chunk(HELLO + FINISH + DONE), b"0\r\n\r\n", head=CHUNKED),
    "done and no end of the body": raw(as_http_chunk(HELLO + FINISH + DONE), head=CHUNKED),
    "done and data after it": raw(
        as_http_chunk(HELLO + FINISH + DONE + event(chunk("!")) + b"data: {\n\n"), head=CHUNKED
    ),
    "finish reason and end of the body": raw(as_http_chunk(HELLO + FINISH), b"0\r\n\r\n", head=CHUNKED),
    "finish reason and end of the connection": raw(HELLO + FINISH),
    "content-length": raw(HELLO + FINISH, head=f"content-length: {len(HELLO + FINISH)}\r\n"),
    "the last event has no blank line": raw(HELLO + FINISH.rstrip()),
    "surplus behind the body": raw(as_http_chunk(HELLO + FINISH + DONE), b"0\r\n\r\nHTTP/1.1 400 No\r\n", head=CHUNKED),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_complete_stream_is_complete(make_client: MakeClient, name: str) -> None:
    with Server(WHOLE[name]) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        texts, failure = drain(stream)
    assert failure is None
    assert "".join(texts) == "Hello"
    assert stream.state == "complete"
    assert stream.final_completion().text == "Hello"


CUT: dict[str, tuple[Answer, type[Exception], str]] = {
    "end of the connection before a finish reason": (
        raw(HELLO),
        StreamTruncatedError,
        "stream truncated after 2 chunks: no [DONE] and no finish_reason for choice 0",
    ),
    "end of the body before a finish reason": (
        raw(as_http_chunk(HELLO), b"0\r\n\r\n", head=CHUNKED),
        StreamTruncatedError,
        "stream truncated after 2 chunks: no [DONE] and no finish_reason for choice 0",
    ),
    "done before a finish reason": (
        raw(as_http_chunk(HELLO + DONE), b"0\r\n\r\n", head=CHUNKED),
        StreamTruncatedError,
        "stream truncated after 2 chunks: [DONE] but no finish_reason for choice 0",
    ),
    "no terminator of the chunked body": (
        raw(as_http_chunk(HELLO), head=CHUNKED),
        StreamTruncatedError,
        "the connection was closed before the end of the response",
    ),
    "fewer bytes than content-length": (
        raw(HELLO, head="content-length: 9999\r\n"),
        StreamTruncatedError,
        "the connection was closed before the end of the response",
    ),
    "an event cut in the middle": (
        raw(HELLO, event(chunk("!"))[:-20]),
        StreamTruncatedError,
        "stream truncated after 2 chunks: no [DONE] and no finish_reason for choice 0",
    ),
    "broken framing": (
        raw(as_http_chunk(HELLO), b"zz\r\n", head=CHUNKED),
        ResponseFormatError,
        "the framing of the response is broken: ",
    ),
}


@pytest.mark.parametrize("name", CUT)
def test_a_truncated_stream_fails_after_its_chunks(make_client: MakeClient, name: str) -> None:
    answer, kind, words = CUT[name]
    with Server(answer) as server:
        stream = make_client(server, max_retries=2).chat_completion_stream(REQUEST)
        texts, failure = drain(stream)
    assert isinstance(failure, kind)
    assert str(failure).startswith(words)
    assert "".join(texts).startswith("Hello")
    assert failure.chunks_received == len(texts)
    assert failure.partial is not None
    assert failure.partial.text == "Hello"
    assert failure.partial.response == stream.response
    assert stream.state == "failed"
    assert len(server.requests) == 1  # nothing is sent again once a chunk was yielded


def test_the_final_completion_of_a_cut_stream_raises_again(make_client: MakeClient) -> None:
    with Server(raw(HELLO)) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        with pytest.raises(StreamTruncatedError):
            stream.final_completion()
        with pytest.raises(StreamTruncatedError, match="no finish_reason for choice 0") as again:
            stream.final_completion()
    assert again.value.partial is not None
    assert again.value.partial.text == stream.completion.text == "Hello"
    assert next(stream, None) is None


def test_a_reset_is_a_connection_error_behind_the_chunks_that_came(make_client: MakeClient) -> None:
    read = threading.Event()

    def serve(peer: Peer) -> None:
        peer.read_request()
        peer.begin_stream()
        peer.send_part(HELLO)
        assert read.wait(WAIT_S)  # a RST throws away what the other end has not read
        peer.reset()

    with Server(serve) as server:
        stream = make_client(server, max_retries=2).chat_completion_stream(REQUEST)
        assert [next(stream).text, next(stream).text] == ["Hel", "lo"]
        read.set()
        failure = failure_of(stream)
    assert isinstance(failure, APIConnectionError)
    assert isinstance(failure, ConnectionError)
    assert str(failure) == f"lost the connection to 127.0.0.1:{server.port}: Connection reset by peer"
    assert isinstance(failure.__cause__, ConnectionResetError | httpx2.ReadError)
    assert failure.partial is not None
    assert failure.partial.text == "Hello"
    assert failure.chunks_received == 2


def test_after_done_the_connection_is_closed_unless_the_body_ends_at_once(make_client: MakeClient) -> None:
    @once
    def answer(peer: Peer) -> None:
        peer.begin_stream()
        peer.send_part(HELLO + FINISH + DONE)

    with Server(answer) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        started_s = time.monotonic()
        assert drain(stream) == (["Hel", "lo", ""], None)
        assert time.monotonic() - started_s < 1.0
        assert server.was_left()
    assert stream.state == "complete"


def test_a_body_that_goes_on_after_done_is_not_waited_for(make_client: MakeClient) -> None:
    def answer(peer: Peer) -> None:
        peer.read_request()
        peer.begin_stream()
        peer.send_part(HELLO + FINISH + DONE)
        while True:  # until the client has had enough
            peer.send_part(b": and another thing\n\n")

    with Server(answer) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        assert drain(stream) == (["Hel", "lo", ""], None)
        assert server.was_left()
    assert stream.state == "complete"


def test_done_alone_is_enough_where_the_caller_says_so(make_client: MakeClient) -> None:
    with Server(raw(HELLO, DONE)) as server:
        failure = failure_of(make_client(server).chat_completion_stream(REQUEST))
        assert (
            failure.hint
            == "for a server that never sends a finish_reason, pass require_finish_reason=False to the client"
        )
    with Server(raw(HELLO, DONE)) as server:
        stream = make_client(server, require_finish_reason=False).chat_completion_stream(REQUEST)
        assert drain(stream) == (["Hel", "lo"], None)
    assert stream.completion.choices[0].finish_reason is None


def test_silence_after_the_last_finish_reason_ends_the_answer(make_client: MakeClient) -> None:
    """All that silence ends, at the same time; a refusal waits for its body for five seconds."""
    usage = chunk(choices=[], usage=completion()["usage"])

    def serve(peer: Peer) -> None:
        request = peer.read_request()
        assert request is not None
        if request.json["model"] == "refused":
            peer.send_head(400, {"content-length": "1000", "content-type": "text/plain"})
            peer.send(b"no such th")
        else:
            peer.begin_stream()
            for index in range(1 if request.json["model"] == "half" else request.json["n"]):
                choice = {"index": index, "delta": {"content": "Hello"}, "finish_reason": "stop"}
                peer.send_event({"choices": [choice]})
            peer.send_event(usage)
        peer.wait_for_disconnect()

    with Server(serve) as server, ThreadPoolExecutor() as pool:
        client = make_client(server, timeout=Timeout(idle_s=0.5))
        started_s = time.monotonic()

        def read(model: str, n: int) -> tuple[list[str], object, float]:
            request = chat_completion_request(model, "Hi", n=n)
            texts, failure = drain(client.chat_completion_stream(request))
            return texts, failure, time.monotonic() - started_s

        one, two, half, refused = pool.map(read, ["one", "two", "half", "refused"], [1, 2, 2, 1])
        assert server.was_left(4)
    assert one[:2] == (["Hello", ""], None)
    assert two[:2] == (["Hello", "", ""], None)  # the second is of choice 1
    assert isinstance(refused[1], BadRequestError)
    assert str(refused[1]) == "the server answered 400 Bad Request: 'no such th'"
    assert all(0.5 <= took_s < 1.5 for _, _, took_s in (one, two))
    assert 5.0 <= refused[2] < 6.0
    assert half[0] == ["Hello", ""]
    assert isinstance(half[1], APITimeoutError)  # one of two choices: nothing but the deadline ends it
    assert half[1].phase == "idle"
    assert half[2] >= 0.5
