"""Steps that say what stands on the wire: bytes, heads, complete responses, and the connection's end."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from firsttoken.testing._script.step import JSON, Step, require_bytes

if TYPE_CHECKING:
    from firsttoken.testing._server.response import ResponseWriter


@dataclass(frozen=True, slots=True)
class _Raw:
    data: bytes

    def play(self, response: "ResponseWriter") -> None:
        response.send_body(self.data)


def body_bytes(data: bytes) -> Step:
    """Send bytes of the body, which need be no event.

    Raises:
        TypeError: `data` is not bytes.
    """
    require_bytes("body_bytes", data)
    return _Raw(data)


def comment(words: str = "keep-alive") -> Step:
    """Send an SSE comment."""
    return body_bytes(f": {words}\n\n".encode())


@dataclass(frozen=True, slots=True)
class _Wire:
    data: bytes

    def play(self, response: "ResponseWriter") -> None:
        response.send_wire_bytes(self.data)


def wire_bytes(data: bytes) -> Step:
    """Put bytes on the connection as they are, outside of HTTP's framing.

    Raises:
        TypeError: `data` is not bytes.
    """
    require_bytes("wire_bytes", data)
    return _Wire(data)


@dataclass(frozen=True, slots=True)
class _Head:
    status: int
    headers: Mapping[str, str]
    framing: str
    interim: bool

    def play(self, response: "ResponseWriter") -> None:
        if self.interim:
            response.send_interim(self.status, self.headers)
        else:
            response.send_head(self.status, self.headers, self.framing)


def head(status: int = 200, headers: Mapping[str, str] | None = None, *, framing: str = "chunked") -> Step:
    """Send the head of a stream; without this step the first chunk sends it.

    Args:
        status: the HTTP status.
        headers: besides `content-type: text/event-stream`, or instead of it.
        framing: "chunked", or "close" for a body that ends with the connection.
    """
    if framing not in ("chunked", "close"):
        raise ValueError(f'framing must be "chunked" or "close": {framing!r}')
    return _Head(status, headers or {}, framing, interim=False)


def interim(status: int = 103, headers: Mapping[str, str] | None = None) -> Step:
    """Send a 1xx response, after which the real one is to come.

    Raises:
        ValueError: the status is not 1xx.
    """
    if not 100 <= status <= 199:
        raise ValueError(f"an interim response has a status of 1xx, not {status}; hint: head() sends the real one")
    return _Head(status, headers or {}, "chunked", interim=True)


@dataclass(frozen=True, slots=True)
class _Respond:
    status: int
    body: bytes
    headers: Mapping[str, str]

    def play(self, response: "ResponseWriter") -> None:
        response.send_response(self.status, self.body, self.headers)


def respond(status: int = 200, body: JSON | str | bytes = b"", headers: Mapping[str, str] | None = None) -> Step:
    """Send a complete response that is not a stream.

    Args:
        status: the HTTP status.
        body: a dict goes as JSON, a `str` as HTML; bytes go as they are, without a content type.
        headers: besides `content-type` and `content-length`, or instead of them.
    """
    if isinstance(body, bytes):
        return _Respond(status, body, headers or {})
    if isinstance(body, str):
        return _Respond(status, body.encode(), {"content-type": "text/html; charset=utf-8"} | dict(headers or {}))
    return _Respond(status, json.dumps(body).encode(), {"content-type": "application/json"} | dict(headers or {}))


def error(
    status: int = 500,
    message: str = "the server had an error",
    *,
    kind: str | None = "server_error",
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Step:
    """Refuse, with an error of OpenAI's shape, whose `type` is `kind`."""
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return respond(status, body, headers)


@dataclass(frozen=True, slots=True)
class _Disconnect:
    how: str

    def play(self, response: "ResponseWriter") -> None:
        response.disconnect(reset=self.how == "reset")


def close() -> Step:
    """Close the connection, wherever the answer is, with a FIN: the body's end is not sent."""
    return _Disconnect("close")


def reset() -> Step:
    """Break the connection, with a RST."""
    return _Disconnect("reset")


def end() -> Step:
    """End the body properly. A script that has come to its end does so by itself."""
    return _End()


@dataclass(frozen=True, slots=True)
class _End:
    def play(self, response: "ResponseWriter") -> None:
        response.end()
