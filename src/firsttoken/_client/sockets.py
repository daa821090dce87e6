"""What both drivers do with sockets, and the clock of their deadlines."""

import os
import select
import socket
import sys
import threading
import time

KEEP_ALIVE_AFTER_S = 60
"""Silence after which the system asks the peer whether it is still there: load balancers drop silent connections."""

Address = tuple[socket.AddressFamily, tuple[object, ...]]

clock = time.monotonic


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
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except socket.gaierror:
        if flags & socket.AI_NUMERICHOST:
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
