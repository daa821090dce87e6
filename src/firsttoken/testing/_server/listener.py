"""Where clients connect: a loopback port, taken as long as the server lives, and open or not; and TLS."""

import os
import selectors
import socket
import ssl
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from firsttoken._version import install_hint


class WakeupPipe:
    """Something to select on; once it has rung it stays so.

    Attributes:
        is_set: whether it has.
    """

    def __init__(self) -> None:
        self.is_set = False
        self.reader, self.writer = socket.socketpair()
        self._process = os.getpid()

    def fileno(self) -> int:
        """What becomes readable when it rings."""
        return self.reader.fileno()

    def set(self) -> None:
        """Wake all who wait. In a forked child nobody is woken: the threads, and the server, are the parent's."""
        if os.getpid() == self._process:
            self.is_set = True
            self.writer.close()

    def close(self) -> None:
        """Give up the sockets; nobody may wait any more."""
        self.writer.close()
        self.reader.close()


_JOIN_S = 5.0


class Port:
    """A port.

    Args:
        number: which; 0 for any that is free.
        begin: is called with each connection.
        fail: is called with what ended the accepting.

    Attributes:
        number: which it is.

    Raises:
        OSError: it is taken.
    """

    def __init__(
        self, number: int, begin: Callable[[socket.socket], None], fail: Callable[[BaseException], None]
    ) -> None:
        self._listener = _bind(number)
        self.number: int = self._listener.getsockname()[1]
        self._begin = begin
        self._fail = fail
        self._accepting: tuple[threading.Thread, WakeupPipe] | None = None

    def open(self) -> None:
        """Take connections, if it does not."""
        if self._accepting is None:
            self._listener.listen(1024)
            self._listener.setblocking(False)
            wakeup = WakeupPipe()
            thread = threading.Thread(
                target=self._accept, args=(self._listener, wakeup), name="scripted server", daemon=True
            )
            self._accepting = thread, wakeup
            thread.start()

    def stop_listening(self) -> None:
        """Refuse connections; those that are there stay."""
        if self._accepting is not None:
            self.close()
            self._listener = _bind(self.number)

    def close(self) -> None:
        """Give the port up."""
        if self._accepting is not None:
            thread, wakeup = self._accepting
            self._accepting = None
            wakeup.set()
            thread.join(_JOIN_S)
            wakeup.close()
        self._listener.close()

    def _accept(self, listener: socket.socket, wakeup: WakeupPipe) -> None:
        with selectors.SelectSelector() if sys.platform == "win32" else selectors.PollSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(wakeup, selectors.EVENT_READ)
            while selector.select() and not wakeup.is_set:
                try:
                    sock, _ = listener.accept()
                except (BlockingIOError, ConnectionError):  # pragma: no cover - some systems forget who has left
                    continue
                except OSError as error:  # no more descriptors: better that clients are refused than that they hang
                    self._fail(error)
                    listener.close()
                    return
                self._begin(sock)


def _bind(number: int) -> socket.socket:
    listener = socket.socket()
    try:
        if os.name == "posix":  # pragma: no branch - elsewhere it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # which its connections inherit
        listener.bind(("127.0.0.1", number))
    except OSError:
        listener.close()
        raise
    return listener


class Authority:
    """An authority that vouches for "localhost" and 127.0.0.1, and that nobody else knows.

    Raises:
        ImportError: trustme is not installed.
    """

    def __init__(self) -> None:
        try:
            import trustme
        except ImportError as error:
            message = f"a server with TLS needs trustme, which is not installed; hint: {install_hint('testing')}"
            raise ImportError(message) from error
        self._ca = trustme.CA()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def server_context(self) -> ssl.SSLContext:
        """A server's side of TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert("localhost", "127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
        return context

    def client_context(self) -> ssl.SSLContext:
        """A client's side, that trusts this authority alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._ca.configure_trust(context)  # pyright: ignore[reportUnknownMemberType] - pyOpenSSL's types are not there
        return context

    def file(self) -> str:
        """The path of a file with the authority's certificate, as long as this is open."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="firsttoken-ca-")
        path = Path(self._folder.name, "ca.pem")
        if not path.exists():
            self._ca.cert_pem.write_to_path(str(path))
        return str(path)

    def close(self) -> None:
        """Remove the file."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
