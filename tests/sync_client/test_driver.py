"""A call that waits is ended from elsewhere: by `close()` in another thread, and by Ctrl-C."""

import signal
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

import pytest

from firsttoken import ChatCompletionStream, Timeout
from firsttoken.errors import APITimeoutError, ChatCompletionError, ConfigurationError
from tests.support.clients import REQUEST, MakeClient
from tests.support.hanging_calls import HANG_POINTS, hanging_call, wait_until_in_frame
from tests.support.server import WAIT_S, Peer, Server, chunk, respond_sequentially

SOON_S = 0.5


@contextmanager
def within(seconds: float) -> Generator[None]:
    started_s = time.monotonic()
    yield
    assert time.monotonic() - started_s < seconds


@pytest.mark.parametrize("place", HANG_POINTS)
@pytest.mark.parametrize("style", ["next", "with"])
def test_close_from_another_thread_frees_the_reader(make_client: MakeClient, place: str, style: str) -> None:
    if style == "with" and place.endswith("chunk"):
        style = "next"  # entering does not wait for a chunk
    with hanging_call(place) as stalled:
        client = make_client(stalled.base_url, **stalled.settings)
        stream = client.chat_completion_stream(stalled.request)
        texts: list[str] = []
        failures: list[BaseException] = []

        def read() -> None:
            try:
                if style == "with":
                    stream.__enter__()
                for part in stream:
                    texts.append(part.text)
            except BaseException as failure:
                failures.append(failure)

        reader = threading.Thread(target=read)
        reader.start()
        wait_until_in_frame(reader, stalled.frame_name)
        if place.endswith("chunk"):
            while not texts:
                wait_until_in_frame(reader, stalled.frame_name)
        with within(SOON_S):
            stream.close()
            reader.join(WAIT_S)
        assert not reader.is_alive()
        assert failures == []
        assert texts == (["Hel"] if place.endswith("chunk") else [])
        assert stream.state == "stopped"
        assert stream.completion.text == "".join(texts)
        assert next(stream, None) is None
        status = None if stream.response is None else stream.response.status
        assert status == {"backoff": 503, "chunk": 200, "tls chunk": 200}.get(place)
        assert stalled.server is None or stalled.server.was_left()


@contextmanager
def interrupted_in(seconds: float) -> Generator[None]:
    """Ctrl-C, pressed after so many seconds; for the reason that SIGINT itself would end pytest, by another signal."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("place", HANG_POINTS)
def test_ctrl_c_ends_a_stalled_stream_at_once(make_client: MakeClient, place: str) -> None:
    with hanging_call(place) as stalled:
        stream = make_client(stalled.base_url, **stalled.settings).chat_completion_stream(stalled.request)
        texts: list[str] = []
        with within(0.3 + SOON_S), interrupted_in(0.3), pytest.raises(KeyboardInterrupt):
            texts.extend(part.text for part in stream)
        assert texts == (["Hel"] if place.endswith("chunk") else [])
        assert stream.state == "stopped"
        assert stream.completion.text == "".join(texts)
        assert next(stream, None) is None
        assert stalled.server is None or stalled.server.was_left()


@pytest.mark.parametrize("place", [place for place in HANG_POINTS if not place.endswith("chunk")])
def test_ctrl_c_ends_a_stalled_blocking_call_at_once(make_client: MakeClient, place: str) -> None:
    with hanging_call(place) as stalled:
        client = make_client(stalled.base_url, **stalled.settings)
        with within(0.3 + SOON_S), interrupted_in(0.3), pytest.raises(KeyboardInterrupt):
            client.chat_completion(stalled.request)
        assert stalled.server is None or stalled.server.was_left()


def test_ctrl_c_while_entering(make_client: MakeClient) -> None:
    with hanging_call("head") as stalled:
        stream = make_client(stalled.base_url).chat_completion_stream(REQUEST)
        with interrupted_in(0.2), pytest.raises(KeyboardInterrupt):
            stream.__enter__()
        assert stream.state == "stopped"
        assert stalled.server is not None
        assert stalled.server.was_left()


def test_ctrl_c_while_the_end_of_the_body_is_awaited(make_client: MakeClient) -> None:
    """Behind `[DONE]`: the answer is complete, and the interrupt is not swallowed."""

    def serve(peer: Peer) -> None:
        peer.read_request()
        peer.begin_stream()
        peer.send_event(chunk("Hello", finish="stop"))
        assert ready.wait(WAIT_S)
        peer.send_event("[DONE]")
        signal.setitimer(signal.ITIMER_REAL, 0.03)
        peer.wait_for_disconnect()

    ready = threading.Event()
    with Server(serve) as server, interrupted_in(WAIT_S):
        stream = make_client(server).chat_completion_stream(REQUEST)
        assert next(stream).text == "Hello"
        ready.set()
        with pytest.raises(KeyboardInterrupt):
            next(stream)
        assert server.was_left()
    assert stream.state == "complete"


def test_close_while_the_end_of_the_body_is_awaited(make_client: MakeClient) -> None:
    def serve(peer: Peer) -> None:
        peer.read_request()
        peer.begin_stream()
        peer.send_event(chunk("Hello", finish="stop"))
        peer.send_event("[DONE]")
        peer.wait_for_disconnect()

    with Server(serve) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        reader = threading.Thread(target=lambda: list(stream))
        reader.start()
        wait_until_in_frame(reader, "recv")
        stream.close()
        reader.join(WAIT_S)
        assert server.was_left()
    assert stream.state == "complete"
    assert stream.completion.text == "Hello"


def test_chunks_that_are_ready_are_dropped_by_close(make_client: MakeClient) -> None:
    with Server(respond_sequentially(lambda peer: peer.stream("a", "b", "c"))) as server:
        with make_client(server).chat_completion_stream(REQUEST) as stream:
            assert next(stream).text == "a"
            stream.close()
            assert list(stream) == []
        assert server.was_left()
    assert stream.state == "stopped"
    assert stream.completion.text == "a"
    assert stream.timing.chunks == 1


def close_after(stream: ChatCompletionStream, barrier: threading.Barrier, turns: int) -> None:
    barrier.wait(WAIT_S)
    for _ in range(turns):
        pass
    stream.close()


def test_close_and_next_at_the_same_moment(make_client: MakeClient) -> None:
    """Whatever the order: the loop ends, no failure, and what is yielded is what is accumulated."""
    texts = [str(number) for number in range(30)]

    def answer(peer: Peer) -> None:
        peer.stream(*texts)

    with Server(respond_sequentially(*[answer] * 60)) as server:
        client = make_client(server, timeout=Timeout(total_s=WAIT_S))
        for round_ in range(60):
            stream = client.chat_completion_stream(REQUEST)
            barrier = threading.Barrier(2)

            closer = threading.Thread(target=close_after, args=(stream, barrier, round_ * 40))
            closer.start()
            barrier.wait(WAIT_S)
            seen = "".join(part.text for part in stream)
            closer.join(WAIT_S)
            assert stream.state in ("stopped", "complete")
            assert (stream.completion.text or "") == seen
            assert stream.state == "stopped" or seen == "".join(texts)


def test_a_call_of_another_process_is_let_go(make_client: MakeClient) -> None:
    """As in a forked child, where all looks as here, save for the process's number."""
    with Server(respond_sequentially(lambda peer: peer.stream("a", "b"))) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        assert next(stream).text == "a"
        call = stream._call
        assert call is not None
        connection = call._connection
        assert connection is not None
        call._process = connection._process = call._process + 1
        with connection._socket.dup() as kept:  # pyright: ignore[reportOptionalMemberAccess]
            call.close()
            call._connection = None
            call.close()
            assert not call.is_closed
            assert not server.left.acquire(timeout=0.1)
            kept.shutdown(socket.SHUT_RDWR)
        assert server.was_left()


def test_closed_before_the_call_was_there(make_client: MakeClient) -> None:
    """What `close` in another thread makes of a stream that is just about to begin."""
    stream = make_client("http://127.0.0.1:1/v1").chat_completion_stream(REQUEST)
    stream.close()
    call = stream._begin()
    assert call.is_closed
    call.wait(until_open=True)
    assert stream.state == "stopped"
    assert list(stream) == []


def test_what_the_caller_was_handling_keeps_its_traceback(make_client: MakeClient) -> None:
    own = LookupError("the caller's own")
    with (
        Server(respond_sequentially(lambda peer: peer.answer_json(400, {}))) as server,
        pytest.raises(ChatCompletionError) as caught,
    ):
        try:
            raise own
        except LookupError:
            make_client(server).chat_completion(REQUEST)
    assert own.__traceback__ is not None
    assert caught.value.__context__ is own


def test_signals_do_not_put_a_deadline_off(make_client: MakeClient) -> None:
    """A profiler's timer, say, interrupts the wait over and over: it is taken up with what is left."""
    ticks: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: ticks.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        with hanging_call("chunk") as stalled:
            client = make_client(stalled.base_url, timeout=Timeout(idle_s=0.3), **stalled.settings)
            with pytest.raises(APITimeoutError, match=r"after 0\.3 s") as caught:
                client.chat_completion_stream(stalled.request).final_completion()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert caught.value.phase == "idle"
    assert len(ticks) >= 10


@pytest.mark.parametrize("place", ["head", "chunk"])
def test_two_threads_cannot_wait_for_one_stream(make_client: MakeClient, place: str) -> None:
    with hanging_call(place) as stalled:
        stream = make_client(stalled.base_url, **stalled.settings).chat_completion_stream(stalled.request)
        texts: list[str] = []
        reader = threading.Thread(target=lambda: texts.extend(stream.iter_text()))
        reader.start()
        wait_until_in_frame(reader, stalled.frame_name)
        while place == "chunk" and not texts:
            wait_until_in_frame(reader, stalled.frame_name)
        with pytest.raises(ConfigurationError, match="the stream is already being read by another thread or task"):
            next(stream)
        assert stream.state == "open"
        stream.close()
        reader.join(WAIT_S)
        assert not reader.is_alive()
    assert texts == (["Hel"] if place == "chunk" else [])
