"""A throw-away authority, and a server's certificate of it; the work is trustme's."""

import ssl
import tempfile
from pathlib import Path

from firsttoken._version import install_hint


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
