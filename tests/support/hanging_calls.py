"""Places in a call where it waits for somebody else, for ever: for tests of what ends the waiting."""

import socket
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from firsttoken import ChatCompletionRequest, chat_completion_request
from tests.support.clients import REQUEST
from tests.support.server import WAIT_S, Peer, Server, chunk
from tests.support.tls import client_context, server_context


@dataclass
class HangingCall:
    """A call that will wait: with these settings, in this function, at this server (None: there is none to ask)."""

    base_url: str
    frame_name: str
    server: Server | None = None
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    request: ChatCompletionRequest = REQUEST


HANG_POINTS = ["lookup", "connect", "handshake", "proxy", "send", "head", "chunk", "tls head", "tls chunk", "backoff"]


@contextmanager
def full_backlog() -> Generator[int]:
    """The port of a listener that takes no more connections: what connects to it waits."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = int(listener.getsockname()[1])
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


@contextmanager
def _endless_lookup() -> Generator[None]:
    """Looking up a name does not end, as where a name server is gone."""
    system = socket.getaddrinfo
    over = threading.Event()

    def getaddrinfo(host: str, *arguments: Any, **options: Any) -> Any:
        if host == "stalled.test" and not options.get("flags"):
            over.wait(WAIT_S)
            raise socket.gaierror(socket.EAI_AGAIN, "over")
        return system(host, *arguments, **options)

    socket.getaddrinfo = getaddrinfo
    try:
        yield
    finally:
        socket.getaddrinfo = system
        over.set()


def _silent(peer: Peer) -> None:
    peer.wait_for_disconnect()


def _head(peer: Peer) -> None:
    peer.read_request()
    peer.wait_for_disconnect()


def _chunk(peer: Peer) -> None:
    peer.read_request()
    peer.begin_stream()
    peer.send_event(chunk("Hel"))
    peer.wait_for_disconnect()


def _deaf(peer: Peer) -> None:
    peer.server.closing.wait(WAIT_S)


def _busy(peer: Peer) -> None:
    peer.read_request()
    peer.answer_json(503, {"error": "busy"}, {"retry-after": "50"})
    peer.wait_for_disconnect()


@contextmanager
def hanging_call(place: str) -> Generator[HangingCall]:
    """A call that waits at one of `PLACES`."""
    with ExitStack() as stack:

        def serve(answer: Callable[[Peer], None], *, tls: bool = False) -> Server:
            return stack.enter_context(Server(answer, tls=server_context() if tls else None))

        if place == "lookup":
            stack.enter_context(_endless_lookup())
            yield HangingCall("http://stalled.test/v1", "resolve")
        elif place == "connect":
            yield HangingCall(f"http://127.0.0.1:{stack.enter_context(full_backlog())}/v1", "_connect_to")
        elif place == "handshake":
            server = serve(_silent)
            yield HangingCall(f"https://127.0.0.1:{server.port}/v1", "start_tls", server)
        elif place == "proxy":
            server = serve(_silent)
            settings = {"proxy": f"http://127.0.0.1:{server.port}"}
            yield HangingCall("https://stalled.test/v1", "_open_tunnel", server, settings)
        elif place == "send":
            server = serve(_deaf)
            yield HangingCall(
                server.base_url, "wait_until_ready", None, {}, chat_completion_request("m", "x" * 20_000_000)
            )
        elif place == "backoff":
            server = serve(_busy)
            yield HangingCall(server.base_url, "_sleep", None, {"max_retries": 1})  # the connection is kept
        else:
            tls = place.startswith("tls ")
            server = serve(_head if place.endswith("head") else _chunk, tls=tls)
            yield HangingCall(server.base_url, "recv", server, {"ssl_context": client_context()} if tls else {})


def wait_until_in_frame(thread: threading.Thread, function: str) -> None:
    """Wait until a thread is in a function of this name, and stays there."""
    pace = threading.Event()
    for _ in range(int(WAIT_S / 0.01)):
        before = _innermost(thread)
        pace.wait(0.01)
        if function in _names(thread) and _innermost(thread) is before:
            return
    raise AssertionError(f"the thread is in {_names(thread)}, not in {function}")


def _innermost(thread: threading.Thread) -> FrameType | None:
    return sys._current_frames().get(thread.ident or 0)


def _names(thread: threading.Thread) -> list[str]:
    names: list[str] = []
    frame = _innermost(thread)
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names
