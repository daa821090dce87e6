"""The port: soon open, shut when told, and nobody else's."""

import socket
import statistics
import time

import pytest

from firsttoken.testing import ScriptedServer, refuse
from tests.support.raw_client import RawClient, asked, our_threads, post, texts_in


def test_a_server_starts_within_milliseconds() -> None:
    with ScriptedServer("warm"):
        pass
    taken_s: list[float] = []
    for _ in range(20):
        began_s = time.perf_counter()
        with ScriptedServer("Hello") as server, socket.create_connection(("127.0.0.1", server.port)):
            taken_s.append(time.perf_counter() - began_s)
    assert statistics.median(taken_s) < 0.005


def test_a_port_that_is_taken_is_said_so() -> None:
    with ScriptedServer() as server, pytest.raises(OSError, match="in use"):
        ScriptedServer(port=server.port)


def test_a_port_can_be_chosen() -> None:
    with ScriptedServer() as server:
        port = server.port
    with ScriptedServer("Hello", port=port) as server:
        assert server.port == port
        assert texts_in(asked(server)) == ["Hello"]


def test_a_server_that_refuses_takes_no_connection() -> None:
    with ScriptedServer(refuse()) as server, pytest.raises(ConnectionRefusedError):
        RawClient(server)


def test_a_server_can_begin_to_refuse_and_end_it() -> None:
    with ScriptedServer("one") as server:
        with RawClient(server) as client:
            client.send(post())
            assert texts_in(client.read_to(b"0\r\n\r\n")) == ["one"]
            server.set_scripts(refuse())
            with pytest.raises(ConnectionRefusedError):
                RawClient(server)
            client.send(post())
            assert client.read_all() == b""
        server.set_scripts("two")
        assert texts_in(asked(server)) == ["two"]
        server.set_scripts("three")
        assert texts_in(asked(server)) == ["three"]
    assert our_threads() == []


def test_without_descriptors_clients_are_refused_and_the_test_is_told() -> None:
    resource = pytest.importorskip("resource", reason="there are no limits")
    server = ScriptedServer().start()
    with RawClient(server) as client:
        assert server.journal.wait_until(lambda journal: journal.connections_opened == 1)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        waiting, taken = socket.socket(), list[socket.socket]()
        resource.setrlimit(resource.RLIMIT_NOFILE, (waiting.fileno() + 1, limits[1]))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                while True:
                    taken.append(socket.socket())
            waiting.connect(("127.0.0.1", server.port))
            for thread in our_threads():
                if thread.name == "scripted server":
                    thread.join(10)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for sock in (waiting, *taken):
                sock.close()
        client.send(post())
        client.read_to(b"0\r\n\r\n")
        with pytest.raises(ConnectionRefusedError):
            RawClient(server)
    with pytest.raises(OSError, match="Too many open files"):
        server.close()


def test_what_it_answers_may_change_before_it_starts() -> None:
    server = ScriptedServer(refuse())
    server.set_scripts("Hello")
    with server:
        assert texts_in(asked(server)) == ["Hello"]
