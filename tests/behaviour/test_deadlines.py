"""Each deadline over real sockets: only progress counts, and the caller's own slowness does not."""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from firsttoken import Timeout
from firsttoken.errors import APITimeoutError, ChatCompletionError, InternalServerError
from firsttoken.testing import Pace, ScriptedServer, StepLike, body_bytes, delta, done, finish, head, repeat
from tests.support.clients import REQUEST, MakeClient, drain, failure_of
from tests.support.hanging_calls import full_backlog
from tests.support.server import Peer, Server, chunk, completion, event, respond_sequentially

SHORT_S = 0.2
LONGEST_S = 1.0
"""What a deadline of `SHORT_S` may take on a busy machine."""


@contextmanager
def assert_duration(expected_s: float) -> Generator[None]:
    started_s = time.monotonic()
    yield
    took_s = time.monotonic() - started_s
    assert expected_s * 0.95 <= took_s < expected_s + LONGEST_S


def silence(peer: Peer) -> None:
    peer.wait_for_disconnect()


def for_ever(part: bytes, *, behind: str = "") -> list[StepLike]:
    """A stream that consists of this, behind some text."""
    return [head(), *([behind] if behind else []), repeat(body_bytes(part), gap_s=0.01)]


def data(delta: dict[str, object] | None = None) -> bytes:
    return event(chunk() | {"choices": [] if delta is None else [{"index": 0, "delta": delta}]})


def test_connect_to_a_server_that_takes_no_connection(make_client: MakeClient) -> None:
    with full_backlog() as port:
        client = make_client(f"http://127.0.0.1:{port}/v1", timeout=Timeout(connect_s=SHORT_S))
        with assert_duration(SHORT_S), pytest.raises(APITimeoutError) as caught:
            client.chat_completion(REQUEST)
    assert str(caught.value) == f"timed out after 0.2 s (connect_s) connecting to 127.0.0.1:{port}"
    assert caught.value.phase == "connect"
    assert caught.value.retryable
    assert isinstance(caught.value, TimeoutError)


def test_connect_to_a_server_that_shakes_no_hands(make_client: MakeClient) -> None:
    with Server(silence) as server:
        client = make_client(f"https://127.0.0.1:{server.port}/v1", timeout=Timeout(connect_s=SHORT_S))
        with assert_duration(SHORT_S):
            failure = failure_of(client.chat_completion_stream(REQUEST))
        assert server.was_left()
    assert isinstance(failure, APITimeoutError)
    assert str(failure) == f"timed out after 0.2 s (connect_s) connecting to 127.0.0.1:{server.port}"


def test_connect_timeouts_are_retried(make_client: MakeClient) -> None:
    with Server(silence) as server:
        client = make_client(f"https://127.0.0.1:{server.port}/v1", timeout=Timeout(connect_s=0.1), max_retries=1)
        with pytest.raises(APITimeoutError):
            client.chat_completion(REQUEST)
        assert server.was_left(2)
    assert server.connections == 2


NO_PROGRESS = {
    "comments": b": keep-alive\n\n",
    "blank data": b"data: \n\n",
    "the role": data({"role": "assistant", "content": ""}),
    "empty deltas": data({}),
    "no choices": data(),
    "a comment that never ends": b":",
}


@pytest.mark.parametrize("name", NO_PROGRESS)
def test_first_chunk_is_not_put_off_by_anything_but_progress(make_client: MakeClient, name: str) -> None:
    with ScriptedServer(for_ever(NO_PROGRESS[name])) as server:
        client = make_client(server, timeout=Timeout(first_chunk_s=SHORT_S, idle_s=30), max_retries=2)
        stream = client.chat_completion_stream(REQUEST)
        with assert_duration(SHORT_S):
            texts, failure = drain(stream)
        assert server.journal.wait_for_disconnect()
    assert isinstance(failure, APITimeoutError)
    assert failure.phase == "first_chunk"
    assert str(failure) == (
        f"timed out after 0.2 s (first_chunk_s) waiting for the first token from 127.0.0.1:{server.port}"
    )
    assert "".join(texts) == ""
    assert failure.chunks_received == len(texts)
    assert (failure.partial is None) == (not texts)
    assert server.journal.connections_opened == 1  # no timeout but that of connecting is retried
    assert stream.state == "failed"


@pytest.mark.parametrize("headed", [False, True])
def test_first_chunk_from_a_silent_server(make_client: MakeClient, headed: bool) -> None:
    def serve(peer: Peer) -> None:
        peer.read_request()
        if headed:
            peer.begin_stream()
        peer.wait_for_disconnect()

    with Server(serve) as server:
        client = make_client(server, timeout=Timeout(first_chunk_s=SHORT_S, idle_s=30), max_retries=2)
        stream = client.chat_completion_stream(REQUEST)
        with assert_duration(SHORT_S):
            failure = failure_of(stream)
        assert server.was_left()
    assert isinstance(failure, APITimeoutError)
    assert failure.phase == "first_chunk"
    assert failure.partial is None
    assert (stream.response is not None) == headed
    assert server.connections == 1


@pytest.mark.parametrize("name", NO_PROGRESS)
def test_idle_is_not_put_off_by_anything_but_progress(make_client: MakeClient, name: str) -> None:
    with ScriptedServer(for_ever(NO_PROGRESS[name], behind="Hello")) as server:
        client = make_client(server, timeout=Timeout(first_chunk_s=30, idle_s=SHORT_S))
        stream = client.chat_completion_stream(REQUEST)
        with assert_duration(SHORT_S):
            texts, failure = drain(stream)
        assert server.journal.wait_for_disconnect()
    assert isinstance(failure, APITimeoutError)
    assert failure.phase == "idle"
    assert not failure.retryable
    assert str(failure) == f"timed out after 0.2 s (idle_s) waiting for the next token from 127.0.0.1:{server.port}"
    assert "".join(texts) == "Hello"
    assert failure.partial is not None
    assert failure.partial.text == "Hello"


PROGRESS: dict[str, dict[str, object]] = {
    "content": {"content": "x"},
    "reasoning": {"reasoning_content": "x"},
    "refusal": {"refusal": "x"},
    "a tool call": {"tool_calls": [{"index": 0, "function": {"arguments": "x"}}]},
}


@pytest.mark.parametrize("name", PROGRESS)
def test_progress_puts_idle_off(make_client: MakeClient, name: str) -> None:
    """Six signs of life in 0.6 s, each within the 0.4 s that they may take."""
    progress = [delta(PROGRESS[name])] * 6
    with ScriptedServer([*progress, finish(), done()], pace=Pace(gap_s=0.1)) as server:
        client = make_client(server, timeout=Timeout(first_chunk_s=0.4, idle_s=0.4))
        texts, failure = drain(client.chat_completion_stream(REQUEST))
    assert failure is None
    assert len(texts) == 7


def test_total_is_total(make_client: MakeClient) -> None:
    with ScriptedServer(for_ever(data({"content": "x"}))) as server:
        client = make_client(server, timeout=Timeout(total_s=SHORT_S))
        with assert_duration(SHORT_S):
            texts, failure = drain(client.chat_completion_stream(REQUEST))
        assert server.journal.wait_for_disconnect()
    assert isinstance(failure, APITimeoutError)
    assert failure.phase == "total"
    assert str(failure) == f"the response from 127.0.0.1:{server.port} was not complete after 0.2 s (total_s)"
    assert failure.partial is not None
    assert failure.partial.text == "".join(texts)
    assert len(texts) > 1


def test_total_includes_retries_and_takes_no_wait_beyond_it(make_client: MakeClient) -> None:
    def busy(peer: Peer) -> None:
        peer.answer_json(503, {"error": "busy"}, {"retry-after-ms": "1000"})

    with Server(respond_sequentially(*[busy] * 9)) as server:
        client = make_client(server, timeout=Timeout(total_s=1.5), max_retries=9)
        started_s = time.monotonic()
        with pytest.raises(InternalServerError, match="the server answered 503 Service Unavailable: busy") as caught:
            client.chat_completion(REQUEST)
        assert time.monotonic() - started_s < 1.5
    assert caught.value.retry_after_s == 1
    assert len(server.requests) == 2


def test_total_over_connecting(make_client: MakeClient) -> None:
    with full_backlog() as port:
        client = make_client(f"http://127.0.0.1:{port}/v1", timeout=Timeout(total_s=SHORT_S), max_retries=5)
        with assert_duration(SHORT_S), pytest.raises(APITimeoutError) as caught:
            client.chat_completion(REQUEST)
    assert caught.value.phase == "total"


def test_response_bounds_the_blocking_call(make_client: MakeClient) -> None:
    lengthy = {"content-type": "application/json", "content-length": "100000"}
    with ScriptedServer([head(headers=lengthy, framing="close"), repeat(body_bytes(b" "), gap_s=0.01)]) as server:
        client = make_client(server)
        with assert_duration(SHORT_S), pytest.raises(APITimeoutError) as caught:
            client.chat_completion(REQUEST, timeout=Timeout(response_s=SHORT_S, first_chunk_s=SHORT_S / 10))
        assert server.journal.wait_for_disconnect()
    assert caught.value.phase == "response"
    assert str(caught.value).endswith(f" was not complete after {SHORT_S:g} s (response_s)")


def test_first_chunk_bounds_a_request_that_is_not_taken(make_client: MakeClient) -> None:
    """A large body, and a server that reads none of it."""
    stop = threading.Event()

    def serve(_peer: Peer) -> None:
        stop.wait(10)

    request = type(REQUEST)(model="m", messages="x" * 50_000_000)
    with Server(serve) as server:
        client = make_client(server, timeout=Timeout(first_chunk_s=SHORT_S))
        failure = failure_of(client.chat_completion_stream(request))
        stop.set()
    assert isinstance(failure, APITimeoutError)
    assert failure.phase == "first_chunk"


def test_the_callers_own_slowness_does_not_count(make_client: MakeClient) -> None:
    go_on = threading.Event()

    def serve(peer: Peer) -> None:
        peer.read_request()
        peer.begin_stream()
        for text in "abc":
            peer.send_event(chunk(text))
            assert go_on.wait(10)
            go_on.clear()
        peer.send_event(chunk(finish="stop"))
        peer.end_stream()

    away = threading.Event()
    with Server(serve) as server:
        client = make_client(server, timeout=Timeout(first_chunk_s=0.3, idle_s=0.3))
        with client.chat_completion_stream(REQUEST) as stream:
            texts: list[str] = []
            for chunk_ in stream:
                texts.append(chunk_.text)
                away.wait(0.4)  # the caller thinks, for longer than a server may
                go_on.set()
            assert stream.state == "complete"
    assert "".join(texts) == "abc"


def test_away_between_the_head_and_the_first_chunk(make_client: MakeClient) -> None:
    go_on = threading.Event()

    def serve(peer: Peer) -> None:
        peer.read_request()
        peer.begin_stream()
        assert go_on.wait(10)
        peer.send_event(chunk("Hello", finish="stop"))
        peer.end_stream()

    with Server(serve) as server:
        client = make_client(server, timeout=Timeout(first_chunk_s=0.3))
        with client.chat_completion_stream(REQUEST) as stream:
            threading.Event().wait(0.4)
            go_on.set()
            assert drain(stream) == (["Hello"], None)


def test_timeout_of_a_call_replaces_the_clients(make_client: MakeClient) -> None:
    with Server(silence) as server:
        client = make_client(server, timeout=Timeout(first_chunk_s=60))
        with assert_duration(SHORT_S), pytest.raises(ChatCompletionError):
            client.chat_completion_stream(REQUEST, print, timeout=Timeout(first_chunk_s=SHORT_S))


@pytest.mark.parametrize("endless_s", [None, float("inf"), 1e300])
def test_deadlines_beyond_what_a_clock_holds(make_client: MakeClient, endless_s: float | None) -> None:
    timeout = Timeout(connect_s=endless_s, first_chunk_s=endless_s, idle_s=endless_s, total_s=endless_s)
    with Server(respond_sequentially(lambda peer: peer.answer_json(200, completion()))) as server:
        assert make_client(server, timeout=timeout).chat_completion(REQUEST).text == "Hello"
