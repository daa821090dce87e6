"""How a stream ends over TLS: with a proper leave-taking or without, broken, within the handshake, while it is idle."""

import socket
import ssl
from collections.abc import Callable, Generator
from contextlib import contextmanager

import httpx2
import pytest

from firsttoken.errors import APIConnectionError, StreamTruncatedError
from tests.support.clients import REQUEST, MakeClient, drain, failure_of
from tests.support.server import EVENT_STREAM, Peer, Server, chunk, event
from tests.support.tls import client_context, server_context


@contextmanager
def tls_server(serve: Callable[[Peer], None]) -> Generator[Server]:
    with Server(serve, tls=server_context()) as server:
        yield server


def take_leave(peer: Peer) -> None:
    """Say that nothing more comes, as TLS wants it said."""
    assert isinstance(peer.socket, ssl.SSLSocket)
    peer.socket.settimeout(0.2)
    try:
        peer.socket.unwrap()
    except (OSError, ValueError):
        pass  # the client need not answer


def just_close(peer: Peer) -> None:
    peer.socket.close()


def break_a_record(peer: Peer) -> None:
    """Send what TLS can't read, past TLS."""
    socket.socket.send(peer.socket, b"\x17\x03\x03\x00\x20" + bytes(32))
    peer.wait_for_disconnect()


@pytest.mark.parametrize("leave", [take_leave, just_close])
def test_a_stream_that_is_complete_may_end_either_way(make_client: MakeClient, leave: Callable[[Peer], None]) -> None:
    def serve(peer: Peer) -> None:
        peer.read_request()
        peer.send_head(200, EVENT_STREAM | {"connection": "close"})
        peer.send(event(chunk("Hello")) + event(chunk(finish="stop")))
        leave(peer)

    with tls_server(serve) as server:
        stream = make_client(server, ssl_context=client_context()).chat_completion_stream(REQUEST)
        assert drain(stream) == (["Hello", ""], None)


@pytest.mark.parametrize("leave", [take_leave, just_close])
def test_a_stream_that_is_cut_is_an_error_either_way(make_client: MakeClient, leave: Callable[[Peer], None]) -> None:
    def serve(peer: Peer) -> None:
        peer.read_request()
        peer.begin_stream()
        peer.send_event(chunk("Hel"))
        leave(peer)

    with tls_server(serve) as server:
        failure = failure_of(make_client(server, ssl_context=client_context()).chat_completion_stream(REQUEST))
    assert isinstance(failure, StreamTruncatedError)
    assert str(failure) == "the connection was closed before the end of the response"
    assert failure.partial is not None
    assert failure.partial.text == "Hel"


def test_a_broken_record_is_a_lost_connection_behind_what_came(make_client: MakeClient) -> None:
    def serve(peer: Peer) -> None:
        peer.read_request()
        peer.begin_stream()
        peer.send_event(chunk("Hel"))
        break_a_record(peer)

    with tls_server(serve) as server:
        failure = failure_of(make_client(server, ssl_context=client_context()).chat_completion_stream(REQUEST))
        assert server.was_left()
    assert isinstance(failure, APIConnectionError)
    assert str(failure).startswith(f"lost the connection to localhost:{server.port}: ")
    assert isinstance(failure.__cause__, ssl.SSLError | httpx2.ReadError)
    assert failure.partial is not None
    assert failure.partial.text == "Hel"


def test_an_end_within_the_handshake_is_no_connection(make_client: MakeClient) -> None:
    def serve(peer: Peer) -> None:
        peer.socket.recv(1)

    with Server(serve) as server:
        url = server.base_url.replace("http:", "https:")
        failure = failure_of(make_client(url, ssl_context=client_context()).chat_completion_stream(REQUEST))
    assert isinstance(failure, APIConnectionError)
    assert str(failure).startswith(f"no connection to 127.0.0.1:{server.port}: ")


def test_an_idle_connection_that_takes_its_leave_is_not_used_again(make_client: MakeClient) -> None:
    def serve(peer: Peer) -> None:
        peer.read_request()
        peer.stream("Hel", "lo")
        take_leave(peer)

    with tls_server(serve) as server:
        client = make_client(server, ssl_context=client_context())
        for _ in range(2):
            assert drain(client.chat_completion_stream(REQUEST)) == (["Hel", "lo", ""], None)
    assert server.connections == 2
