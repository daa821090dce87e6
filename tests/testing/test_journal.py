"""The journal: what was asked, how it ended, what is a retry and what is not, and that no key shows."""

import json
import sys
import threading

import pytest

from firsttoken import Client, Timeout, chat_completion_request
from firsttoken.errors import APIConnectionError, APITimeoutError, InternalServerError
from firsttoken.testing import (
    Gate,
    ScriptedServer,
    Step,
    StepLike,
    close,
    done,
    error,
    event,
    finish,
    head,
    on_connect,
    repeat,
    reset,
    respond,
    stall,
    text,
)
from tests.support.raw_client import RawClient, asked, post

REQUEST = chat_completion_request("m", "hi")


def make_client(server: ScriptedServer, max_retries: int = 0) -> Client:
    return Client(server.api_key, server.base_url, max_retries=max_retries)


def test_a_request_is_kept_as_it_came() -> None:
    with ScriptedServer() as server:
        make_client(server).chat_completion(REQUEST, headers={"X-Test": "one, two"})
        (request,) = server.journal.requests
    assert (request.method, request.target, request.http_version) == ("POST", "/v1/chat/completions", "1.1")
    assert (request.connection, request.keeps_alive, request.is_streamed) == (1, True, False)
    assert request.headers["X-TEST"] == request.headers["x-test"] == "one, two"
    assert request.headers["Authorization"] == f"Bearer {server.api_key}"
    assert request.json["model"] == "m"
    assert json.loads(request.body) == request.json
    assert request.messages == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b'{"messages": 1}'])
def test_a_body_of_any_kind_is_kept(body: bytes) -> None:
    with ScriptedServer() as server, RawClient(server) as client:
        client.send(b"POST / HTTP/1.1\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        assert b'"model": "scripted"' in client.read_all()
        (request,) = server.journal.requests
    assert (request.body, request.is_streamed, request.messages) == (body, False, [])
    if body == b"[1]":
        with pytest.raises(ValueError, match=r"expected a JSON object as the request's body: '\[1\]'"):
            _ = request.json


def test_a_repr_is_short_and_shows_no_key() -> None:
    with ScriptedServer(["Hel", close()]) as server:
        asked(
            server, path="/v1/x?key=sk-in-the-query", authorization="Bearer sk-secret", api_key="sk-2", x_test="shown"
        )
        journal = server.journal
        body = post().partition(b"\r\n\r\n")[2].decode()
        assert repr(journal) == (
            "Journal(connections_opened=1, entries=[LoggedRequest(Request(POST /v1/x, connection=1, "
            f"body='{body}'), status=200, end_reason='server closed', sent_bytes=300, taken_bytes=300)])"
        )
        shown = repr(journal.requests[0].headers)
        assert "sk-" not in repr(journal) + shown
        assert "'authorization': '[redacted]'" in shown
        assert "'x-test': 'shown'" in shown


ENDINGS: list[tuple[list[StepLike], str]] = [
    (["Hel", finish(), done()], "complete"),
    (["Hel"], "complete"),
    ([head(framing="close"), "Hel"], "complete"),
    ([error(500)], "complete"),
    (["Hel", close()], "server closed"),
    (["Hel", reset()], "server reset"),
]


@pytest.mark.parametrize(("steps", "ending"), ENDINGS)
def test_how_the_server_ended_it(steps: list[StepLike], ending: str) -> None:
    with ScriptedServer(steps) as server, RawClient(server) as client:
        client.send(post(connection="close"))
        try:
            client.read_all()
        except ConnectionResetError:
            assert ending == "server reset"
        (entry,) = server.journal.entries  # the client has its end, so it is noted: nothing to wait for
        assert (entry.end_reason, entry.disconnected_at) == (ending, None)
        assert entry.ended_at is not None
        assert entry.ended_at >= entry.received_at >= 0


@pytest.mark.parametrize("step", [stall(), Gate(), repeat("x", gap_s=0.001)], ids=["stall", "gate", "send"])
def test_a_client_that_leaves_is_seen(step: Step) -> None:
    with ScriptedServer(["Hel", step]) as server:
        with RawClient(server) as client:
            client.send(post())
            client.read_to(b'"content":"Hel"')
            client.reset()
        assert server.journal.wait_for_disconnect()
        (entry,) = server.journal.entries
        assert entry.end_reason in ("client reset", "client closed")  # after a FIN of its own a send sees EPIPE
        assert entry.disconnected_at is not None
        assert entry.ended_at is not None
        assert entry.disconnected_at >= entry.ended_at >= entry.received_at


def test_a_fin_is_no_reset() -> None:
    with ScriptedServer([head(), stall()]) as server:
        for leave in (RawClient.reset, RawClient.close):
            with RawClient(server) as client:
                client.send(post())
                client.read_to(b"\r\n\r\n")
                leave(client)
            assert server.journal.wait_until_ended(len(server.journal.entries))
        assert [entry.end_reason for entry in server.journal.entries] == ["client reset", "client closed"]


def test_a_client_that_left_just_before_the_server_was_closed_has_left() -> None:
    """Whether the thread of the connection has seen it yet or not."""
    for _ in range(20):
        with ScriptedServer([head(), Gate()]) as server, RawClient(server) as client:
            client.send(post())
            client.read_to(b"\r\n\r\n")
            client.close()
        (entry,) = server.journal.entries
        assert entry.end_reason == "client closed"
        assert server.journal.connections_closed_by_client == 1


def test_a_client_that_stays_until_the_server_is_closed_has_not_left() -> None:
    with ScriptedServer([head(), Gate()]) as server:
        client = RawClient(server)
        client.send(post())
        client.read_to(b"\r\n\r\n")
    client.close()
    assert server.journal.entries[0].end_reason == "server closed"
    assert server.journal.connections_closed_by_client == 0


def test_bytes_are_counted_while_they_are_sent() -> None:
    gate = Gate()
    with ScriptedServer([head(), "Hel", gate, "lo"]) as server, RawClient(server) as client:
        client.send(post())
        before = client.read_to(b'"finish_reason":null}]}\n\n\r\n')
        assert gate.wait_until_reached()
        (entry,) = server.journal.entries
        assert (entry.end_reason, entry.status, entry.sent_bytes) == (None, 200, len(before))
        gate.open()
        after = client.read_to(b"0\r\n\r\n")
        assert server.journal.wait_until_ended()
        assert entry.sent_bytes == len(before) + len(after)
        client.send(post(connection="close"))
        gate.open()
        again = client.read_all()
        assert [entry.sent_bytes for entry in server.journal.entries] == [len(before) + len(after), len(again)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
def test_what_the_client_did_not_take_is_told_from_what_it_did() -> None:
    with (
        ScriptedServer([head(), text("x" * 20_000_000)]) as server,
        RawClient(server, receive_buffer_bytes=4096) as client,
    ):
        client.send(post())
        read = len(client.read_to(b"x" * 10_000))
        client.reset()
        assert server.journal.wait_for_disconnect()
        (entry,) = server.journal.entries
        assert read <= entry.taken_bytes < entry.sent_bytes < 20_000_000


def test_retries_repeat_what_failed_and_their_spacing_is_theirs() -> None:
    soon = {"retry-after-ms": "30"}
    with ScriptedServer(error(503, headers=soon), error(429, headers=soon), "Hello") as server:
        client = make_client(server, max_retries=2)
        assert client.chat_completion(REQUEST).text == "Hello"
        assert client.chat_completion(REQUEST).text == "Hello"  # asked again, not tried again
        assert [entry.status for entry in server.journal.entries] == [503, 429, 200, 200]
        assert [entry.number for entry in server.journal.retries] == [2, 3]
        assert len(server.journal.retry_delays_s) == 2
        assert all(0.03 <= retry_delays_s < 5 for retry_delays_s in server.journal.retry_delays_s)


def test_another_request_is_no_retry() -> None:
    with ScriptedServer(error(503, headers={"x-should-retry": "false"})) as server:
        for words in ("one", "two"):
            with pytest.raises(InternalServerError):
                make_client(server).chat_completion(chat_completion_request("m", words))
        assert server.journal.retries == []


@pytest.mark.parametrize(
    "failure",
    [
        [close()],
        [reset()],
        [event({"error": {"message": "no", "code": 503}}), done()],
        [event("no", name="error"), done()],
        [respond(200, {"error": {"message": "no", "code": 503}})],
        [event("no error: {", name="error")],
    ],
    ids=["close", "reset", "error event", "event named error", "error in a 200", "error with invalid JSON"],
)
def test_what_failed_in_other_ways_is_repeated_too(failure: list[StepLike]) -> None:
    with ScriptedServer(failure, "Hello") as server:
        for _ in range(2):
            with RawClient(server) as client:
                client.send(post(connection="close"))
                try:
                    client.read_all()
                except ConnectionResetError:
                    pass
        assert [entry.number for entry in server.journal.retries] == [2]


def test_an_answer_about_errors_is_none() -> None:
    with ScriptedServer([text("the error is"), text("abort")], respond(200, "<p>error")) as server:
        for _ in range(3):
            asked(server)
        assert [entry.has_failed for entry in server.journal.entries] == [False] * 3
        assert server.journal.retries == []


def test_who_gave_up_waiting_and_asks_again_retries() -> None:
    with ScriptedServer([head(), stall()], "Hello") as server:
        with RawClient(server) as client:
            client.send(post())
            client.read_to(b"\r\n\r\n")
        with RawClient(server) as client:
            client.send(post())
            client.read_to(b"0\r\n\r\n")
        assert server.journal.wait_until_ended(2)
        assert [entry.number for entry in server.journal.retries] == [2]
        assert server.journal.retry_delays_s[0] >= 0


def test_requests_at_once_are_no_retries_of_each_other() -> None:
    gate = Gate()
    with ScriptedServer([gate, error(500)]) as server, RawClient(server) as one, RawClient(server) as two:
        for client in (one, two):
            client.send(post())
        assert server.journal.wait_until_requests(2)
        gate.open(2)
        for client in (one, two):
            client.read_to(b"}}")
        assert server.journal.retries == []
        server.set_scripts("Hello")
        for client in (one, two):
            client.send(post())
            client.read_to(b"0\r\n\r\n")
        assert [entry.number for entry in server.journal.retries] == [3, 4]


def test_connections_without_a_request_count() -> None:
    with ScriptedServer(on_connect(close())) as server:
        with pytest.raises(APIConnectionError):
            make_client(server).chat_completion(REQUEST)
        assert server.journal.connections_opened >= 1
        assert (server.journal.entries, server.journal.connections_reused) == ([], 0)
        assert server.journal.wait_until(lambda journal: journal.connections_open == 0)


def test_waiting_ends_when_it_is_so_or_when_the_time_is_over() -> None:
    with ScriptedServer([head(), stall()]) as server:
        assert not server.journal.wait_until_requests(timeout_s=0.01)
        assert not server.journal.wait_until_ended(timeout_s=0.01)
        assert not server.journal.wait_for_disconnect(timeout_s=0.01)
        with pytest.raises(APITimeoutError):
            make_client(server).chat_completion_stream(
                REQUEST, lambda _: None, timeout=Timeout(idle_s=0.05, first_chunk_s=0.05)
            )
        assert server.journal.wait_until_requests()
        assert server.journal.wait_for_disconnect()
        assert server.journal.wait_until_ended()


def test_it_can_be_read_while_it_is_written() -> None:
    seen: list[int] = []
    with ScriptedServer("Hello") as server:
        is_over = threading.Event()

        def read() -> None:
            while not is_over.is_set():
                seen.append(len(repr(server.journal)) + len(server.journal.retries))

        reader = threading.Thread(target=read)
        reader.start()
        for _ in range(50):
            asked(server)
        is_over.set()
        reader.join()
        assert len(server.journal.entries) == 50
    assert seen
