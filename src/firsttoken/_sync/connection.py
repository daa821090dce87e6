"""A connection over a socket, plain or TLS: every wait in it has a deadline and ends when it is aborted.

Owns the socket and its end. Refuses to know what the bytes mean, save the answer to CONNECT.
"""

import errno
import os
import select
import socket
import sys
import threading
from typing import TYPE_CHECKING

from firsttoken._client.call import clock
from firsttoken._client.sockets import Address, new_socket
from firsttoken._protocol.proxy import Proxy, Tunnel
from firsttoken._protocol.url import Origin

if TYPE_CHECKING:
    import ssl
from collections.abc import Callable

from firsttoken._client.sockets import resolve_host

READ_BYTES = 65536
_SEND_BYTES = 262144
_ABORT_CHECK_S = 0.1
"""While a connection is being made nothing can wake the one who waits, so that it looks up this often."""

_MAX_WAIT_S = 0.25 if sys.platform == "win32" else 3600.0
"""On Windows a wait for a socket does not end on Ctrl-C, so that none is longer. Elsewhere: what a C timeval holds."""

_SHORT_WAIT_S = 0.1
"""A wait that is longer may end a little early, and be taken up again."""


class DeadlineError(Exception):
    """The deadline of a wait has passed."""


class AbortedError(Exception):
    """The connection was aborted by another thread."""


class Connection:
    """One connection, first to be opened, then for one exchange after another.

    Attributes:
        used: whether it has served an exchange before.
    """

    def __init__(self) -> None:
        self.used = False
        self._process = os.getpid()
        self._socket: socket.socket | None = None
        self._aborted = False
        self._timeout_s = 0.0  # what the socket has

    def open(self, origin: Origin, proxy: Proxy | None, until_s: float) -> None:
        """Connect: look up, TCP, and for https the proxy's tunnel.

        Args:
            origin: where to.
            proxy: through which proxy, if any.
            until_s: the deadline, on the monotonic clock.

        Raises:
            DeadlineError: the deadline has passed.
            AbortedError: another thread called `abort`.
            OSError: there is no connection to be had.
            APIStatusError: the proxy refused the tunnel.
            ResponseFormatError: the proxy does not speak HTTP.
        """
        near = origin if proxy is None else proxy.origin
        self._connect(resolve(near.host, near.port, lambda event: self._wait_event(event, until_s)), until_s)
        if origin.scheme == "https" and proxy is not None:
            self._open_tunnel(origin, proxy, until_s)

    def start_tls(self, context: "ssl.SSLContext", host: str, until_s: float) -> None:
        """Put TLS on top; the certificate must be of `host`.

        Raises:
            DeadlineError: the deadline has passed.
            AbortedError: another thread called `abort`.
            OSError: the handshake failed, or the certificate is not trusted.
        """
        # Wrapped first, shaken hands with later: truststore holds a lock of the context while it wraps, and `abort`
        # must find the SSLSocket, which takes the file descriptor over.
        secured = self._socket = context.wrap_socket(
            self._armed(until_s), server_hostname=host, do_handshake_on_connect=False
        )
        while True:
            self._armed(until_s)
            try:
                secured.do_handshake()
            except TimeoutError:
                self._check(until_s)
            except OSError:
                if self._aborted:
                    raise AbortedError from None
                raise
            else:
                return

    def send(self, data: bytes, until_s: float) -> None:
        """Send all bytes.

        Raises:
            DeadlineError: the deadline has passed.
            AbortedError: another thread called `abort`.
            OSError: the connection is broken.
        """
        view = memoryview(data)
        while view:
            sock = self._armed(until_s)
            try:
                view = view[sock.send(view[:_SEND_BYTES]) :]
            except TimeoutError:
                self._check(until_s)

    def recv(self, until_s: float) -> bytes:
        """Receive what is there, as soon as anything is; b"" at the end of the connection.

        Raises:
            DeadlineError: the deadline has passed.
            AbortedError: another thread called `abort`.
            OSError: the connection is broken.
        """
        while True:
            try:
                data = self._armed(until_s).recv(READ_BYTES)
            except TimeoutError:
                self._check(until_s)
            except OSError:
                if self._aborted:
                    raise AbortedError from None
                raise
            else:
                if self._aborted:  # its bytes may be anything: the shutdown can come in the middle of a TLS record
                    raise AbortedError
                return data

    def is_alive(self) -> bool:
        """Whether an idle connection is still open, and silent as it should be."""
        sock = self._socket
        if sock is None or self._process != os.getpid():
            return False
        try:
            return not _ready(sock, for_writing=False, wait_s=0)
        except (OSError, ValueError):
            return False

    def abort(self) -> None:
        """Make the thread that waits in here stop waiting. The socket stays its own to close."""
        self._aborted = True
        sock = self._socket
        if sock is None or self._process != os.getpid():
            return
        _shut_down(sock)

    def close(self) -> None:
        """Close the socket; in a forked child only forget it, since it is the parent's."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        if self._process == os.getpid():
            _shut_down(sock)  # a forked child that holds the descriptor too would keep the connection open
            sock.close()
        else:
            sock.detach()

    def __del__(self) -> None:
        self.close()

    def _armed(self, until_s: float) -> socket.socket:
        """The socket, with a timeout that goes off by then; if earlier, whoever waits looks at the clock again.

        Setting a timeout is a system call. One that fits, since it was set for the read before, is left as it is.
        """
        left_s = min(until_s - clock(), _MAX_WAIT_S)
        sock = self._socket
        if self._aborted or sock is None:
            raise AbortedError
        if not self._timeout_s <= left_s <= self._timeout_s * 1.1:
            if left_s <= 0:
                raise DeadlineError
            self._timeout_s = left_s if left_s < _SHORT_WAIT_S else left_s * 0.95
            sock.settimeout(self._timeout_s)
        return sock

    def _check(self, until_s: float) -> None:
        if self._aborted:
            raise AbortedError
        if clock() >= until_s:
            raise DeadlineError

    def _wait_event(self, event: threading.Event, until_s: float) -> None:
        while not event.wait(max(0.0, min(_ABORT_CHECK_S, until_s - clock()))):
            self._check(until_s)

    def _connect(self, addresses: list[Address], until_s: float) -> None:
        """Try the addresses in turn, each for its share of the time, so that a dead one does not use it up."""
        failure: Exception = OSError(errno.EADDRNOTAVAIL, "the host has no address")
        for position, (family, address) in enumerate(addresses):
            now_s = clock()
            share_until_s = now_s + (until_s - now_s) / (len(addresses) - position)
            try:
                self._connect_to(family, address, share_until_s)
            except (OSError, DeadlineError) as error:
                failure = error
                self.close()
            else:
                return
        try:
            raise failure
        finally:
            del failure  # its traceback refers to this frame

    def _connect_to(self, family: socket.AddressFamily, address: tuple[object, ...], until_s: float) -> None:
        self._check(until_s)
        sock = self._socket = new_socket(family)
        code = sock.connect_ex(address)
        if code in (errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK)):
            while not _ready(sock, for_writing=True, wait_s=max(0.0, min(_ABORT_CHECK_S, until_s - clock()))):
                self._check(until_s)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        self._check(until_s)

    def _open_tunnel(self, origin: Origin, proxy: Proxy, until_s: float) -> None:
        tunnel = Tunnel(origin, proxy)
        self.send(tunnel.request, until_s)
        while not tunnel.is_open:
            tunnel.receive_data(self.recv(until_s))


def _shut_down(sock: socket.socket) -> None:
    try:
        # Not the method of SSLSocket: that drops the TLS layer, and the reader would get what is encrypted.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # it is not connected, or not any more


def _ready(sock: socket.socket, *, for_writing: bool, wait_s: float) -> bool:
    """Whether a socket can be read or written, or has failed, within so many seconds."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLOUT if for_writing else select.POLLIN)
        return bool(poll.poll(wait_s * 1000))
    waiting = [sock]
    readable, writable, failed = select.select(
        [] if for_writing else waiting, waiting if for_writing else [], waiting, wait_s
    )
    return bool(readable or writable or failed)


def resolve(host: str, port: int, wait: Callable[[threading.Event], None]) -> list[Address]:
    """The addresses of a host, in the system's order of preference.

    Args:
        host: a name or an address.
        port: to connect to.
        wait: waits for an event, and raises when it has waited for long enough.

    Raises:
        OSError: there is no such host.
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
