"""Bytes of a connection to requests: HTTP/1.1, and 1.0; the parser is httptools'."""

from collections import deque

import httptools

from firsttoken.testing._server.journal import Request, RequestHeaders


class MalformedRequestError(Exception):
    """What a client sent is not an HTTP/1 request.

    Attributes:
        data: the bytes in which that was seen.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(f"a client sent an invalid HTTP/1 request: {data[:200]!r}")
        self.data = data


class Requests:
    """The requests of one connection.

    Args:
        connection: its number.

    Attributes:
        expects_continue: whether the client waits for a `100 Continue` before it sends the body.
    """

    def __init__(self, connection: int) -> None:
        self.expects_continue = False
        self._connection = connection
        self._ready: deque[Request] = deque()
        self._malformed: bytes | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._target: list[bytes] = []
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._ignored_headers: dict[str, str] = {}

    def receive_data(self, data: bytes) -> None:
        """Take bytes."""
        while data and self._malformed is None:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if not self._ready or self._ready[-1].method == "CONNECT":
                    return  # what follows is for the other end of the tunnel
                data = self._without_upgrade(self._ready.pop()) + data[upgrade.args[0] :]
            except httptools.HttpParserError:
                self._malformed = data
            else:
                return

    def take(self) -> Request | None:
        """The next request; None where none is there yet.

        Raises:
            MalformedRequestError: there will be none.
        """
        if self._ready:
            return self._ready.popleft()
        if self._malformed is not None:
            raise MalformedRequestError(self._malformed)
        return None

    def _without_upgrade(self, request: Request) -> bytes:
        """The head of a request without its wish for another protocol, which a server may pass over.

        RFC 9110, section 7.8. The parser takes the body for the other protocol; Java's client has both, a body and
        the wish for HTTP/2.
        """
        self._parser = httptools.HttpRequestParser(self)
        self._ignored_headers = dict(request.headers)
        words = request.headers.get("connection", "").split(",")
        kept = self._ignored_headers | {
            "connection": ",".join(word for word in words if word.strip().lower() != "upgrade")
        }
        kept.pop("upgrade", None)
        lines = "".join(f"{name}: {value}\r\n" for name, value in kept.items())
        return f"{request.method} {request.target} HTTP/{request.http_version}\r\n{lines}\r\n".encode("latin-1")

    # What httptools calls while it is fed.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._target, self._headers, self._body = [], {}, []

    def on_url(self, url: bytes) -> None:
        """A piece of the target is there."""
        self._target.append(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is there; several of one name are one list (RFC 9110, section 5.3)."""
        key, words = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {words}" if key in self._headers else words

    def on_headers_complete(self) -> None:
        """The head is there; some clients wait for a word before they send a long body."""
        self.expects_continue = self._headers.get("expect", "").lower() == "100-continue"

    def on_body(self, body: bytes) -> None:
        """A piece of the body is there."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self.expects_continue = False
        method = self._parser.get_method().decode("latin-1")
        self._ready.append(
            Request(
                method,
                b"".join(self._target).decode("latin-1"),
                RequestHeaders(self._headers | self._ignored_headers),
                b"".join(self._body),
                self._connection,
                self._parser.get_http_version(),
                self._parser.should_keep_alive() and method != "CONNECT",
            )
        )
        self._ignored_headers = {}
