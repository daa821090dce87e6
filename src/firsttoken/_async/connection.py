"""A connection over an asyncio transport, plain or TLS.

Owns the transport and its end; hands each read on at once, in the callback that brings it. Refuses to know what the
bytes mean, save the answer to CONNECT.
"""

import asyncio
import errno
import socket
import sys
import threading
from typing import TYPE_CHECKING, Protocol, cast

from firsttoken._client.call import clock
from firsttoken._client.sockets import Address, new_socket, resolve_host
from firsttoken._protocol.proxy import Proxy, Tunnel
from firsttoken._protocol.url import Origin

if TYPE_CHECKING:
    import ssl

    from firsttoken._async.tls import TLSSession

_READ_BYTES = 65536
_FOREVER = float("inf")

_shared = threading.local()


def _read_buffer() -> memoryview:
    """Memory to read into: one piece a thread, since a loop reads one connection after the other.

    asyncio would otherwise get a quarter of a MiB from the system for each read, and give it back: two page faults a
    chunk. Where a read waits in the system with its buffer (Windows), each connection has its own.
    """
    buffer: memoryview | None = getattr(_shared, "buffer", None)
    if buffer is None or sys.platform == "win32":
        buffer = _shared.buffer = memoryview(bytearray(_READ_BYTES))
    return buffer


class DeadlineError(Exception):
    """The deadline of a wait has passed."""


class AbortedError(Exception):
    """The connection was aborted by another task."""


class ConnectionListener(Protocol):
    """Who is told what a connection brings."""

    def on_data(self, data: bytes) -> None:
        """Bytes were read."""
        ...

    def on_lost(self, error: Exception | None) -> None:
        """The connection has ended: by its end (None) or by an error."""
        ...

    def on_exception(self, error: BaseException) -> None:
        """Code of the caller, in a client of its own, has raised this."""
        ...


class Connection(asyncio.BufferedProtocol):
    """One connection, first to be opened, then for one exchange after another.

    Attributes:
        used: whether it has served an exchange before.
        receiver: who is told; None while the connection is idle.
        is_paused: whether the receiver has had enough.
    """

    def __init__(self) -> None:
        self.used = False
        self.receiver: ConnectionListener | None = None
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._tls: TLSSession | None = None
        self._handshake: asyncio.Future[None] | None = None
        self._buffer = _read_buffer()
        self.is_paused = False

    async def open(
        self, origin: Origin, proxy: Proxy | None, ssl_context: "ssl.SSLContext | None", until_s: float
    ) -> None:
        """Connect: look up, TCP, the proxy's tunnel, TLS.

        Args:
            origin: where to.
            proxy: through which proxy, if any.
            ssl_context: for https.
            until_s: the deadline, on the monotonic clock.

        Raises:
            DeadlineError: the deadline has passed.
            OSError: there is no connection to be had.
            APIStatusError: the proxy refused the tunnel.
            ResponseFormatError: the proxy does not speak HTTP.
        """
        near = origin if proxy is None else proxy.origin
        try:
            async with asyncio.timeout(_left_s(until_s)):
                sock = await _connect(near.host, near.port, until_s)
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
        self._handshake = loop.create_future()
        await loop.create_connection(lambda: self, sock=sock)
        try:
            self._shake_hands(self._tls, None)
            await self._handshake
        finally:
            self._handshake = None

    def _shake_hands(self, tls: "TLSSession", data: memoryview | None) -> None:
        """Go on with the handshake; whoever waits for it is told of its end."""
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
        """Send bytes as the connection takes them; if it is lost, the receiver is told."""
        if self._transport is not None:
            self._transport.write(data if self._tls is None else self._tls.encrypt(data))

    def pause(self) -> None:
        """Read no further: the receiver has enough."""
        if self._transport is not None and not self.is_paused and not self._transport.is_closing():
            self.is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and self.is_paused and not self._transport.is_closing():
            self.is_paused = False
            self._transport.resume_reading()

    @property
    def is_alive(self) -> bool:
        """Whether the connection is open, as far as the loop has seen."""
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """Close the connection at once; nobody is told."""
        self.receiver = None
        transport, self._transport = self._transport, None
        if transport is not None:
            try:
                transport.abort()
            except RuntimeError:  # its loop is closed, and closes nothing any more
                if self._socket is not None:
                    self._socket.close()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is ready."""
        self._transport = cast("asyncio.Transport", transport)  # by protocol: uvloop's is no subclass

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's guess is always the same
        """Where the next read goes; what it brings is taken out before anybody else reads."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes were read."""
        if self._tls is not None:
            self._take_tls(self._tls, self._buffer[:nbytes])
        elif self.receiver is None:
            self.close()  # an idle connection has nothing to say
        else:
            self.receiver.on_data(bytes(self._buffer[:nbytes]))

    def _take_tls(self, tls: "TLSSession", data: memoryview) -> None:
        if not tls.is_established:
            self._shake_hands(tls, data)
            if not tls.is_established:
                return
            data = data[:0]  # what came behind the handshake is in the session already
        said = tls.decrypt(data)
        if self._transport is not None and (outgoing := tls.data_to_send()):
            self._transport.write(outgoing)  # the session's own, of new keys
        if said and self.receiver is not None:
            self.receiver.on_data(said)
        elif said:
            self.close()
        if tls.has_ended or tls.failure is not None:
            receiver = self.receiver
            self.close()
            if receiver is not None:
                receiver.on_lost(tls.failure)

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is closed; `eof_received` returns None, so that this follows the peer's end too."""
        self._transport = None
        if self._handshake is not None and self._tls is not None:
            self._lose_handshake(self._tls, exc)
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            receiver.on_lost(exc)

    def _lose_handshake(self, tls: "TLSSession", error: Exception | None) -> None:
        if error is None:
            tls.receive_eof()
            self._shake_hands(tls, None)
        else:
            self._end_handshake(error)


async def _connect(host: str, port: int, until_s: float) -> socket.socket:
    """Try the addresses in turn, each for its share of the time, so that a dead one does not use it up."""
    loop = asyncio.get_running_loop()
    addresses = await _resolve(host, port)
    failure: Exception = OSError(errno.EADDRNOTAVAIL, "the host has no address")
    for position, (family, address) in enumerate(addresses):
        left_s = _left_s(until_s)
        sock = new_socket(family)
        try:
            async with asyncio.timeout(None if left_s is None else left_s / (len(addresses) - position)):
                await loop.sock_connect(sock, address)
        except OSError as error:  # TimeoutError is one
            sock.close()
            failure = error
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
    """The addresses of a host; one that is an address needs no thread to be looked up in."""
    numeric = resolve_host(host, port, socket.AI_NUMERICHOST)
    return numeric or await asyncio.get_running_loop().run_in_executor(None, resolve_host, host, port)


async def _open_tunnel(sock: socket.socket, origin: Origin, proxy: Proxy) -> None:
    loop = asyncio.get_running_loop()
    tunnel = Tunnel(origin, proxy)
    await loop.sock_sendall(sock, tunnel.request)
    while not tunnel.is_open:
        tunnel.receive_data(await loop.sock_recv(sock, _READ_BYTES))


def _left_s(until_s: float) -> float | None:
    return None if until_s == _FOREVER else max(0.0, until_s - clock())
