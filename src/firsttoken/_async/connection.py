"""A connection over an asyncio transport, plain or TLS.

Each read is passed on at once, in the callback that brings it. It does not know what the bytes mean, except those of
the response to CONNECT.
"""

import asyncio
import errno
import math
import socket
import sys
import threading
from typing import TYPE_CHECKING, Protocol, cast

from firsttoken._client.sockets import (
    Address,
    DeadlineError,
    clock,
    is_untaken,
    new_socket,
    plain_error,
    resolve_host,
    wait_until_ready,
)
from firsttoken._protocol.proxy import Proxy, Tunnel
from firsttoken._protocol.url import Origin

if TYPE_CHECKING:
    import ssl

    from firsttoken._async.tls import TLSSession

_READ_BYTES = 65536

_thread_local = threading.local()


def _read_buffer() -> memoryview:
    """Memory to read into: one buffer a thread, since a loop reads one connection after the other.

    asyncio would otherwise get a quarter of a MiB from the system for each read, and give it back: two page faults a
    chunk. Where a read waits in the system with its buffer (Windows), each connection has its own.
    """
    buffer: memoryview | None = getattr(_thread_local, "buffer", None)
    if buffer is None or sys.platform == "win32":
        buffer = _thread_local.buffer = memoryview(bytearray(_READ_BYTES))
    return buffer


class ConnectionListener(Protocol):
    """Receives what a connection reports."""

    def on_data(self, data: bytes) -> None:
        """Bytes were read."""
        ...

    def on_connection_lost(self, error: Exception | None) -> None:
        """The connection has ended: by its end (None) or by an error."""
        ...

    def on_exception(self, error: BaseException) -> None:
        """The caller's code, in a client of its own, has raised this."""
        ...


class Connection(asyncio.BufferedProtocol):
    """One connection: it is opened, then serves one request after another.

    Attributes:
        is_reused: whether it has served a request before.
        listener: receives it; None while the connection is idle.
        is_paused: whether reading has been paused.
    """

    __slots__ = (
        "__weakref__",
        "_buffer",
        "_early",
        "_handshake",
        "_sent_bytes",
        "_socket",
        "_tls",
        "_transport",
        "is_paused",
        "is_reused",
        "listener",
    )

    def __init__(self) -> None:
        self.is_reused = False
        self.listener: ConnectionListener | None = None
        self._early = b""  # of a response that began before its request was sent completely
        self._sent_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._tls: TLSSession | None = None
        self._handshake: asyncio.Future[None] | None = None
        self._buffer = _read_buffer()
        self.is_paused = False

    async def open(
        self, origin: Origin, proxy: Proxy | None, ssl_context: "ssl.SSLContext | None", deadline: float
    ) -> None:
        """Connect: name lookup, TCP, the proxy's tunnel, TLS.

        Args:
            origin: where to.
            proxy: through which proxy, if any.
            ssl_context: for https.
            deadline: on the monotonic clock.

        Raises:
            DeadlineError: the deadline has passed.
            OSError: no connection could be made.
            APIStatusError: the proxy refused the tunnel.
            ResponseFormatError: the proxy does not speak HTTP.
        """
        first_hop = origin if proxy is None else proxy.origin
        try:
            async with asyncio.timeout(_left_s(deadline)):
                sock = await _connect(first_hop.host, first_hop.port, deadline)
                try:
                    if proxy is not None and ssl_context is not None:
                        await _open_tunnel(sock, origin, proxy)
                    await self._start(sock, origin.host, ssl_context)
                except BaseException:
                    self.close()
                    sock.close()
                    raise
        except TimeoutError as error:
            if error.errno is not None:  # the system's own, of the TCP handshake
                raise
            raise DeadlineError from None

    async def _start(self, sock: socket.socket, host: str, ssl_context: "ssl.SSLContext | None") -> None:
        loop = asyncio.get_running_loop()
        self._socket = sock
        if ssl_context is None:
            await loop.create_connection(lambda: self, sock=sock)
            return
        from firsttoken._async.tls import TLSSession

        self._tls = TLSSession(ssl_context, host)
        handshake = self._handshake = loop.create_future()
        try:
            await loop.create_connection(lambda: self, sock=sock)
            self._do_handshake(self._tls, None)
            await handshake
        finally:
            self._handshake = None
            if handshake.done() and not handshake.cancelled():
                handshake.exception()  # else asyncio may log it as never retrieved

    def _do_handshake(self, tls: "TLSSession", data: memoryview | None) -> None:
        """Continue the handshake; notify who waits for its end."""
        try:
            tls.do_handshake(data)
        except Exception as error:  # noqa: BLE001 - `ssl` raises more than its own errors: all are for the one who waits
            self._end_handshake(error)
        if self._transport is not None and (outgoing := tls.data_to_send()):
            self._transport.write(outgoing)
        if tls.is_established:
            self._end_handshake(None)

    def _end_handshake(self, error: Exception | None) -> None:
        handshake = self._handshake
        if handshake is None or handshake.done():
            return
        if error is None:
            handshake.set_result(None)
        else:
            handshake.set_exception(error)

    def send(self, data: bytes) -> None:
        """Send bytes as the connection takes them; if it is lost, notify the listener."""
        if self._transport is not None:
            self._transport.write(data if self._tls is None else self._tls.encrypt(data))
            self._sent_bytes = 0 if self._transport.is_closing() else len(data)  # it closes where writing fails at once
        if self._early:
            early, self._early = self._early, b""
            self.resume()
            self._deliver(early)

    def pause(self) -> None:
        """Pause reading: the listener has enough."""
        if self._transport is not None and not self.is_paused and not self._transport.is_closing():
            self.is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Resume reading."""
        if self._transport is not None and self.is_paused and not self._transport.is_closing():
            self.is_paused = False
            self._transport.resume_reading()

    def is_untaken(self, *, at_eof: bool) -> bool | None:
        """Whether the server has received nothing of the last request; None where that can't be known.

        Args:
            at_eof: whether the connection ended with a FIN; a reset does not tell what was received.
        """
        if self._socket is None or not at_eof:
            return not self._sent_bytes
        return is_untaken(self._socket, self._sent_bytes)

    def is_alive(self) -> bool:
        """Whether an idle connection is still open, has sent everything, and has nothing to read."""
        transport, sock = self._transport, self._socket
        if transport is None or sock is None or transport.is_closing() or transport.get_write_buffer_size():
            return False
        if self._tls is not None and self._tls.has_pending_data:
            return False
        try:
            return not wait_until_ready(sock, 0, reading=True)
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        """Close the connection at once; the listener is not notified."""
        self.listener = None
        transport, self._transport = self._transport, None
        if transport is not None:
            try:
                transport.abort()
            except RuntimeError:  # its loop is closed
                if self._socket is not None:
                    self._socket.close()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is ready."""
        self._transport = cast("asyncio.Transport", transport)  # by protocol: uvloop's is not a subclass

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's guess is always the same
        """The buffer for the next read; its bytes are taken out before any other connection reads."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes were read."""
        if self._tls is not None:
            self._receive_tls(self._tls, self._buffer[:nbytes])
        elif self.listener is not None:
            self.listener.on_data(bytes(self._buffer[:nbytes]))
        else:
            self._deliver(bytes(self._buffer[:nbytes]))

    def _deliver(self, data: bytes) -> None:
        """Pass on what was read; keep it if there is no listener yet, unless the connection was idle."""
        if self.listener is not None:
            self.listener.on_data(data)
        elif self.is_reused:
            self.close()  # data on an idle connection
        else:
            self._early += data
            self.pause()

    def _receive_tls(self, tls: "TLSSession", data: memoryview) -> None:
        if not tls.is_established:
            self._do_handshake(tls, data)
            if not tls.is_established:
                return
            data = data[:0]  # what came after the handshake is in the session already
        plaintext = tls.decrypt(data)
        if self._transport is not None and (outgoing := tls.data_to_send()):
            self._transport.write(outgoing)  # the session's own, of new keys
        if plaintext:
            self._deliver(plaintext)
        if tls.close_notify_received or tls.failure is not None:
            listener = self.listener
            self.close()
            if listener is not None:
                listener.on_connection_lost(tls.failure)

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is closed; `eof_received` returns None, so that this follows the peer's end too."""
        if exc is not None and self.listener is not None and self._socket is not None:
            self._read_rest(self._socket)
        self._transport = None
        if self._handshake is not None and self._tls is not None:
            self._lose_handshake(self._tls, exc)
        listener, self.listener = self.listener, None
        if listener is not None:
            listener.on_connection_lost(exc)

    def _read_rest(self, sock: socket.socket) -> None:
        """Read what came before the loss.

        asyncio reads no more once writing has failed, and a server that refuses a request may have responded before it
        stopped to read.
        """
        while self.listener is not None:
            try:
                size = sock.recv_into(self._buffer)
            except (OSError, ValueError):
                return
            if not size:
                return
            self.buffer_updated(size)

    def _lose_handshake(self, tls: "TLSSession", error: Exception | None) -> None:
        if error is None:
            tls.receive_eof()
            self._do_handshake(tls, None)
        else:
            self._end_handshake(error)


async def _connect(host: str, port: int, deadline: float) -> socket.socket:
    """Try the addresses in turn, each for its share of the time, so that a dead one does not use it all."""
    loop = asyncio.get_running_loop()
    addresses = await _resolve(host, port)
    failure: Exception = OSError(errno.EADDRNOTAVAIL, "the host has no address")
    for position, (family, address) in enumerate(addresses):
        left_s = _left_s(deadline)
        sock = new_socket(family)
        try:
            async with asyncio.timeout(None if left_s is None else left_s / (len(addresses) - position)):
                await loop.sock_connect(sock, address)
        except OSError as error:  # TimeoutError is one
            sock.close()
            failure = plain_error(error)
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    try:
        raise failure
    finally:
        del failure  # its traceback refers to this frame


async def _resolve(host: str, port: int) -> list[Address]:
    """The addresses of a host; a numeric one needs no lookup in a thread."""
    numeric = resolve_host(host, port, socket.AI_NUMERICHOST)
    return numeric or await asyncio.get_running_loop().run_in_executor(None, resolve_host, host, port)


async def _open_tunnel(sock: socket.socket, origin: Origin, proxy: Proxy) -> None:
    loop = asyncio.get_running_loop()
    tunnel = Tunnel(origin, proxy)
    await loop.sock_sendall(sock, tunnel.request)
    while not tunnel.is_open:
        tunnel.receive_data(await loop.sock_recv(sock, _READ_BYTES))


def _left_s(deadline: float) -> float | None:
    return None if deadline == math.inf else max(0.0, deadline - clock())
