"""Certificates for tests: an authority of our own, and servers that it vouches for."""

import ssl
from functools import cache

import trustme


@cache
def authority() -> trustme.CA:
    """The authority, one for all tests."""
    return trustme.CA()


def server_context(*names: str, **options: object) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate for these names ("localhost" and its address, if none is given)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = authority().issue_cert(*(names or ("localhost", "127.0.0.1")), **options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    certificate.configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    return context


def client_context() -> ssl.SSLContext:
    """A client's side that trusts the authority and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)  # pyright: ignore[reportUnknownMemberType]
    return context
