"""Which connection a request gets: an idle one of its own kind, else a new one."""

import socket
import threading

import pytest

from firsttoken._protocol import pool
from tests.support.clients import REQUEST, MakeClient
from tests.support.server import WAIT_S, Peer, Server, chunk, completion


def hello(peer: Peer) -> None:
    peer.answer_json(200, completion())


def test_as_many_connections_as_streams_are_open(make_client: MakeClient) -> None:
    """No hidden limit: all 40 are open at once, and all 40 are used again."""
    together = threading.Barrier(40)

    def serve(peer: Peer) -> None:
        while peer.read_request() is not None:
            together.wait(WAIT_S)
            peer.stream("Hello")

    with Server(serve) as server:
        client = make_client(server)
        for _ in range(2):
            streams = [client.chat_completion_stream(REQUEST) for _ in range(40)]
            threads = [threading.Thread(target=stream.final_completion) for stream in streams]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(WAIT_S)
            assert [stream.completion.text for stream in streams] == ["Hello"] * 40
        assert server.connections == 40
        client.close()
        assert server.was_left(40)


def test_one_that_was_idle_for_too_long_is_closed(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be alive: load balancers forget connections without a word."""
    monkeypatch.setattr(pool, "MAX_IDLE_S", -1.0)

    def serve(peer: Peer) -> None:
        while peer.read_request() is not None:
            peer.stream("Hello")

    with Server(serve) as server:
        client = make_client(server)
        for number in (1, 2):
            assert client.chat_completion_stream(REQUEST).final_completion().text == "Hello"
            assert server.connections == number
        assert server.was_left()
        client.close()
        assert server.was_left()


def test_a_dead_one_is_closed_and_the_next_one_taken(make_client: MakeClient) -> None:
    """Of two idle connections the server closes the one that was used last."""
    second_in, first_out, closed = threading.Event(), threading.Event(), threading.Event()

    def serve(peer: Peer) -> None:
        number = server.connections
        peer.read_request()
        if number == 1:
            peer.begin_stream()
            peer.send_event(chunk("Hello", finish="stop"))
            assert second_in.wait(WAIT_S)
            peer.end_stream()
            assert peer.read_request() is not None
            hello(peer)
        else:
            second_in.set()
            assert first_out.wait(WAIT_S)
            hello(peer)
            peer.socket.shutdown(socket.SHUT_RDWR)
            closed.set()

    with Server(serve) as server:
        client = make_client(server)
        stream = client.chat_completion_stream(REQUEST)
        next(stream)
        other = threading.Thread(target=client.chat_completion, args=(REQUEST,))
        other.start()
        assert next(stream, None) is None
        first_out.set()
        other.join(WAIT_S)
        assert closed.wait(WAIT_S)
        assert client.chat_completion(REQUEST).text == "Hello"
    assert server.connections == 2
    assert len(server.requests) == 3
