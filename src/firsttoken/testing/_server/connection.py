"""The server's end of one connection: bytes out and counted, requests in, and the moment at which the client leaves.

Every wait looks for a disconnect of the client too, so that no script outlives its client, and for wakeup, so that
none outlives the server. HTTP/1.1, and 1.0, is httptools' to parse.
"""

import array
import contextlib
import selectors
import socket
import ssl
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

import httptools

from firsttoken.testing._server.journal import Request, RequestHeaders
from firsttoken.testing._server.listener import WakeupPipe

_LOOK_S = 0.02
"""How often a script that waits for the test looks whether its client is still there."""

_MAX_WAIT_S = 3600.0
"""How long to wait at once: poll takes no more than 2**31 milliseconds, and a script may."""


class ClientDisconnectedError(Exception):
    """The client has closed the connection.

    Attributes:
        was_reset: whether with a RST, as a close with unread data does, too.
    """

    def __init__(self, *, was_reset: bool) -> None:
        super().__init__("the client has left")
        self.was_reset = was_reset


class ServerClosingError(Exception):
    """The server is being closed."""


class ServerConnection:
    """One connection.

    Args:
        sock: of the connection.
        number: which connection of the server it is, from 1.
        wakeup: is set when the server is being closed.

    Attributes:
        number: which connection it is.
    """

    def __init__(self, sock: socket.socket, number: int, wakeup: WakeupPipe) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._wakeup = wakeup
        self._requests = Requests(number)
        self._counting = threading.Lock()  # who has received bytes finds them counted
        self._sent_bytes = 0
        self._taken_at_close: int | None = None
        # Without a descriptor of its own, as epoll has one; and without a limit on their number, where there is poll.
        self._selector = selectors.SelectSelector() if sys.platform == "win32" else selectors.PollSelector()
        self._selector.register(wakeup, selectors.EVENT_READ)
        self._selector.register(sock.fileno(), selectors.EVENT_READ)
        self._awaited = selectors.EVENT_READ
        self.number = number

    def begin_tls(self, context: ssl.SSLContext) -> None:
        """Shake hands.

        Raises:
            ClientDisconnectedError: the client does not trust the certificate, or speaks no TLS.
            ServerClosingError: the server is being closed.
        """
        wrapped = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
        self._socket = wrapped
        while True:
            try:
                wrapped.do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as want:
                reads = isinstance(want, ssl.SSLWantReadError)
                self._await(selectors.EVENT_READ if reads else selectors.EVENT_WRITE, None)
            except OSError as error:
                raise ClientDisconnectedError(was_reset=True) from error
            else:
                return

    def read_request(self) -> Request:
        """Wait for a request, for as long as it takes.

        Raises:
            ClientDisconnectedError: there will be none.
            ServerClosingError: the server is being closed.
            MalformedRequestError: what came is none.
        """
        while (request := self._requests.take()) is None:
            if self._requests.expects_continue:
                self._requests.expects_continue = False
                self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._receive(None)
        return request

    def send(self, data: bytes) -> None:
        """Put bytes on the wire; waits as long as the client does not take them.

        Raises:
            ClientDisconnectedError: there is nobody to take them.
            ServerClosingError: the server is being closed.
        """
        view = memoryview(data)
        while view:
            if self._wakeup.is_set:
                self._drain()
            try:
                with self._counting:
                    taken = self._socket.send(view)
                    self._sent_bytes += taken
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._await(selectors.EVENT_WRITE, None)
            except OSError as error:
                # After a FIN it is EPIPE, on Linux.
                raise ClientDisconnectedError(was_reset=not isinstance(error, BrokenPipeError)) from error
            else:
                view = view[taken:]

    def wait(self, seconds: float) -> None:
        """Let time pass; requests that come meanwhile are kept. Looks for the client once at least.

        Raises:
            ClientDisconnectedError: the client has left.
            ServerClosingError: the server is being closed.
        """
        deadline = time.monotonic() + seconds
        while True:
            remaining_s = max(0.0, deadline - time.monotonic())
            if remaining_s < 0.001:  # poll counts in milliseconds
                time.sleep(remaining_s)
                remaining_s = 0.0
            self._receive(min(remaining_s, _MAX_WAIT_S))
            if not remaining_s:
                return

    def wait_for(self, has_come: Callable[[float], bool]) -> None:
        """Wait for something else.

        Args:
            has_come: waits for it, for so many seconds at most, and gives whether it has come.

        Raises:
            ClientDisconnectedError: the client has left.
            ServerClosingError: the server is being closed.
        """
        while not has_come(_LOOK_S):
            self._receive(0.0)

    def close(self, *, reset: bool = False, close_notify: bool = True) -> None:
        """Close the connection, if it is not closed.

        Args:
            reset: with a RST, instead of a FIN.
            close_notify: send the alert of TLS first.
        """
        with self._counting:
            if self._taken_at_close is not None:
                return
            self._taken_at_close = self._count_taken()
            if reset:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                self._close_gracefully(close_notify)
            self._selector.close()
            self._socket.close()

    @property
    def sent_bytes(self) -> int:
        """How many bytes were put on the wire so far."""
        with self._counting:
            return self._sent_bytes

    @property
    def taken_bytes(self) -> int:
        """How many of the bytes the client's machine has taken; `sent_bytes` where the system has no such figure."""
        with self._counting:
            return self._count_taken() if self._taken_at_close is None else self._taken_at_close

    def _count_taken(self) -> int:
        if not sys.platform.startswith("linux") or isinstance(self._socket, ssl.SSLSocket):
            return self._sent_bytes
        import fcntl
        import termios

        unsent = array.array("i", [0])
        fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, unsent)  # SIOCOUTQ of tcp(7)
        return self._sent_bytes - unsent[0]

    def _await(self, event: int, seconds: float | None) -> bool:
        """Wait until the socket is ready; give whether it is.

        Raises:
            ServerClosingError: the server is being closed.
            ClientDisconnectedError: it is, but the client had left before.
        """
        if event != self._awaited:
            self._selector.modify(self._socket.fileno(), event)
            self._awaited = event
        ready = self._selector.select(seconds)
        if self._wakeup.is_set:
            self._drain()
        return bool(ready)

    def _receive(self, seconds: float | None) -> None:
        """Take what the client sends within a time."""
        if self._await(selectors.EVENT_READ, seconds):
            self._requests.receive_data(self._read() or b"")

    def _read(self) -> bytes | None:
        """What is there; None where nothing is.

        Raises:
            ClientDisconnectedError: the client has left.
        """
        try:
            data = self._socket.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError as error:
            raise ClientDisconnectedError(was_reset=True) from error
        if not data:
            raise ClientDisconnectedError(was_reset=False)
        return data

    def _drain(self) -> None:
        while self._read() is not None:
            pass
        raise ServerClosingError

    def _close_gracefully(self, close_notify: bool) -> None:
        """Take what is there, since a close with unread data would be a reset; and a FIN, whatever fork has copied."""
        with contextlib.suppress(OSError):
            while socket.socket.recv(self._socket, 65536):  # below TLS, whose handshake may have failed
                pass
        with contextlib.suppress(OSError):
            if close_notify and isinstance(self._socket, ssl.SSLSocket):
                self._socket.unwrap()  # which then waits for the client's own word, and we do not
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_WR)


class MalformedRequestError(Exception):
    """What a client sent is not an HTTP/1 request.

    Attributes:
        data: the bytes in which that was seen.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(f"a client sent an invalid HTTP/1 request: {data[:200]!r}")
        self.data = data


class Requests:
    """The requests of one connection.

    Args:
        connection: its number.

    Attributes:
        expects_continue: whether the client waits for a `100 Continue` before it sends the body.
    """

    def __init__(self, connection: int) -> None:
        self.expects_continue = False
        self._connection = connection
        self._ready: deque[Request] = deque()
        self._malformed: bytes | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._target: list[bytes] = []
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._ignored_headers: dict[str, str] = {}

    def receive_data(self, data: bytes) -> None:
        """Take bytes."""
        while data and self._malformed is None:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if not self._ready or self._ready[-1].method == "CONNECT":
                    return  # what follows is for the other end of the tunnel
                data = self._without_upgrade(self._ready.pop()) + data[upgrade.args[0] :]
            except httptools.HttpParserError:
                self._malformed = data
            else:
                return

    def take(self) -> Request | None:
        """The next request; None where none is there yet.

        Raises:
            MalformedRequestError: there will be none.
        """
        if self._ready:
            return self._ready.popleft()
        if self._malformed is not None:
            raise MalformedRequestError(self._malformed)
        return None

    def _without_upgrade(self, request: Request) -> bytes:
        """The head of a request without its wish for another protocol, which a server may pass over.

        RFC 9110, section 7.8. The parser takes the body for the other protocol; Java's client has both, a body and
        the wish for HTTP/2.
        """
        self._parser = httptools.HttpRequestParser(self)
        self._ignored_headers = dict(request.headers)
        words = request.headers.get("connection", "").split(",")
        kept = self._ignored_headers | {
            "connection": ",".join(word for word in words if word.strip().lower() != "upgrade")
        }
        kept.pop("upgrade", None)
        lines = "".join(f"{name}: {value}\r\n" for name, value in kept.items())
        return f"{request.method} {request.target} HTTP/{request.http_version}\r\n{lines}\r\n".encode("latin-1")

    # What httptools calls while it is fed.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._target, self._headers, self._body = [], {}, []

    def on_url(self, url: bytes) -> None:
        """A piece of the target is there."""
        self._target.append(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is there; several of one name are one list (RFC 9110, section 5.3)."""
        key, words = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {words}" if key in self._headers else words

    def on_headers_complete(self) -> None:
        """The head is there; some clients wait for a word before they send a long body."""
        self.expects_continue = self._headers.get("expect", "").lower() == "100-continue"

    def on_body(self, body: bytes) -> None:
        """A piece of the body is there."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self.expects_continue = False
        method = self._parser.get_method().decode("latin-1")
        self._ready.append(
            Request(
                method,
                b"".join(self._target).decode("latin-1"),
                RequestHeaders(self._headers | self._ignored_headers),
                b"".join(self._body),
                self._connection,
                self._parser.get_http_version(),
                self._parser.should_keep_alive() and method != "CONNECT",
            )
        )
        self._ignored_headers = {}
