"""Which proxy a request goes through, and the opening of a tunnel by CONNECT.

The environment's rules: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, lower case first.

Sources: the conventions that curl documents for these variables; RFC 9110, sections 9.3.6 (CONNECT) and 11.7.1.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from firsttoken._protocol.url import Origin, ascii_host
from firsttoken.errors import ConfigurationError

if TYPE_CHECKING:
    from urllib.parse import SplitResult


class Proxy(NamedTuple):
    """A proxy: its origin, and the value of `proxy-authorization`, "" for none."""

    origin: Origin
    authorization: str

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that no error may contain: the credentials as they are sent, and the user and the password in them."""
        from base64 import b64decode  # here, as all that few programs need: without a proxy nothing is parsed

        sent = self.authorization.removeprefix("Basic ")
        user, _, password = b64decode(sent).decode("utf-8", "surrogateescape").partition(":")
        return sent, user, password

    def __repr__(self) -> str:
        return f"Proxy({self.origin.address})"  # without the password


def proxy_for(origin: Origin, given: str | None, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy that requests to an origin go through; None for a direct connection.

    Args:
        origin: where the request goes.
        given: the caller's choice: a URL, "" for none, None for the environment's.
        environment: the environment variables.

    Raises:
        ConfigurationError: the proxy is not an http URL. The message does not contain it: it may include a password.
    """
    url, what = proxy_url_for(origin, given, environment)
    return _parse(url, what) if url else None


def proxy_url_for(origin: Origin, given: str | None, environment: Mapping[str, str]) -> tuple[str, str]:
    """The URL of that proxy, unchecked, and where it comes from: the argument or a variable; "" for none."""
    if given is not None:
        return given, "proxy"
    if "REQUEST_METHOD" in environment:
        environment = dict(environment)  # on Windows, where names have no case, `http_proxy` would find HTTP_PROXY
    name = f"{origin.scheme}_proxy"
    for variable in (name, name.upper(), "all_proxy", "ALL_PROXY"):
        if variable == "HTTP_PROXY" and "REQUEST_METHOD" in environment:
            continue  # in a CGI script a client's header `Proxy` sets it (CVE-2016-5385)
        url = environment.get(variable, "").strip()
        if url:
            bypass = environment.get("no_proxy") or environment.get("NO_PROXY", "")
            return "" if is_bypassed(origin, bypass) else url, variable
    return "", ""


def _parse(url: str, what: str) -> Proxy:
    from urllib.parse import urlsplit

    if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"{what} must be a str, not {type(url).__name__}", hint="as in http://127.0.0.1:3128")
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = 80 if parts.port is None else parts.port
    except ValueError:
        # Not chained: the words of the cause show a part of the URL.
        raise ConfigurationError(f"{what}: invalid host or port in the URL of the proxy") from None
    if parts.scheme != "http" or not parts.hostname:
        raise ConfigurationError(
            f"{what}: the proxy must be an http:// URL",
            hint='proxy="" connects directly; http_client= takes a client that speaks SOCKS or TLS to a proxy',
        )
    if port == 0:
        raise ConfigurationError(f"{what}: the port of the proxy must not be 0")
    return Proxy(Origin("http", ascii_host(parts.hostname, what), port), _authorization(parts, what))


def _authorization(parts: "SplitResult", what: str) -> str:
    from base64 import b64encode
    from urllib.parse import unquote_to_bytes

    if parts.username is None:
        return ""
    try:
        # The environment's bytes that are not UTF-8 come as surrogates, and go out as they were.
        user, password = (
            unquote_to_bytes(word.encode("utf-8", "surrogateescape")) for word in (parts.username, parts.password or "")
        )
    except UnicodeEncodeError:
        raise ConfigurationError(f"{what}: invalid character in the user or password of the proxy") from None
    return "Basic " + b64encode(user + b":" + password).decode("ascii")


def is_bypassed(origin: Origin, no_proxy: str) -> bool:
    """Whether `NO_PROXY` names an origin: by host, parent domain, address, network (CIDR), with a port or "*"."""
    host = origin.host.lower().rstrip(".")
    for entry in no_proxy.replace(",", " ").split():
        name = entry.lower()
        if name == "*":
            return True
        name, port = _split_port(name)
        if port and port != str(origin.port):
            continue
        name = name.removeprefix("*").strip(".")
        if name and (host == name or host.endswith(f".{name}") or _in_network(host, name)):
            return True
    return False


def _split_port(entry: str) -> tuple[str, str]:
    if entry.startswith("["):
        host, _, port = entry[1:].partition("]")
        return host, port.lstrip(":")
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, port
    return entry, ""


def _in_network(host: str, network: str) -> bool:
    if not (host[-1:].isdigit() or ":" in host):
        return False
    import ipaddress

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def connect_head(origin: Origin, proxy: Proxy) -> bytes:
    """The request that opens a tunnel to an origin."""
    lines = [f"CONNECT {origin.address} HTTP/1.1", f"host: {origin.address}"]
    if proxy.authorization:
        lines.append(f"proxy-authorization: {proxy.authorization}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


class Tunnel:
    """The opening of a tunnel: send `request`, then feed what is received until it is open.

    Args:
        origin: where the tunnel is to lead.
        proxy: through which proxy.

    Attributes:
        request: the bytes to send.
        is_open: whether the proxy has accepted.
    """

    def __init__(self, origin: Origin, proxy: Proxy) -> None:
        from firsttoken._protocol.http1 import ResponseParser

        self.request = connect_head(origin, proxy)
        self.is_open = False
        self._proxy = proxy
        self._parser = ResponseParser(tunnel=True)

    def receive_data(self, data: bytes) -> None:
        """Receive bytes of the proxy's response; b"" is the end of its connection.

        Raises:
            ConnectionResetError: it closed the connection without a response.
            APIStatusError: it refused. Not one of the subclasses, since the server did not refuse.
            ResponseFormatError: it does not speak HTTP/1.1.
        """
        if not data:
            self._parser.release()
            raise ConnectionResetError(f"the proxy {self._proxy.origin.address} closed the connection")
        self._parser.receive_data(data)
        info, failure = self._parser.info, self._parser.failure
        if info is None and failure is None:
            return
        self._parser.release()
        if failure is not None:
            raise failure
        if info is not None and not 200 <= info.status <= 299:
            from firsttoken._protocol.server_error import proxy_refusal

            raise proxy_refusal(info.status, self._proxy.origin.address)
        self.is_open = True
