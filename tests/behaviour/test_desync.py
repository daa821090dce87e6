"""Whose response is it, and which part of the request was read: responses that come too early, and one too many."""

import asyncio
import json
import socket
import threading

import pytest

from firsttoken import AsyncClient, Client, Timeout, chat_completion_request
from firsttoken.errors import APIStatusError
from firsttoken.types import CallInfo, CallObserver, Observer
from tests.support.clients import KEY, OVER_SOCKETS, REQUEST, MakeClient, failure_of
from tests.support.server import WAIT_S, Peer, Server, completion

READ_BYTES = 65536
"""What both clients read at once."""


def response(text: str) -> bytes:
    body = json.dumps(completion(text)).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


@OVER_SOCKETS
@pytest.mark.parametrize("size", [READ_BYTES, READ_BYTES - 1, 2 * READ_BYTES])
def test_a_response_behind_another_answers_nobody(make_client: MakeClient, size: int) -> None:
    """The first one fills a read: what is behind it still waits at the socket when the connection is idle."""
    padding = "x" * (size - len(response("x" * 10_000)) + 10_000 + (len("65000") - len(str(size))))

    def serve(peer: Peer) -> None:
        number = server.connections
        while peer.read_request() is not None:
            peer.send(response(padding) + response("of somebody else") if number == 1 else response("mine"))

    with Server(serve) as server:
        client = make_client(server)
        assert client.chat_completion(REQUEST).text == padding
        assert [client.chat_completion(REQUEST).text for _ in range(2)] == ["mine", "mine"]
    assert server.connections == 2


def test_what_comes_between_two_requests_answers_nobody() -> None:
    """Nothing is read between them: that the connection has something to say shows at its socket alone."""
    is_first_done, is_surplus_sent = threading.Event(), threading.Event()

    def serve(peer: Peer) -> None:
        is_first = server.connections == 1
        while peer.read_request() is not None:
            peer.send(response("first" if is_first else "mine"))
            if is_first:
                assert is_first_done.wait(WAIT_S)
                peer.send(response("of somebody else"))
                is_surplus_sent.set()

    def wait_for_surplus() -> None:
        is_first_done.set()
        assert is_surplus_sent.wait(WAIT_S)

    def ask_sync() -> list[str]:
        with Client(api_key=KEY, base_url=server.base_url) as client:
            texts = [client.chat_completion(REQUEST).text]
            wait_for_surplus()
            return [*texts, client.chat_completion(REQUEST).text]

    async def ask_async() -> list[str]:
        async with AsyncClient(api_key=KEY, base_url=server.base_url) as client:
            texts = [(await client.chat_completion(REQUEST)).text]
            wait_for_surplus()
            return [*texts, (await client.chat_completion(REQUEST)).text]

    for ask in (ask_sync, lambda: asyncio.run(ask_async())):
        with Server(serve) as server:
            assert ask() == ["first", "mine"]
        assert server.connections == 2
        is_first_done.clear()
        is_surplus_sent.clear()


class Held(CallObserver, Observer):
    """Holds a call, and its event loop, when the request is to be sent, until the server has responded."""

    def __init__(self) -> None:
        self.is_connected, self.has_responded = threading.Event(), threading.Event()

    def call_started(self, call: CallInfo) -> CallObserver:
        return self

    def request_sent(self, at: float) -> None:
        self.is_connected.set()
        assert self.has_responded.wait(WAIT_S)


@OVER_SOCKETS
@pytest.mark.parametrize("then", ["waits", "closes", "resets"])
def test_a_response_before_the_request_is_received(make_client: MakeClient, then: str) -> None:
    """On asyncio nothing of the request is written by then, and after a reset nothing can be."""
    held = Held()

    def serve(peer: Peer) -> None:
        assert held.is_connected.wait(WAIT_S)
        peer.answer_json(503, {"error": "too busy"}, {"connection": "close"})
        if then == "closes":
            peer.socket.shutdown(socket.SHUT_WR)
        elif then == "resets":
            peer.reset()
        held.has_responded.set()
        if then != "resets":
            peer.wait_for_disconnect()

    with Server(serve) as server:
        client = make_client(server, observer=held)
        with pytest.raises(APIStatusError, match="too busy"):
            client.chat_completion(REQUEST)
    assert server.connections == 1


@OVER_SOCKETS
def test_a_response_that_comes_at_once_is_received(make_client: MakeClient) -> None:
    """Before the client could send anything: servers that are overloaded respond to the connection."""

    def serve(peer: Peer) -> None:
        peer.answer_json(503, {"error": "too busy"}, {"connection": "close"})
        peer.wait_for_disconnect()

    with Server(serve) as server:
        client = make_client(server)
        for _ in range(20):
            with pytest.raises(APIStatusError, match="too busy"):
                client.chat_completion(REQUEST)


@OVER_SOCKETS
@pytest.mark.parametrize("then", ["goes on reading", "closes", "stops reading"])
@pytest.mark.parametrize("is_streamed", [True, False], ids=["streamed", "blocking"])
def test_a_refusal_before_the_request_was_read_is_received(
    make_client: MakeClient, then: str, is_streamed: bool
) -> None:
    """Proxies refuse what is too large by its head alone, and the rest of it finds nobody who reads."""
    request = chat_completion_request("m", "x" * 20_000_000)
    has_failed = threading.Event()

    def serve(peer: Peer) -> None:
        assert peer.socket.recv(1000).startswith(b"POST ")
        peer.answer_json(413, {"error": "too large"}, {"connection": "close"})
        if then == "goes on reading":
            peer.wait_for_disconnect()
        elif then == "stops reading":
            assert has_failed.wait(WAIT_S)

    with Server(serve) as server:
        client = make_client(server, timeout=Timeout(total_s=WAIT_S / 2))
        if is_streamed:
            failure = failure_of(client.chat_completion_stream(request))
        else:
            with pytest.raises(APIStatusError) as caught:
                client.chat_completion(request)
            failure = caught.value
        has_failed.set()
    assert isinstance(failure, APIStatusError)
    assert failure.status == 413
    assert "too large" in str(failure)
    assert server.connections == 1
