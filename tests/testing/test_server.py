"""The server as any client sees it: HTTP on a real socket."""

import http.client
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from firsttoken.testing import (
    Gate,
    Request,
    ScriptedServer,
    done,
    finish,
    text,
)
from tests.support.raw_client import RawClient, asked, body_of, post, texts_in

WHOLE = ["Hel", "lo", finish(), done()]


def test_an_answer_is_what_the_script_says() -> None:
    with ScriptedServer(["Hel", finish("length"), done()]) as server:
        response = asked(server)
    head, _, _ = response.partition(b"\r\n\r\n")
    assert head == (
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n"
        b"content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked"
    )
    shared = b'"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m",'
    assert body_of(response) == (
        b"data: {%s" % shared
        + b'"choices":[{"index":0,"delta":{"content":"Hel"},"logprobs":null,"finish_reason":null}]}\n\n'
        + b"data: {%s" % shared
        + b'"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]}\n\n'
        + b"data: [DONE]\n\n"
    )


def test_scripts_take_turns_and_the_last_one_stays() -> None:
    with ScriptedServer("one", ["two"], lambda _: "three") as server:
        assert [texts_in(asked(server)) for _ in range(4)] == [["one"], ["two"], ["three"], ["three"]]


def test_a_function_sees_the_request() -> None:
    def answer(request: Request) -> str:
        return f"{request.method} {request.target} {request.messages[0]['content']}"

    with ScriptedServer(answer) as server:
        assert "".join(texts_in(asked(server))) == "POST /v1/chat/completions hi"


def test_answers_can_be_changed_while_it_runs() -> None:
    with ScriptedServer("before") as server:
        assert texts_in(asked(server)) == ["before"]
        server.set_scripts("after", "at last")
        assert [texts_in(asked(server)) for _ in range(2)] == [["after"], ["at", " last"]]


def test_a_connection_is_used_again() -> None:
    with ScriptedServer(WHOLE) as server, RawClient(server) as client:
        for _ in range(3):
            client.send(post())
            assert texts_in(client.read_to(b"0\r\n\r\n")) == ["Hel", "lo"]
        assert (server.journal.connections_opened, server.journal.connections_reused) == (1, 2)


def test_requests_may_be_sent_before_the_answers_are_there() -> None:
    with ScriptedServer("one", "two") as server, RawClient(server) as client:
        client.send(post() + post(connection="close"))
        assert client.read_all().count(b"[DONE]") == 2


def test_the_standard_librarys_client_can_ask() -> None:
    with ScriptedServer("Hello there") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        for number in range(2):
            body = {"model": "m", "stream": number == 1}
            connection.request("POST", "/any/path", json.dumps(body), {"content-type": "application/json"})
            response = connection.getresponse()
            read = response.read()
            assert response.status == 200
            assert b"there" in read
        connection.close()
        assert server.journal.connections_opened == 1


def test_a_client_of_http_1_0_gets_a_body_that_a_close_ends() -> None:
    with ScriptedServer(WHOLE) as server, RawClient(server) as client:
        client.send(post().replace(b"HTTP/1.1", b"HTTP/1.0"))
        response = client.read_all()
        assert b"transfer-encoding" not in response
        assert response.endswith(b"data: [DONE]\n\n")
        assert texts_in(response) == ["Hel", "lo"]
        assert server.journal.entries[0].end_reason == "complete"


def test_a_client_of_http_1_0_may_ask_to_go_on() -> None:
    with ScriptedServer("Hello") as server, RawClient(server) as client:
        for _ in range(2):
            client.send(post(stream=False, connection="keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0"))
            response = http.client.HTTPResponse(client.socket)
            response.begin()
            assert (response.headers["connection"], b"Hello" in response.read()) == ("keep-alive", True)


def test_a_request_in_chunks_is_read() -> None:
    body = json.dumps({"model": "in chunks", "stream": True}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    with ScriptedServer("Hello") as server, RawClient(server) as client:
        client.send(head + b"5\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (body[:5], len(body) - 5, body[5:]))
        assert texts_in(client.read_all()) == ["Hello"]
        assert server.journal.requests[0].body == body


def test_a_client_that_expects_to_continue_is_told_so() -> None:
    head, _, body = post(expect="100-continue", connection="close").partition(b"\r\n\r\n")
    with ScriptedServer("Hello") as server, RawClient(server) as client:
        client.send(head + b"\r\n\r\n")
        assert client.read_to(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(body)
        assert texts_in(client.read_all()) == ["Hello"]


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
def test_only_posts_use_up_a_script(method: str) -> None:
    with ScriptedServer("one", "two") as server, RawClient(server) as client:
        client.send(f"{method} /v1/models HTTP/1.1\r\nhost: x\r\n\r\n".encode() + post(connection="close"))
        refusal, _, answer = client.read_all().partition(b"}}")  # where the refusal's JSON ends
        assert refusal.startswith(b"HTTP/1.1 404 Not Found\r\n")
        assert f"a scripted server answers POST alone, not {method} /v1/models".encode() in refusal
        assert texts_in(answer) == ["one"]
        assert [entry.status for entry in server.journal.entries] == [404, 200]


def test_head_gets_no_body() -> None:
    with ScriptedServer() as server, RawClient(server) as client:
        client.send(b"HEAD /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        response = client.read_all()
        assert response.startswith(b"HTTP/1.1 404 Not Found\r\n")
        assert response.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("data", [b"hello\r\n", b"\x16\x03\x01\x02\0\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
def test_what_is_no_request_gets_a_400(data: bytes) -> None:
    with ScriptedServer() as server, RawClient(server) as client:
        client.send(data)
        response = client.read_all()
        assert response.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"a client sent an invalid HTTP/1 request" in response
        assert server.journal.malformed == [data]
        assert server.journal.entries == []


def test_a_wish_to_speak_another_protocol_is_passed_over() -> None:
    with ScriptedServer("Hello") as server, RawClient(server) as client:
        for connection in ("Upgrade, HTTP2-Settings", "close, upgrade"):
            client.send(post(connection=connection, upgrade="h2c", http2_settings="AAMAAABk"))
        assert client.read_all().count(b"[DONE]") == 2
        assert [request.is_streamed for request in server.journal.requests] == [True, True]
        assert server.journal.requests[0].headers["upgrade"] == "h2c"


def test_a_wish_for_a_tunnel_is_refused() -> None:
    with ScriptedServer() as server, RawClient(server) as client:
        client.send(b"CONNECT example.org:443 HTTP/1.1\r\nhost: example.org:443\r\n\r\n\x16\x03\x01")
        assert b"a scripted server answers POST alone, not CONNECT example.org:443" in client.read_all()


def test_200_streams_at_once_come_complete() -> None:
    gate = Gate()
    with ScriptedServer(["Hel", gate, "lo", finish(), done()]) as server, ThreadPoolExecutor(200) as pool:
        answers = [pool.submit(asked, server) for _ in range(200)]
        assert server.journal.wait_until_requests(200, timeout_s=30)
        gate.open(200)
        assert all(texts_in(answer.result(30)) == ["Hel", "lo"] for answer in answers)
        assert server.journal.connections_opened == 200


def test_a_slow_client_holds_up_nobody_else() -> None:
    big = [text("x" * 200_000)] * 50
    with ScriptedServer(big, "Hello") as server, RawClient(server, receive_buffer_bytes=4096) as slow:
        slow.send(post())
        assert server.journal.wait_until_requests(1)
        assert texts_in(asked(server)) == ["Hello"]
        assert server.journal.entries[0].end_reason is None
