"""TLS for a connection over asyncio, in memory: what was read goes in, and what it has to send comes out at once.

asyncio has a layer for this too, but that one keeps what it has decrypted while
its reader is paused, and drops it when the connection then breaks.
"""

import ssl

_RECORD_BYTES = 16384
"""The most that one record holds: RFC 8446, section 5.1."""


class TLSSession:
    """The client's side of TLS on one connection.

    Args:
        context: of the client.
        host: whose certificate it must be.

    Attributes:
        is_established: whether the handshake is over, and the certificate good.
        close_notify_received: whether the server has said that nothing more comes.
        failure: what went wrong behind the last good record; None where nothing has.
    """

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self.is_established = False
        self.close_notify_received = False
        self.failure: ssl.SSLError | None = None

    @property
    def has_pending_data(self) -> bool:
        """Whether more was received than makes complete records."""
        return bool(self._incoming.pending)

    def data_to_send(self) -> bytes:
        """What is to be sent to the server, now."""
        return self._outgoing.read()

    def do_handshake(self, data: bytes | memoryview | None) -> None:
        """Go on with bytes of the server, None where there are none yet; `is_established` says when it has ended.

        Raises:
            ssl.SSLError: the handshake failed; send the server what `data_to_send` returns.
        """
        if data is not None:
            self._incoming.write(data)
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.is_established = True

    def receive_eof(self) -> None:
        """Take the end of the connection; a handshake then knows that it failed."""
        self._incoming.write_eof()

    def encrypt(self, data: bytes) -> bytes:
        """The bytes to send for these."""
        self._session.write(data)
        return self.data_to_send()

    def decrypt(self, data: bytes | memoryview) -> bytes:
        """The plaintext of these bytes, and of those before; all of it, up to the end or a failure."""
        self._incoming.write(data)
        plain: list[bytes] = []
        try:
            while plaintext := self._session.read(_RECORD_BYTES):
                plain.append(plaintext)
            self.close_notify_received = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.close_notify_received = True
        except ssl.SSLError as error:
            self.failure = error
        return plain[0] if len(plain) == 1 else b"".join(plain)
