"""From a base URL to where to connect and what to request.

Source: RFC 3986; an IPv6 host stands in brackets.
"""

from typing import NamedTuple

from firsttoken.errors import ConfigurationError

_PORTS = {"http": 80, "https": 443}
_HINT = "as in https://api.openai.com/v1"
LETTERS_AND_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_HOST = frozenset(LETTERS_AND_DIGITS + "-._~:%")
_PLAIN_HOST = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-.")
_PLAIN_PATH = frozenset(LETTERS_AND_DIGITS + "-._~/")


class Origin(NamedTuple):
    """Where a connection goes: scheme, host without brackets, port."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """As in the header `host`: the port only where it is not the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS.get(self.scheme) else f"{host}:{self.port}"

    @property
    def address(self) -> str:
        """Host and port, always both: as in CONNECT and in messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Endpoint(NamedTuple):
    """An address to post to: the origin, and the path with its query."""

    origin: Origin
    target: str

    @property
    def url(self) -> str:
        """The absolute URI."""
        return f"{self.origin.scheme}://{self.origin.authority}{self.target}"


def chat_completions_endpoint(base_url: str) -> Endpoint:
    """The address of `/chat/completions` below a base URL; a query of the base URL is kept.

    A URL that ends in `/chat/completions` or `/invocations` (Databricks, SageMaker) is the address itself.

    Raises:
        ConfigurationError: as `split_url` does.
    """
    origin, path, query = split_url(base_url, "base_url")
    path = path.rstrip("/")
    target = path if path.endswith(("/chat/completions", "/invocations")) else f"{path}/chat/completions"
    return Endpoint(origin, f"{target}?{query}" if query else target)


def models_endpoint(base_url: str) -> Endpoint:
    """The address of `/models` below a base URL, or beside the `/chat/completions` that it ends in.

    Raises:
        ConfigurationError: as `chat_completions_endpoint` does.
    """
    origin, target = chat_completions_endpoint(base_url)
    path, mark, query = target.partition("?")
    return Endpoint(origin, f"{path.removesuffix('/chat/completions')}/models{mark}{query}")


def split_url(url: str, what: str, hint: str = _HINT) -> tuple[Origin, str, str]:
    """Origin, path and query of an http or https URL.

    Raises:
        ConfigurationError: it is not an http(s) URL, contains a user or password (which would end up in logs), or has
            port 0.
    """
    if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"{what} must be a str, not {type(url).__name__}", hint=hint)
    plain = _split_plain(url)
    if plain is not None:
        return plain
    from urllib.parse import urlsplit  # here: it takes two milliseconds to load

    shown = repr(url.partition("?")[0])  # a query may hold a key
    try:
        parts = urlsplit(url)
        has_user = "@" in parts.netloc
        port = None if has_user else parts.port
    except ValueError as error:
        raise ConfigurationError(f"{what}: invalid URL: {'…' if '@' in url else shown}") from error
    if has_user:
        raise ConfigurationError(f"{what} must not contain a user or password", hint="use api_key= or default_headers=")
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ConfigurationError(f"{what} must be an http(s) URL: {shown}", hint=hint)
    if port == 0:
        raise ConfigurationError(f"{what}: the port must not be 0: {shown}")
    rest = parts.path + parts.query
    if not rest.isascii() or any(character <= " " or character == "\x7f" for character in rest):
        raise ConfigurationError(f"{what}: invalid character, which must be percent-encoded: {shown}")
    return (
        Origin(parts.scheme, ascii_host(parts.hostname, what), _PORTS[parts.scheme] if port is None else port),
        parts.path,
        parts.query,
    )


def _split_plain(url: str) -> tuple[Origin, str, str] | None:
    """The parts of a URL as most are: lower case, no user, no query, nothing to decode; None for any other."""
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    host, colon, port = authority.partition(":")
    if not mark or scheme not in _PORTS or not host or not _PLAIN_HOST.issuperset(host):
        return None
    is_port = port.isascii() and port.isdecimal() and len(port) <= len("65535") and 0 < int(port) <= 65535
    if not _PLAIN_PATH.issuperset(path) or (colon and not is_port):
        return None
    return Origin(scheme, host, int(port) if colon else _PORTS[scheme]), slash + path, ""


def ascii_host(host: str, what: str) -> str:
    """A host name as the resolver takes it; international names by IDNA 2008 (RFC 5891).

    Raises:
        ConfigurationError: it is not a valid host, or can't be encoded without the package idna.
    """
    try:
        plain = host if host.isascii() else _international(host, what)
    except UnicodeError as error:
        raise ConfigurationError(f"{what}: invalid host: {host!r}") from error
    if not _HOST.issuperset(plain):
        raise ConfigurationError(f"{what}: invalid host: {host!r}")
    return plain


def _international(host: str, what: str) -> str:
    try:
        import idna
    except ImportError:
        from unicodedata import normalize

        # The standard library has IDNA 2003, which makes another host of some: faß.de would be fass.de.
        encoded = host.encode("idna")
        if encoded.decode("idna") != normalize("NFC", host.lower()):
            raise ConfigurationError(
                f"{what}: the host {host!r} needs IDNA 2008",
                hint="write it in ASCII (xn--…) or install the package idna",
            ) from None
        return encoded.decode("ascii")
    return idna.encode(host, uts46=True).decode("ascii")
