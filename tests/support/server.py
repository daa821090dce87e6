"""A real HTTP server on a loopback socket, whose test decides what leaves on the wire, byte by byte.

A test gives a function of a `Peer`: one accepted connection. The function runs in a thread of its own and reads
requests and sends bytes as it likes; what it raises fails the test when the server is left. Nothing here sleeps:
tests that need order use `threading.Event`s.
"""

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

WAIT_S = 10.0
"""How long a peer waits for a client before the test fails."""

EVENT_STREAM = {"content-type": "text/event-stream"}


@dataclass(frozen=True)
class Request:
    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def chunk(content: str | None = None, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk as OpenAI sends it, for choice 0."""
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "test-model",
        "choices": [choice],
    } | fields


def completion(content: str = "Hello", finish: str = "stop", **fields: Any) -> dict[str, Any]:
    """A complete completion as OpenAI sends it."""
    message = {"role": "assistant", "content": content, "refusal": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "test-model",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    } | fields


def event(data: Any) -> bytes:
    """An event: a dict as JSON, text and bytes as they are."""
    payload = json.dumps(data, separators=(",", ":")).encode() if not isinstance(data, bytes | str) else data
    return b"data: " + (payload.encode() if isinstance(payload, str) else payload) + b"\n\n"


DONE = event("[DONE]")


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket, server: "Server") -> None:
        self.socket = sock
        self.server = server
        self._received = b""
        self._has_left = False

    def read_request(self) -> Request | None:
        """The next request; None where the client has left instead."""
        while b"\r\n\r\n" not in self._received:
            if not self._receive():
                return None
        head, _, rest = self._received.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        length = int(headers.get("content-length", "0"))
        self._received = rest
        while len(self._received) < length:
            if not self._receive():
                return None
        request = Request(line, headers, self._received[:length])
        self._received = self._received[length:]
        self.server.requests.append(request)
        return request

    def _receive(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except (ConnectionError, ssl.SSLError):
            data = b""
        self._received += data
        if not data:
            self.note_left()
        return bool(data)

    def note_left(self) -> None:
        """The client has closed the connection, which `Server.was_left` waits for."""
        if not self._has_left:
            self._has_left = True
            self.server.left.release()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_head(self, status: int = 200, headers: Mapping[str, str] | None = None, *, reason: str = "Any") -> None:
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def begin_stream(self, headers: Mapping[str, str] | None = None) -> None:
        """Send the head of a stream in chunked coding."""
        self.send_head(200, EVENT_STREAM | {"transfer-encoding": "chunked"} | dict(headers or {}))

    def send_part(self, data: bytes) -> None:
        """Send bytes of the body as one HTTP chunk."""
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def send_event(self, data: Any) -> None:
        self.send_part(event(data))

    def end_stream(self, *, done: bool = True) -> None:
        """Send `[DONE]` and the end of the body in one segment."""
        tail = b"%x\r\n%s\r\n" % (len(DONE), DONE) if done else b""
        self.send(tail + b"0\r\n\r\n")

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send a complete response."""
        self.send_head(status, {"content-length": str(len(body))} | dict(headers or {}))
        self.send(body)

    def answer_json(self, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        self.answer(status, json.dumps(value).encode(), {"content-type": "application/json"} | dict(headers or {}))

    def stream(self, *texts: str, finish: str = "stop") -> None:
        """Send a complete stream."""
        self.begin_stream()
        for text in texts:
            self.send_event(chunk(text))
        self.send_event(chunk(finish=finish))
        self.end_stream()

    def wait_for_disconnect(self) -> None:
        """Wait until the client has closed the connection."""
        while self._receive():
            pass

    def reset(self) -> None:
        """Close with a RST instead of a FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def respond_sequentially(*answers: Callable[[Peer], object]) -> Callable[[Peer], None]:
    """A function for `Server`: each request gets the next answer, over whichever connection it comes."""
    remaining = iter(answers)

    def serve(peer: Peer) -> None:
        while peer.socket.fileno() != -1 and peer.read_request() is not None:
            next(remaining)(peer)

    return serve


class Server:
    """Accepts connections and hands each to the test's function in a thread."""

    def __init__(
        self,
        serve: Callable[[Peer], None],
        *,
        tls: ssl.SSLContext | None = None,
        listener: socket.socket | None = None,
    ) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.left = threading.Semaphore(0)
        self.closing = threading.Event()
        self._serve = serve
        self._tls = tls
        self._failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._listener = listener or socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self._listens = bool(self._listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    @property
    def base_url(self) -> str:
        return f"http{'s' if self._tls else ''}://{'localhost' if self._tls else '127.0.0.1'}:{self.port}/v1"

    def __enter__(self) -> Self:
        if self._listens:
            self.start()
        return self

    def start(self) -> None:
        """Accept connections; for a listener that did not listen when it was given."""
        self._acceptor.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.closing.set()
        # On Linux a shutdown wakes the thread that waits in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(WAIT_S)
        self._listener.close()
        for sock in self._sockets:
            try:
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(WAIT_S)
        if error is None and self._failures:
            raise self._failures[0]

    def was_left(self, times: int = 1, within_s: float = 2.0) -> bool:
        """Whether clients have closed so many more connections, or do so soon: the server's end has seen it."""
        return all(self.left.acquire(timeout=within_s) for _ in range(times))

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._run, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, sock: socket.socket) -> None:
        sock.settimeout(WAIT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = Peer(sock, self)
        try:
            if self._tls is not None:
                peer.socket = sock = self._tls.wrap_socket(sock, server_side=True)
            self._sockets.append(sock)
            self._serve(peer)
        except (ConnectionError, ssl.SSLError):
            peer.note_left()  # as many tests want it to
        except BaseException as error:
            self._failures.append(error)
        finally:
            sock.close()


def hello(peer: Peer) -> None:
    peer.stream("Hel", "", "lo")


def endless(peer: Peer) -> None:
    """Two chunks, and nothing more."""
    peer.begin_stream({"x-request-id": "req_1"})
    peer.send_event(chunk("Hel"))
    peer.send_event(chunk("lo"))
    peer.wait_for_disconnect()


def refuse(peer: Peer) -> None:
    peer.answer_json(500, {"error": "no"})
