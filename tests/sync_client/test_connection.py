"""A connection: its waits, how it is aborted, and how it ends."""

import select
import socket
import struct
import threading
from collections.abc import Generator

import pytest

from firsttoken._client.sockets import AbortedError, Address, DeadlineError, clock
from firsttoken._protocol.url import Origin
from firsttoken._sync.connection import Connection
from tests.support.hanging_calls import full_backlog
from tests.support.server import WAIT_S

NEVER = float("inf")


@pytest.fixture
def pair() -> Generator[tuple[Connection, socket.socket]]:
    """A connection, and the other end of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = Connection()
        connection.open(Origin("http", "127.0.0.1", listener.getsockname()[1]), None, clock() + WAIT_S)
        other, _ = listener.accept()
    other.settimeout(WAIT_S)
    with other:
        yield connection, other
    connection.close()


Pair = tuple[Connection, socket.socket]


def test_its_options(pair: Pair) -> None:
    sock = pair[0]._socket
    assert sock is not None
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60


def test_abort_of_a_broken_connection_wins_over_the_break(pair: Pair) -> None:
    connection, other = pair
    reader = threading.Thread(target=lambda: failures.append(failure_of_recv(connection)))
    failures: list[BaseException] = []
    reader.start()
    connection._aborted = True
    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    other.close()
    reader.join(WAIT_S)
    assert isinstance(failures[0], AbortedError)


def failure_of_recv(connection: Connection) -> BaseException:
    try:
        connection.recv(clock() + WAIT_S)
    except BaseException as failure:
        return failure
    return AssertionError("nothing was raised")


def test_is_alive_without_poll(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "poll")
    connection, other = pair
    assert connection.is_alive()
    other.close()
    assert not connection.is_alive()


def test_an_address_that_is_refused_at_once() -> None:
    with pytest.raises(OSError, match=r"Permission denied|unreachable"):
        Connection().open(Origin("http", "255.255.255.255", 80), None, clock() + WAIT_S)


def test_a_system_without_keep_alive_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_KEEPIDLE")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = Connection()
        connection.open(Origin("http", "127.0.0.1", listener.getsockname()[1]), None, clock() + WAIT_S)
        assert connection.is_alive()
        connection.close()


def test_connecting_without_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "poll")
    with full_backlog() as port, pytest.raises(DeadlineError):
        Connection().open(Origin("http", "127.0.0.1", port), None, clock() + 0.15)


def test_a_dead_address_does_not_use_up_the_time_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with full_backlog() as dead, socket.create_server(("127.0.0.1", 0)) as listener:
        addresses: list[Address] = [(socket.AF_INET, ("127.0.0.1", port)) for port in (dead, listener.getsockname()[1])]
        connection = Connection()
        connection._connect(addresses, clock() + 0.6)
        assert connection.is_alive()
        connection.close()


def test_what_is_not_its_own_is_not_touched(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a forked child, where all looks as here, save for the process's number."""
    connection, other = pair
    sock = connection._socket
    assert sock is not None
    with sock.dup() as inherited:
        connection._process += 1
        assert not connection.is_alive()
        connection.abort()
        connection.close()
        other.sendall(b"still here")
        assert inherited.recv(100) == b"still here"
        inherited.sendall(b"and there")
        assert other.recv(100) == b"and there"
