"""HTTP/1.1 framing of one response, over httptools.

It handles status, headers, the end of the body, the reuse of the connection, and content codings. What the body means
is for `response`.

A length that a server names twice, or beside chunks, is read where it can be: the connection serves no other request.

Sources: RFC 9112 (framing), RFC 9110, sections 8.4 (codings), 8.6 (lengths) and 15.2 (1xx responses).
"""

import re
from collections.abc import Mapping

import httptools

from firsttoken._json import excerpt
from firsttoken._models.base import Headers, ResponseInfo
from firsttoken._protocol.content_coding import ContentDecoder
from firsttoken._protocol.retry import may_begin_response, without_traceback
from firsttoken.errors import ChatCompletionError, ResponseFormatError, StreamTruncatedError

MAX_OVERHEAD_BYTES = 128 * 1024
"""The most bytes in a row that are not body: a head, trailers, chunk extensions."""

_REQUEST_ID_NAMES = ("x-request-id", "request-id", "apim-request-id", "x-ms-request-id", "cf-ray")


_VERSIONS = ("1.0", "1.1")
_EXPECTED = "expected HTTP/1.0 or HTTP/1.1"


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """The server's name for the request; the names of `headers` are in lower case."""
    for name in _REQUEST_ID_NAMES:
        if name in headers:
            return headers[name]
    return None


_INTERIM = re.compile(rb"\s*HTTP/1\.[01] 1\d\d(?: |\Z)")


def _with_one_length(data: bytes) -> bytes | None:
    """The bytes from a head on, with a repeated `Content-Length` sent once; None before the head's end."""
    start = 0
    while (end := data.find(b"\r\n\r\n", start)) >= 0:
        lines = data[start:end].split(b"\r\n")
        if _INTERIM.match(lines[0]) is None:
            named = [line for line in lines if line[:15].lower() == b"content-length:"]
            lengths = {length.strip() for line in named for length in line[15:].split(b",")}
            if len(lengths) == 1:
                kept = [line for line in lines if line not in named]
                lines = [*kept, b"content-length: " + lengths.pop()]
            return data[:start] + b"\r\n".join(lines) + data[end:]
        start = end + 4
    return None


class _RefusedError(Exception):
    """Raised in a callback of httptools if the message that begins must not be read."""


class ResponseParser:
    """One response, from the bytes of its connection.

    Args:
        tunnel: whether it answers CONNECT; a 2xx then has no body (RFC 9110, section 9.3.6).

    Attributes:
        info: status and headers, None until the head (of the final response: 1xx are skipped) is there.
        has_pending_data: whether `process_pending` may return more of a coded body that was received.
        body_ended: whether the body is complete.
        reusable: whether the connection can serve another request once the body has ended.
        failure: why no more can be read; None if nothing is wrong. It follows the body that was received.
    """

    __slots__ = (
        "__weakref__",
        "_body",
        "_decoder",
        "_deferred_error",
        "_ends_at_eof",
        "_has_odd_length",
        "_head",
        "_headers",
        "_interim",
        "_overhead",
        "_parser",
        "_start",
        "_tunnel",
        "body_ended",
        "failure",
        "has_pending_data",
        "info",
        "on_body",
        "reusable",
    )

    def __init__(self, *, tunnel: bool = False) -> None:
        self._tunnel = tunnel
        self.info: ResponseInfo | None = None
        self.has_pending_data = False
        self.body_ended = False
        self.reusable = False
        self.failure: ChatCompletionError | None = None
        self._headers: dict[str, str] = {}
        self._interim = False
        self._start = b""  # the first bytes, until they say which protocol it is
        self._head: bytes | bytearray = b""  # what was read of the head
        self._has_odd_length = False
        self._overhead = 0
        self._ends_at_eof = False
        self._decoder: ContentDecoder | None = None
        self._deferred_error: ChatCompletionError | None = (
            None  # a failure that waits until the body before it was returned
        )
        self._body: list[bytes] = []
        self.on_body = self._body.append  # httptools calls it for each piece: no Python frame in between
        self._parser: httptools.HttpResponseParser | None = self._new_parser()

    def _new_parser(self) -> httptools.HttpResponseParser:
        parser = httptools.HttpResponseParser(self)
        parser.set_dangerous_leniencies(lenient_chunked_length=True)
        return parser

    def release(self) -> None:
        """Drop httptools' parser, which refers to this object, so that no reference cycle is left."""
        self._parser = None

    def receive_data(self, data: bytes) -> bytes:
        """Receive bytes of the connection; return those of the body, decoded: the first, if `has_pending_data`."""
        if self._parser is None:
            # If more than the response comes, nothing can be trusted; llhttp skips line ends between responses.
            self.reusable = self.reusable and not data.strip(b"\r\n")
            return b""
        try:
            if self.info is None:
                self._feed_head(self._parser, data)
            else:
                self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._deferred_error = ResponseFormatError("the server switched protocols without being asked")
        except httptools.HttpParserCallbackError as error:
            self._receive_callback_error(error, data)
        except (httptools.HttpParserError, _RefusedError) as error:
            self._receive_invalid_framing(error, data)
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        self._overhead = 0 if body else self._overhead + len(data)
        if self._overhead > MAX_OVERHEAD_BYTES:
            self._deferred_error = ResponseFormatError(
                f"the response has more than {MAX_OVERHEAD_BYTES} bytes of headers, trailers or chunk extensions"
            )
        if self._decoder is not None:
            self._decoder.receive_data(body)
            return self.process_pending()
        if self._deferred_error is not None or self.body_ended:
            self._end()
        return body

    def process_pending(self) -> bytes:
        """Return more of the body that was received; b"" if there is none.

        A coded body may be far larger than what was read of it, so it is decoded only on demand.
        """
        decoder = self._decoder
        if decoder is None:
            return b""
        piece = decoder.process_pending()
        self.has_pending_data = decoder.has_pending_data
        if decoder.failure is not None:
            self._fail(decoder.failure)
        elif self._deferred_error is not None or self.body_ended:
            self._end()
        return piece

    def ignore_body(self) -> None:
        """Decode no more of the body: only its end matters."""
        self._decoder = None
        self.has_pending_data = False

    def receive_eof(self) -> None:
        """Receive the end of the connection."""
        if self.body_ended or self._deferred_error is not None or self.failure is not None:
            return
        if self.info is not None and self._ends_at_eof:
            self.body_ended = True
        else:
            self._deferred_error = StreamTruncatedError("the connection was closed before the end of the response")
        self._end()

    def _end(self) -> None:
        """Drop the parser; once all of the body was returned, set the error that follows it."""
        self.release()
        if self.has_pending_data:
            return
        if self._deferred_error is not None:
            self._fail(self._deferred_error)
        elif self._decoder is not None and not self._decoder.ended:
            self._fail(StreamTruncatedError("the compressed body is truncated"))

    def _fail(self, failure: ChatCompletionError) -> None:
        self.failure = self.failure or without_traceback(failure)
        self.reusable = False
        self.release()

    def _feed_head(self, parser: httptools.HttpResponseParser, data: bytes) -> None:
        if self._head:
            self._head = bytearray(self._head) if isinstance(self._head, bytes) else self._head
            self._head += data
        else:
            self._head = data
        self._check_protocol(data)
        if not self._has_odd_length:
            try:
                parser.feed_data(data)
            except httptools.HttpParserError as error:
                if self.info is not None or "Content-Length" not in str(error):
                    raise
                self._has_odd_length = True
            else:
                return
        head = _with_one_length(bytes(self._head))
        if head is not None:
            self._parser = parser = self._new_parser()
            parser.feed_data(head)

    def _check_protocol(self, data: bytes) -> None:
        """Refuse other protocols by their first bytes: llhttp also accepts RTSP and ICE, and does not tell."""
        if not self._start and data.startswith(b"HTTP/"):
            self._start = b"HTTP/"
        elif len(self._start) < len(b"HTTP/"):
            self._start = (self._start + data).lstrip(b"\r\n")[:5]
            if not may_begin_response(self._start):
                raise _RefusedError(_EXPECTED)

    def _receive_callback_error(self, error: httptools.HttpParserCallbackError, data: bytes) -> None:
        """Propagate what a callback raised; httptools keeps it as the context of an error of its own.

        A signal handler may raise anything, `KeyboardInterrupt` first of all, while a callback runs.
        """
        raised = error.__context__
        if not isinstance(raised, _RefusedError):
            raise raised or error  # pragma: no cover - the test of it traces, in place of coverage
        self._receive_invalid_framing(raised, data)

    def _receive_invalid_framing(self, error: Exception, data: bytes) -> None:
        if self.body_ended:  # the surplus after a complete response
            self.reusable = False
            return
        if self.info is None:
            failure = ResponseFormatError(f"invalid HTTP/1.1 response ({error}): {excerpt(bytes(self._head) or data)}")
        else:
            failure = ResponseFormatError(f"the framing of the response is broken: {error}")
        failure.__cause__ = error
        self._deferred_error = failure

    # What httptools calls while it is fed; it wraps exceptions that leave these in HttpParserCallbackError.

    def on_message_begin(self) -> None:
        """A head begins: the first, the one after a 1xx, or surplus bytes that look like one."""
        if self.info is not None:
            raise _RefusedError("more than one response")
        self._headers.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header or a trailer was received."""
        if self.info is None:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            headers = self._headers
            headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        """A head was received."""
        parser = self._parser
        if parser is None:
            return  # another thread has just released it
        version = parser.get_http_version()
        if version not in _VERSIONS:
            raise _RefusedError(_EXPECTED)
        status = parser.get_status_code()
        if 100 <= status <= 199:
            self._interim = True
            return
        headers = self._headers
        self._head = b""
        self.info = ResponseInfo(
            status=status, headers=Headers.of_lower_case(headers), request_id=request_id_of(headers)
        )
        if "transfer-encoding" in headers:
            self._ends_at_eof = not headers["transfer-encoding"].lower().rstrip().endswith("chunked")
        else:
            self._ends_at_eof = "content-length" not in headers
        keeps_alive = version == "1.1"
        if "connection" in headers:
            tokens = {token.strip() for token in headers["connection"].lower().split(",")}
            keeps_alive = "close" not in tokens and (keeps_alive or "keep-alive" in tokens)
        has_odd_length = self._has_odd_length or ("content-length" in headers and "transfer-encoding" in headers)
        self.reusable = keeps_alive and not self._ends_at_eof and not has_odd_length
        if "content-encoding" in headers and not self._tunnel:
            coding = headers["content-encoding"].strip().lower()
            if coding not in ("", "identity"):
                self._decoder = ContentDecoder(coding)

    def on_message_complete(self) -> None:
        """A message has ended: a 1xx, or the response."""
        if self._interim:
            self._interim = False
        else:
            self.body_ended = True
