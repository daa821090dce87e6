"""Connections and scripts: how they end, what is left of them, and who is told when one fails."""

import os
import socket
import threading
import time

import pytest

from firsttoken.testing import (
    Gate,
    Request,
    ScriptedServer,
    body_bytes,
    close,
    on_connect,
    repeat,
    stall,
)
from tests.support.raw_client import RawClient, asked, our_threads, post, texts_in


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize(
    "step",
    [Gate(), stall(), repeat(body_bytes(b"x" * 65536)), repeat("x", gap_s=60)],
    ids=["gate", "stall", "send", "gap"],
)
def test_closing_does_not_wait_for_scripts(step: object, *, tls: bool) -> None:
    server = ScriptedServer(["Hel", step], tls=tls).start()  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    with RawClient(server) as client, RawClient(server) as idle, RawClient(server) as half:
        half.send(post()[:40])
        sock = server.client_context().wrap_socket(client.socket, server_hostname="localhost") if tls else client.socket
        client.socket = sock
        client.send(post())
        client.read_to(b'"content":"Hel"')
        client.send(post())  # which nobody reads where the server waits to send
        assert server.journal.wait_until(lambda journal: journal.connections_opened == 3)
        began_s = time.perf_counter()
        server.close()
        assert time.perf_counter() - began_s < 0.5
        assert our_threads() == []
        assert server.journal.entries[0].end_reason == "server closed"
        idle.close()


def test_nothing_is_left_behind() -> None:
    sockets = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112, PTH208
    port = 0
    for _ in range(3):
        with ScriptedServer("one", ["two", close()]) as server:
            assert [texts_in(asked(server)) for _ in range(2)] == [["one"], ["two"]]
            port = server.port
    assert our_threads() == []
    if sockets:
        assert len(os.listdir("/proc/self/fd")) == sockets  # noqa: PTH208
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_closing_twice_is_closing_once_and_a_closed_server_stays_closed() -> None:
    server = ScriptedServer().start()
    assert server.start() is server
    server.close()
    server.close()
    with pytest.raises(RuntimeError, match="the server was closed, and its port is given up; hint: make a new one"):
        server.start()


def test_a_closed_server_takes_no_other_answers() -> None:
    server = ScriptedServer().start()
    server.close()
    with pytest.raises(RuntimeError, match="the server was closed, and its port is given up; hint: make a new one"):
        server.set_scripts("Hello")


def test_a_script_can_not_close_its_own_server() -> None:
    def answer(_: Request) -> str:
        server.close()
        return "Hello"

    server = ScriptedServer(answer, "Hello").start()
    assert b"a script can't close its own server; hint: close it where it was started" in asked(server)
    assert texts_in(asked(server)) == ["Hello"]
    with pytest.raises(RuntimeError, match="a script can't close its own server"):
        server.close()
    assert our_threads() == []


def test_a_server_that_was_never_started_is_closed_too() -> None:
    server = ScriptedServer()
    assert server.base_url == f"http://127.0.0.1:{server.port}/v1"
    assert repr(server) == f"ScriptedServer(base_url='{server.base_url}', requests=0)"
    server.close()


def fail(_: Request) -> str:
    raise ZeroDivisionError("of the script")


def test_what_a_function_raises_is_answered_and_raised_at_the_end() -> None:
    server = ScriptedServer(fail).start()
    response = asked(server)
    assert response.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"x-should-retry: false" in response
    assert b"the script failed: ZeroDivisionError('of the script')" in response
    asked(server)
    with pytest.raises(ZeroDivisionError, match="of the script") as caught:
        server.close()
    assert caught.value.__notes__ == ["1 more failed, the last with ZeroDivisionError('of the script')"]
    server.close()  # once is enough


def test_a_test_that_failed_is_told_of_the_script_too() -> None:
    with pytest.raises(AssertionError, match="of the test") as caught, ScriptedServer(fail) as server:
        asked(server)
        raise AssertionError("of the test")
    assert caught.value.__notes__ == ["the scripted server's script had failed: ZeroDivisionError('of the script')"]


class Broken:
    def play(self, answer: object) -> None:
        raise LookupError("of the step")


def test_a_step_that_fails_in_the_stream_closes_it() -> None:
    server = ScriptedServer(["Hel", Broken()]).start()
    assert texts_in(asked(server)) == ["Hel"]
    with pytest.raises(LookupError, match="of the step"):
        server.close()
    assert server.journal.entries[0].end_reason == "server closed"


class Impatient(ScriptedServer):
    _join_s = 0.05


def test_a_function_that_never_returns_is_left_behind_and_told_of() -> None:
    is_over = threading.Event()

    def answer(_: Request) -> str:
        is_over.wait(10)
        return "late"

    server = Impatient(answer).start()
    with RawClient(server) as client:
        client.send(post())
        assert server.journal.wait_until_requests()
        with pytest.raises(RuntimeError, match="a script's function has not returned: its thread is left behind"):
            server.close()
    is_over.set()
    for thread in our_threads():
        thread.join(10)


def test_another_kind_of_loop_can_leave_it_too() -> None:
    server = ScriptedServer().start()
    leaving = server.__aexit__(None, None, None)
    with pytest.raises(StopIteration):  # without having waited for anything of asyncio's
        leaving.send(None)
    assert our_threads() == []


def test_a_script_that_fails_before_there_is_a_request_closes_too() -> None:
    server = ScriptedServer(on_connect(Broken())).start()
    with RawClient(server) as client:
        assert client.read_all() == b""
    with pytest.raises(LookupError, match="of the step"):
        server.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_leaves_the_server_to_the_parent() -> None:
    with ScriptedServer("Hello") as server:
        with RawClient(server) as client:
            client.send(post())
            client.read_to(b"0\r\n\r\n")
            child = os.fork()
            if child == 0:
                server.close()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            client.send(post(connection="close"))
            assert texts_in(client.read_all()) == ["Hello"]
        assert texts_in(asked(server)) == ["Hello"]
