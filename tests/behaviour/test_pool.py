"""Which connection a request gets: an idle one of its own kind, else a new one."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support.clients import OVER_SOCKETS, REQUEST, MakeClient
from tests.support.server import WAIT_S, Peer, Server, chunk, completion

pytestmark = OVER_SOCKETS


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


def test_idle_connections_are_closed_when_their_time_is_over(make_client: MakeClient) -> None:
    """Without waiting for another call: load balancers forget connections, and descriptors are few."""

    def serve(peer: Peer) -> None:
        while peer.read_request() is not None:
            peer.stream("Hello")

    with Server(serve) as server:
        client = make_client(server)
        shell: Any = getattr(client, "_client", client)
        shell._pool = type(shell._pool)(None, max_idle_s=0.1)
        for number in (1, 2):
            assert client.chat_completion_stream(REQUEST).final_completion().text == "Hello"
            assert server.was_left()
            assert server.connections == number


def test_no_more_than_a_number_of_connections_is_kept(make_client: MakeClient) -> None:
    together = threading.Barrier(4)

    def serve(peer: Peer) -> None:
        while peer.read_request() is not None:
            together.wait(WAIT_S)
            peer.stream("Hello")

    with Server(serve) as server:
        client = make_client(server, max_idle_connections=1)
        with ThreadPoolExecutor(4) as pool:
            for stream in [client.chat_completion_stream(REQUEST) for _ in range(4)]:
                pool.submit(stream.final_completion)
        assert server.was_left(3)


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
