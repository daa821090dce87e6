"""A caller's own httpx2 client as a connection: what both drivers share.

It builds httpx2's request, turns the response into bytes of HTTP/1.1 (so that all decisions stay with the core), and
maps exceptions. It never waits, and is only loaded where a client was given.

Sources: httpx2's documentation of its exceptions, its timeouts, and its extensions "timeout" and "trace".
"""

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import httpx2

from firsttoken._client.call import Machine
from firsttoken._client.prepared import PreparedRequest, long_enough
from firsttoken._client.sockets import clock, plain_error
from firsttoken._protocol.deadlines import Deadlines
from firsttoken._protocol.redaction import secrets_of_headers, secrets_of_query
from firsttoken._protocol.retry import connection_error
from firsttoken._protocol.server_error import status_error
from firsttoken.errors import (
    APIConnectionError,
    APITimeoutError,
    ChatCompletionError,
    ConfigurationError,
    ResponseFormatError,
    StreamTruncatedError,
)

_FRAMING = (b"content-length", b"transfer-encoding", b"connection", b"upgrade")
"""Headers about the connection, which httpx2 has handled: the body is framed anew."""

END = b"0\r\n\r\n"
"""The end of the body, as `encode_chunk` would have it."""

_MARGIN_S = 1.0
"""How much later httpx2's timeouts are than our deadlines: they only clean up after a wait that was abandoned."""

_LONGEST_S = 1e6

_PACKAGES = frozenset(
    {"httpx2", "httpcore2", "h11", "h2", "hpack", "hyperframe", "anyio", "asyncio", "uvloop", "socksio", "ssl"}
)
"""An exception raised in one of these does not come from the caller's code."""

_OWN_TYPES = (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, httpx2.CookieConflict, OSError)


def request_for(
    client: httpx2.Client | httpx2.AsyncClient, request: PreparedRequest, trace: object = None
) -> httpx2.Request:
    """The request of a call, with the headers, cookies and parameters that the client adds to each request.

    Args:
        client: the caller's own.
        request: of the call; its headers override the client's.
        trace: receives the events of httpcore2; None if not needed.

    Raises:
        ConfigurationError: the client is closed, or rejects the URL.
    """
    if client.is_closed:
        raise ConfigurationError("the http_client is closed", hint="close it after the last call that uses it")
    longest_s = _limit_s(request.timeout.first_chunk_s, request.timeout.idle_s)
    connect_s = _limit_s(request.timeout.connect_s, margin_s=0)
    timeout = httpx2.Timeout(connect=connect_s, pool=connect_s, read=longest_s, write=longest_s)
    extensions: dict[str, Any] = {} if trace is None else {"trace": trace}
    try:
        return client.build_request(
            request.method,
            request.route.endpoint.url,
            headers=request.route.headers,
            content=request.body,
            timeout=timeout,
            extensions=extensions,
        )
    except httpx2.InvalidURL as error:
        raise ConfigurationError(f"httpx2 rejected the URL: {error}") from error


def _limit_s(*limits_s: float | None, margin_s: float = _MARGIN_S) -> float | None:
    """The longest of some deadlines, with a margin; None where one is None, or longer than a socket can wait."""
    longest_s = max(_LONGEST_S if limit_s is None else limit_s + margin_s for limit_s in limits_s)
    return None if longest_s >= _LONGEST_S else longest_s


class ConnectionTrace:
    """Tells by the events of httpcore2 whether a request went over a reused connection.

    Attributes:
        is_reused: whether it did.
    """

    def __init__(self) -> None:
        self.is_reused = False
        self._has_connected = False

    def on_event(self, event: str) -> None:
        """Receive an event of httpx2's extension "trace"."""
        if event.endswith((".connect_tcp.complete", ".connect_unix_socket.complete")):
            self._has_connected = True
        elif event.endswith(".send_request_headers.started"):
            self.is_reused, self._has_connected = not self._has_connected, False

    def is_stale(self, error: BaseException, response: httpx2.Response | None) -> bool:
        """Whether an error means that the connection was closed while it was idle."""
        gone = isinstance(error, httpx2.ReadError | httpx2.WriteError) or _is_silent_end(error)
        return self.is_reused and response is None and gone


def _is_silent_end(error: BaseException) -> bool:
    return isinstance(error, httpx2.RemoteProtocolError) and "disconnected without sending" in str(error)


def sent_secrets(response: httpx2.Response) -> tuple[str, ...]:
    """The secrets in what was sent, including those that the client added by its `auth`, cookies and parameters."""
    request = response.request
    return long_enough([*secrets_of_headers(request.headers), *secrets_of_query(request.url.query.decode("latin-1"))])


def encode_head(response: httpx2.Response) -> bytes:
    """The head of a response in HTTP/1.1, for a chunked body whose pieces `encode_chunk` makes."""
    lines = [b"HTTP/1.1 %d" % response.status_code]
    hidden = (*_FRAMING, b"content-encoding") if response.is_stream_consumed else _FRAMING
    lines += [
        name + b": " + value.translate(_ONE_LINE) for name, value in response.headers.raw if name.lower() not in hidden
    ]
    return b"\r\n".join([*lines, b"transfer-encoding: chunked\r\n\r\n"])


_ONE_LINE = bytes.maketrans(b"\r\n\0", b"   ")  # a mock's header may have a second line


def encode_chunk(piece: bytes) -> bytes:
    """A piece of the body as a chunk of HTTP/1.1."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


def buffered_body(response: httpx2.Response) -> Iterator[bytes]:
    """The body that a hook of the caller has read or a mock has made, already decoded."""
    if response.content:
        yield response.content


def map_exception(
    error: BaseException, machine: Machine, response: httpx2.Response | None, trace: ConnectionTrace
) -> BaseException:
    """What to raise in place of an exception of a client; the exception itself where it comes from the caller's code.

    Args:
        error: raised by httpx2, or by the caller's hooks, authentication or transport.
        machine: of the call; its next deadline tells what a timeout of httpx2 means.
        response: whose body was being read; None before the head.
        trace: of the request; the loss of a stale connection becomes a `ConnectionResetError`.
    """
    if not isinstance(error, _OWN_TYPES) and not raised_in_httpx2(error.__traceback__):
        return error
    failure: Exception
    if trace.is_stale(error, response):
        failure = ConnectionResetError("the connection was closed while it was idle")
    else:
        failure = _to_error(error, machine, response)
    failure.__cause__ = error
    return failure


def raised_in_httpx2(traceback: TracebackType | None) -> bool:
    """Whether a builtin exception was raised by httpx2 or below it, not by the caller's code."""
    name = ""
    while traceback is not None:
        name = traceback.tb_frame.f_globals.get("__name__", "")
        traceback = traceback.tb_next
    return name.partition(".")[0] in _PACKAGES


def _to_error(
    error: BaseException, machine: Machine, response: httpx2.Response | None
) -> ChatCompletionError | ConfigurationError:
    request = machine.settings
    match error:
        case httpx2.UnsupportedProtocol() | httpx2.InvalidURL():
            return ConfigurationError(f"httpx2 does not support {request.route.endpoint.origin.scheme}://…: {error}")
        case httpx2.ConnectTimeout() | httpx2.PoolTimeout():
            return _connect_timeout(error, request)
        case httpx2.TimeoutException():
            return machine.timeout_error()
        case httpx2.ProxyError() if str(error)[:3].isdecimal():
            return status_error(int(str(error)[:3]), {}, b"", time.time())
        case httpx2.ConnectError() | httpx2.ProxyError():
            return connection_error(_root(error), "no connection to", request.route_address)
        case httpx2.RemoteProtocolError():
            return _protocol_failure(error, request, response)
        case httpx2.NetworkError() | OSError():
            return connection_error(_root(error), "lost the connection to", request.route_address)
        case httpx2.HTTPStatusError():
            refusal = error.response
            body = refusal.content if refusal.is_stream_consumed else b""
            return status_error(refusal.status_code, refusal.headers, body, time.time())
        case httpx2.DecodingError():
            return ResponseFormatError(f"the compressed body is broken: {error}")
        case _:
            failure = APIConnectionError(
                f"the http_client failed to send to {request.address}: {type(error).__name__}: {error}"
            )
            failure.retryable = False
            return failure


def _connect_timeout(error: httpx2.TimeoutException, request: PreparedRequest) -> APITimeoutError:
    deadlines = Deadlines(request.timeout, clock(), request.address)
    deadlines.connecting(clock())
    if request.timeout.connect_s is None:  # then the limit is not ours, but that of a mock or a hook
        return APITimeoutError(f"no connection to {request.address}: {error}", phase="connect")
    failure = deadlines.error()
    if isinstance(error, httpx2.PoolTimeout):
        return APITimeoutError(
            str(failure), phase="connect", hint="all connections of the http_client are in use: see httpx2.Limits"
        )
    return failure


def _protocol_failure(
    error: httpx2.RemoteProtocolError, request: PreparedRequest, response: httpx2.Response | None
) -> ChatCompletionError:
    words = str(error)
    if response is not None and any(word in words for word in ("incomplete", "peer closed", "disconnected")):
        return StreamTruncatedError("the connection was closed before the end of the response")
    if _is_silent_end(error):
        plain = ConnectionResetError("the server closed the connection without a response")
        return connection_error(plain, "lost the connection to", request.route_address)
    roots = {type(cause).__module__.partition(".")[0] for cause in _causes(error)}
    if roots & {"h11", "h2"}:  # else httpcore2's own: an HTTP/2 stream or connection that the server gave up
        what = "the server does not answer in HTTP" if response is None else "the framing of the response is broken"
        # Without the bytes that h11 quotes: a key may be in them that only the client knows.
        return ResponseFormatError(f"{what}: {words.partition(': bytearray(')[0]}")
    return connection_error(error, "lost the connection to", request.route_address)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__  # httpcore2's pool raises "from None"


def _root(error: BaseException) -> Exception:
    """The system's error at the root of httpx2's, which has the most precise message and number."""
    roots = [cause for cause in _causes(error) if isinstance(cause, OSError)]
    return plain_error(roots[-1]) if roots else Exception(str(error) or type(error).__name__)
