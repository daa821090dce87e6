"""TLS contexts: the system's trust store, and `SSL_CERT_FILE`."""

import os
import ssl

import truststore

from firsttoken.errors import ConfigurationError


class TLSContexts:
    """The contexts of a client.

    truststore holds a lock of its context for the whole of a handshake, so that a server which never answers would
    stop all other threads. Hence a context serves one handshake at a time, and there are as many as are needed.

    Args:
        given: the caller's own context, used for all connections; None for the system's trust store.
    """

    def __init__(self, given: ssl.SSLContext | None) -> None:
        self._given = given
        self._free: list[ssl.SSLContext] = []

    def borrow(self) -> ssl.SSLContext:
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

    def give_back(self, context: ssl.SSLContext) -> None:
        """Take a context back when its handshake is over."""
        if context is not self._given:
            self._free.append(context)


def _system_context() -> ssl.SSLContext:
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
