"""TLS contexts: the system's trust store, and `SSL_CERT_FILE`."""

import os
import ssl

import truststore

from firsttoken.errors import ConfigurationError


class TLSContexts:
    """The contexts of a client.

    truststore holds a lock of its context during a handshake, so that a server that never answers would block all other
    threads. So each context serves one handshake at a time, and more are made when needed.

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
        """Return a context when its handshake is over."""
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
