"""A connection over a socket, plain or TLS: each wait has a deadline, and ends when the connection is aborted.

It does not interpret the bytes, except those of the response to CONNECT.
"""

import errno
import os
import socket
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from firsttoken._client.sockets import (
    AbortedError,
    Address,
    DeadlineError,
    clock,
    current_process,
    is_untaken,
    new_socket,
    raise_foreign,
    resolve_host,
    wait_until_ready,
)
from firsttoken._protocol.proxy import Proxy, Tunnel
from firsttoken._protocol.url import Origin

if TYPE_CHECKING:
    import ssl

READ_BYTES = 65536
_SEND_BYTES = 262144
_ABORT_CHECK_S = 0.1
"""Nothing can wake a thread that is connecting, so it checks this often whether it was aborted."""

MAX_WAIT_S = 0.25 if sys.platform == "win32" else 3600.0
"""On Windows Ctrl-C does not end a wait for a socket, so waits are short. Elsewhere: the limit of a C timeval."""

_SHORT_WAIT_S = 0.1
"""A longer wait may end a little early, and is then resumed."""


class Connection:
    """One connection: it is opened, then serves one request after another.

    Attributes:
        is_reused: whether it has served a request before.
    """

    __slots__ = ("_aborted", "_early", "_process", "_sent_bytes", "_socket", "_timeout_s", "is_reused")

    def __init__(self) -> None:
        self.is_reused = False
        self._process = current_process()
        self._early = b""  # of a response that began before its request was sent completely
        self._sent_bytes = 0
        self._socket: socket.socket | None = None
        self._aborted = False
        self._timeout_s = 0.0  # the timeout that the socket has now

    def open(self, origin: Origin, proxy: Proxy | None, deadline: float) -> None:
        """Connect: name lookup, TCP, and for https the proxy's tunnel.

        Args:
            origin: where to.
            proxy: through which proxy, if any.
            deadline: on the monotonic clock.

        Raises:
            DeadlineError: the deadline has passed.
            AbortedError: another thread called `abort`.
            OSError: no connection could be made.
            APIStatusError: the proxy refused the tunnel.
            ResponseFormatError: the proxy does not speak HTTP.
        """
        first_hop = origin if proxy is None else proxy.origin
        self._connect(
            resolve(first_hop.host, first_hop.port, lambda event: self._wait_event(event, deadline)), deadline
        )
        if origin.scheme == "https" and proxy is not None:
            self._open_tunnel(origin, proxy, deadline)

    def start_tls(self, context: "ssl.SSLContext", host: str, deadline: float) -> None:
        """Start TLS; the certificate must be valid for `host`.

        Raises:
            DeadlineError: the deadline has passed.
            AbortedError: another thread called `abort`.
            OSError: the handshake failed, or the certificate is not trusted.
        """
        # Wrapped first, handshake later: truststore holds a lock of the context while it wraps, and `abort` needs the
        # SSLSocket, which takes over the file descriptor.
        secured = self._socket = context.wrap_socket(
            self._socket_with_timeout(deadline), server_hostname=host, do_handshake_on_connect=False
        )
        while True:
            self._socket_with_timeout(deadline)
            try:
                secured.do_handshake()
            except TimeoutError as error:
                raise_foreign(error)
                self._check(deadline)
            except OSError as error:
                raise_foreign(error)
                if self._aborted:
                    raise AbortedError from None
                raise
            else:
                return

    def send(self, data: bytes, deadline: float) -> bool:
        """Send a request.

        Returns:
            Whether all of it was sent; False if the server answers or closes the connection before.

        Raises:
            DeadlineError: the deadline has passed.
            AbortedError: another thread called `abort`.
            OSError: the connection is broken.
        """
        self._sent_bytes = 0
        if len(data) <= _SEND_BYTES:  # the system's buffer takes it at once
            self._send_all(data, deadline)
            return True
        view = memoryview(data)
        while view:
            sock = self._socket_with_timeout(deadline)
            sock.settimeout(0)
            self._timeout_s = 0.0
            try:
                sent = sock.send(view[:_SEND_BYTES])
            except OSError as error:
                raise_foreign(error)
                if not _would_block(error):
                    raise
                self._wait_for_space(sock, deadline)
                if self._has_response(sock):
                    return False
            else:
                self._sent_bytes += sent
                view = view[sent:]
        return True

    def recv(self, deadline: float) -> bytes:
        """Receive bytes as soon as there are any; b"" at the end of the connection.

        Raises:
            DeadlineError: the deadline has passed.
            AbortedError: another thread called `abort`.
            OSError: the connection is broken.
        """
        if self._early:
            data, self._early = self._early, b""
            return data
        while True:
            try:
                data = self._socket_with_timeout(deadline).recv(READ_BYTES)
            except TimeoutError as error:
                raise_foreign(error)
                self._check(deadline)
            except OSError as error:
                raise_foreign(error)
                if self._aborted:
                    raise AbortedError from None
                raise
            else:
                if self._aborted:  # its bytes may be anything: the shutdown can come in the middle of a TLS record
                    raise AbortedError
                return data

    def is_untaken(self, *, at_eof: bool) -> bool | None:
        """Whether the server has received nothing of the last request; None where that can't be known.

        Args:
            at_eof: whether the connection ended with a FIN; a reset does not tell what was received.
        """
        if self._socket is None or not at_eof:
            return not self._sent_bytes
        return is_untaken(self._socket, self._sent_bytes)

    def is_alive(self) -> bool:
        """Whether an idle connection is still open, and has nothing to read."""
        sock = self._socket
        if sock is None or self._aborted or self._early or self._process != current_process():
            return False
        try:
            return not wait_until_ready(sock, 0, reading=True)
        except (OSError, ValueError) as error:
            raise_foreign(error)
            return False

    def abort(self) -> None:
        """Wake the thread that waits in this connection. It still has to close the socket."""
        self._aborted = True
        sock = self._socket
        if sock is None or self._process != current_process():
            return
        shut_down(sock)

    def close(self) -> None:
        """Close the socket; in a forked child only drop it, since it belongs to the parent."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        if self._process == current_process():
            shut_down(sock)  # a forked child that holds the descriptor too would keep the connection open
            sock.close()
        else:
            sock.detach()

    def __del__(self) -> None:
        if getattr(self, "_socket", None) is not None:  # a signal handler may have raised in the constructor
            self.close()

    def _socket_with_timeout(self, deadline: float) -> socket.socket:
        """The socket, with a timeout at the deadline or a little before, after which the caller checks the clock again.

        Setting a timeout is a system call, so one that still fits from the read before is kept.
        """
        left_s = min(deadline - clock(), MAX_WAIT_S)
        sock = self._socket
        if self._aborted or sock is None:
            raise AbortedError
        if not self._timeout_s <= left_s <= self._timeout_s * 1.1:
            if left_s <= 0:
                raise DeadlineError
            self._timeout_s = left_s if left_s < _SHORT_WAIT_S else left_s * 0.95
            sock.settimeout(self._timeout_s)
        return sock

    def _check(self, deadline: float) -> None:
        if self._aborted:
            raise AbortedError
        if clock() >= deadline:
            raise DeadlineError

    def _wait_event(self, event: threading.Event, deadline: float) -> None:
        while not event.wait(max(0.0, min(_ABORT_CHECK_S, deadline - clock()))):
            self._check(deadline)

    def _connect(self, addresses: list[Address], deadline: float) -> None:
        """Try the addresses in turn, each for its share of the time, so that a dead one does not use it all."""
        failure: Exception = OSError(errno.EADDRNOTAVAIL, "the host has no address")
        for position, (family, address) in enumerate(addresses):
            now_s = clock()
            share_deadline = now_s + (deadline - now_s) / (len(addresses) - position)
            try:
                self._connect_to(family, address, share_deadline)
            except (OSError, DeadlineError) as error:
                raise_foreign(error)
                failure = error
                self.close()
            else:
                return
        try:
            raise failure
        finally:
            del failure  # its traceback refers to this frame

    def _connect_to(self, family: socket.AddressFamily, address: tuple[object, ...], deadline: float) -> None:
        self._check(deadline)
        sock = self._socket = new_socket(family)
        code = sock.connect_ex(address)
        if code in (errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK)):
            while not wait_until_ready(sock, max(0.0, min(_ABORT_CHECK_S, deadline - clock())), writing=True):
                self._check(deadline)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        self._check(deadline)

    def _send_all(self, data: bytes, deadline: float) -> None:
        while self._sent_bytes < len(data):
            sock = self._socket_with_timeout(deadline)
            try:
                self._sent_bytes += sock.send(data[self._sent_bytes :])
            except TimeoutError as error:
                raise_foreign(error)
                self._check(deadline)

    def _wait_for_space(self, sock: socket.socket, deadline: float) -> None:
        """Wait until a socket can be written to or read from."""
        while True:
            left_s = min(deadline - clock(), MAX_WAIT_S)
            if wait_until_ready(sock, max(0.0, left_s), reading=True, writing=True):
                return
            self._check(deadline)

    def _has_response(self, sock: socket.socket) -> bool:
        """Whether a response has begun (its bytes are kept for `recv`) or the server has closed the connection."""
        try:
            self._early = sock.recv(READ_BYTES)
        except OSError as error:
            if _would_block(error):  # or it was a TLS message without data
                return False
            raise
        return True

    def _open_tunnel(self, origin: Origin, proxy: Proxy, deadline: float) -> None:
        tunnel = Tunnel(origin, proxy)
        self._send_all(tunnel.request, deadline)
        while not tunnel.is_open:
            tunnel.receive_data(self.recv(deadline))


def shut_down(sock: socket.socket) -> None:
    """Shut a socket down, which wakes the thread that waits for it; that thread still has to close it."""
    try:
        # Not the method of SSLSocket: that drops the TLS layer, and the reader would get encrypted bytes.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError as error:
        raise_foreign(error)  # else it is not connected (any more)


def _would_block(error: OSError) -> bool:
    """Whether an error means that a non-blocking socket would have to wait; TLS has two errors for it."""
    return isinstance(error, BlockingIOError) or type(error).__name__ in ("SSLWantReadError", "SSLWantWriteError")


def resolve(host: str, port: int, wait: Callable[[threading.Event], None]) -> list[Address]:
    """The addresses of a host, in the system's order of preference.

    Args:
        host: a name or an address.
        port: to connect to.
        wait: waits for an event; raises at the deadline.

    Raises:
        OSError: the host is unknown.
    """
    numeric = resolve_host(host, port, socket.AI_NUMERICHOST)
    if numeric:
        return numeric
    found: list[Address] = []
    failures: list[OSError] = []
    done = threading.Event()

    def work() -> None:
        try:
            found.extend(resolve_host(host, port))
        except OSError as error:
            failures.append(error)
        finally:
            done.set()

    threading.Thread(target=work, name="firsttoken-resolve", daemon=True).start()
    wait(done)
    if failures:
        raise failures[0]
    return found
