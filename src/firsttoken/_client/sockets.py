"""What both drivers share of connections: sockets, a clock, which idle one a request may use, and TLS contexts."""

import os
import select
import socket
import sys
import threading
import time
from collections.abc import Hashable
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from firsttoken.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

KEEP_ALIVE_AFTER_S = 60
"""Silence after which the system asks the peer whether it is still there: load balancers drop silent connections."""

Address = tuple[socket.AddressFamily, tuple[object, ...]]

clock = time.monotonic

_process = os.getpid()


def current_process() -> int:
    """The number of this process, kept: a connection asks for it several times in a call."""
    return _process


def _note_fork() -> None:
    global _process
    _process = os.getpid()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_note_fork)


class DeadlineError(Exception):
    """The deadline of a wait has passed."""


class AbortedError(Exception):
    """The wait was ended by `close`."""


class Waker:
    """Ends a wait of another thread, or of its own thread from a signal handler, where an `Event` may deadlock."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self, wait_s: float) -> None:
        """Wait for `wait_s` seconds, or until `set` is called (or was, since the last wait)."""
        self._lock.acquire(timeout=min(max(0.0, wait_s), threading.TIMEOUT_MAX))

    def set(self) -> None:
        """End the wait."""
        try:
            self._lock.release()
        except RuntimeError:
            pass  # it is set


_RAISING_PACKAGES = frozenset(
    {"firsttoken", "ssl", "socket", "selectors", "threading", "truststore", "httpx2", "queue"}
)


def raise_foreign(error: BaseException) -> None:
    """Re-raise an error that came from a signal handler, not from the network: many of them raise `TimeoutError`.

    It may come out of any system call; the last frame of its traceback tells it.
    """
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is not None:
        module: str = traceback.tb_frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in _RAISING_PACKAGES:
            raise error


def new_socket(family: socket.AddressFamily) -> socket.socket:
    """A non-blocking TCP socket with TCP_NODELAY and keep-alive."""
    sock: socket.socket | None = None
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE_AFTER_S)
        return sock  # noqa: TRY300 - a signal handler may raise up to here
    except BaseException:
        if sock is not None:
            sock.close()
        raise


def resolve_host(host: str, port: int, flags: int = 0) -> list[Address]:
    """The addresses from the system's resolver; with `AI_NUMERICHOST` without waiting, and none if the host is a name.

    Raises:
        OSError: the host is unknown.
    """
    is_numeric = bool(flags & socket.AI_NUMERICHOST)
    # An address as bytes, since for a str Python loads IDNA; a name as a str, as who replaces the resolver expects it.
    name = host.encode("ascii") if is_numeric else host
    try:
        infos = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=flags)
    except socket.gaierror:
        if is_numeric:
            return []
        raise
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, f"invalid host: {error}") from error
    return [(info[0], info[4]) for info in infos]


def wait_until_ready(sock: socket.socket, wait_s: float, *, reading: bool = False, writing: bool = False) -> bool:
    """Whether a socket becomes readable or writable, or fails, within `wait_s` seconds."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, (select.POLLIN if reading else 0) | (select.POLLOUT if writing else 0))
        return bool(poll.poll(wait_s * 1000))
    watched = [sock]
    return any(select.select(watched if reading else [], watched if writing else [], watched, wait_s))


def is_untaken(sock: socket.socket, sent_bytes: int) -> bool | None:
    """Whether the peer's system has acknowledged none of the bytes sent last; None where that can't be known.

    Acknowledged bytes may have been read by the server. Unacknowledged ones have not been, since a connection that the
    server has closed refuses them.

    Args:
        sock: a TCP socket.
        sent_bytes: how many bytes of a request were sent; TLS adds some.
    """
    if not sent_bytes:
        return True
    if sys.platform != "linux":
        return None
    import fcntl
    import termios

    try:
        unacknowledged = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))  # SIOCOUTQ of tcp(7)
    except (OSError, ValueError):
        return None
    return int.from_bytes(unacknowledged, sys.byteorder) >= sent_bytes


def plain_error(error: OSError) -> OSError:
    """The error with the system's message, where asyncio's has an address in it."""
    if error.errno and str(error.strerror).startswith("Connect call failed"):
        return OSError(error.errno, os.strerror(error.errno))
    return error


MAX_IDLE_S: Final = 60.0
"""How long an idle connection is kept: most servers close theirs sooner, load balancers drop some silently later."""

MAX_IDLE: Final = 100
"""How many idle connections there may be for each key, by default."""

_Connection = TypeVar("_Connection")


class IdleConnections(Generic[_Connection]):
    """Idle connections, the most recently used first.

    They belong to an owner (a process, or an event loop in it) and a key: where they lead, and how. Nothing is opened,
    checked or closed here: the call decides which connections come, the driver whether one is still good. It needs no
    lock: a list's `append` and `pop` are atomic.

    Args:
        max_idle: how many are kept for each owner and key.
        max_idle_s: for how long.
    """

    __slots__ = ("_idle", "_max_idle", "_max_idle_s")

    def __init__(self, max_idle: int = MAX_IDLE, max_idle_s: float = MAX_IDLE_S) -> None:
        self._max_idle = max_idle
        self._max_idle_s = max_idle_s
        self._idle: dict[tuple[Hashable, Hashable], list[tuple[float, _Connection]]] = {}

    def put(self, owner: Hashable, key: Hashable, connection: _Connection, now: float) -> list[_Connection]:
        """Keep a connection; return the surplus to close: those that were idle for longest."""
        stack = self._idle.setdefault((owner, key), [])
        stack.append((now, connection))
        surplus: list[_Connection] = []
        while len(stack) > self._max_idle:
            _pop_oldest(stack, surplus)
        return surplus

    def take(self, owner: Hashable, key: Hashable) -> _Connection | None:
        """Take the most recently used connection; None if none is idle."""
        stack = self._idle.get((owner, key))
        try:
            return stack.pop()[1] if stack else None
        except IndexError:
            return None  # another thread was faster

    def expire(self, owner: Hashable, now: float) -> list[_Connection]:
        """Remove and return an owner's connections that have been idle for too long."""
        expired: list[_Connection] = []
        for stack in self._stacks(owner):
            while stack and now - stack[0][0] >= self._max_idle_s:
                _pop_oldest(stack, expired)
        return expired

    def next_expiry(self, owner: Hashable) -> float | None:
        """When to call `expire` next; None if no connection of the owner is idle."""
        oldest = [stack[:1] for stack in self._stacks(owner)]
        return min((entries[0][0] + self._max_idle_s for entries in oldest if entries), default=None)

    def clear(self, owner: Hashable) -> list[_Connection]:
        """Remove and return all of an owner's connections."""
        stacks = [self._idle.pop(key, []) for key in list(self._idle) if key[0] == owner]
        return [connection for stack in stacks for _, connection in stack]

    def _stacks(self, owner: Hashable) -> list[list[tuple[float, _Connection]]]:
        return [stack for key, stack in list(self._idle.items()) if key[0] == owner]


def _pop_oldest(stack: list[tuple[float, _Connection]], into: list[_Connection]) -> None:
    try:
        into.append(stack.pop(0)[1])
    except IndexError:
        pass  # another thread was faster


class TLSContexts:
    """The contexts of a client.

    truststore holds a lock of its context during a handshake, so that a server that never answers would block all other
    threads. So each context serves one handshake at a time, and more are made when needed.

    Args:
        given: the caller's own context, used for all connections; None for the system's trust store.
    """

    def __init__(self, given: "ssl.SSLContext | None") -> None:
        self._given = given
        self._free: list[ssl.SSLContext] = []

    def borrow(self) -> "ssl.SSLContext":
        """A context for one handshake.

        Raises:
            ConfigurationError: `SSL_CERT_FILE` can't be read.
        """
        if self._given is not None:
            return self._given
        try:
            return self._free.pop()
        except IndexError:
            return _system_context()

    def give_back(self, context: "ssl.SSLContext") -> None:
        """Return a context when its handshake is over."""
        if context is not self._given:
            self._free.append(context)


def _system_context() -> "ssl.SSLContext":
    import ssl  # here, since they are slow to load

    import truststore

    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    certificates = os.environ.get("SSL_CERT_FILE")
    if certificates:
        try:
            context.load_verify_locations(certificates)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigurationError(f"SSL_CERT_FILE can't be read: {certificates!r} ({error})") from error
    return context
