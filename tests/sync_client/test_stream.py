"""A stream has no reference cycles: what it holds is freed when it is dropped."""

import weakref
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from firsttoken import ChatCompletionStream, Timeout
from firsttoken.errors import APIConnectionError, APITimeoutError, ChatCompletionError
from tests.support.clients import REQUEST, MakeClient, drain
from tests.support.collector import without_gc
from tests.support.hanging_calls import HangingCall, hanging_call
from tests.support.server import Peer, Server, chunk, endless, event, hello, refuse, respond_sequentially

Answer = Callable[[Peer], None]


def cut(peer: Peer) -> None:
    peer.begin_stream()
    peer.send_event(chunk("Hel"))
    peer.socket.close()


def not_http(peer: Peer) -> None:
    peer.send(b"SSH-2.0-x\r\n")
    peer.wait_for_disconnect()


def without_traceback(peer: Peer) -> None:
    """A chunk, and in the same segment what is none."""
    peer.begin_stream()
    peer.send_part(event(chunk("Hel")) + event(chunk("lo")) + event("{nothing"))
    peer.wait_for_disconnect()


def done_without_end(peer: Peer) -> None:
    peer.begin_stream()
    peer.send_part(event(chunk("Hello")) + event("[DONE]"))
    peer.wait_for_disconnect()


def _stopped(stream: ChatCompletionStream) -> None:
    next(stream)
    stream.close()


def _read(stream: ChatCompletionStream) -> None:
    try:
        stream.final_completion()
    except ChatCompletionError:
        pass


def _dropped(stream: ChatCompletionStream) -> None:
    next(stream)


ENDS: dict[str, tuple[Answer, Callable[[ChatCompletionStream], None]]] = {
    "complete": (hello, _read),
    "complete, the body goes on": (done_without_end, _read),
    "stopped": (endless, _stopped),
    "dropped": (endless, _dropped),
    "dropped with a failure parked": (without_traceback, _dropped),
    "cut": (cut, _read),
    "refused": (refuse, _read),
    "not HTTP": (not_http, _read),
    "not a chunk": (without_traceback, _read),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_stream_is_freed_when_it_is_dropped(make_client: MakeClient, name: str) -> None:
    answer, end = ENDS[name]
    with Server(respond_sequentially(answer)) as server, without_gc():
        client = make_client(server)
        stream = client.chat_completion_stream(REQUEST)
        end(stream)
        alive, call = weakref.ref(stream), weakref.ref(stream._call)  # pyright: ignore[reportArgumentType]
        assert stream._call is not None
        http = weakref.ref(stream._call.machine._reader._http)
        del stream
        assert alive() is None
        assert call() is None
        assert http() is None
        if name not in ("complete", "cut", "refused"):
            assert server.was_left()


@pytest.mark.parametrize("place", ["connect", "handshake", "proxy", "send", "head", "chunk", "refused", "no host"])
def test_a_stream_that_waited_in_vain_is_freed_too(make_client: MakeClient, place: str) -> None:
    with ExitStack() as stack:
        if place in ("refused", "no host"):
            stalled = HangingCall(f"http://{'127.0.0.1' if place == 'refused' else 'nowhere.invalid'}:1/v1", "")
        else:
            stalled = stack.enter_context(hanging_call(place))
        stack.enter_context(without_gc())
        timeout = Timeout(connect_s=0.1, first_chunk_s=0.1, idle_s=0.1) if stalled.frame_name else Timeout()
        client = make_client(stalled.base_url, timeout=timeout, **stalled.settings)
        stream = client.chat_completion_stream(stalled.request)
        assert isinstance(drain(stream)[1], APITimeoutError if stalled.frame_name else APIConnectionError)
        alive, call = weakref.ref(stream), weakref.ref(stream._call)  # pyright: ignore[reportArgumentType]
        del stream
        assert alive() is None
        assert call() is None
        assert stalled.server is None or stalled.server.was_left()


def test_a_retried_stream_is_freed_too(make_client: MakeClient) -> None:
    def lose(peer: Peer) -> None:
        peer.reset()

    with Server(respond_sequentially(lose, lose)) as server, without_gc():
        client = make_client(server, max_retries=1)
        stream = client.chat_completion_stream(REQUEST)
        with_failure = drain(stream)
        assert isinstance(with_failure[1], APIConnectionError)
        alive, call = weakref.ref(stream), weakref.ref(stream._call)  # pyright: ignore[reportArgumentType]
        del with_failure, stream
        assert alive() is None
        assert call() is None
