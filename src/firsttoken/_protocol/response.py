"""ResponseReader: one response, from the bytes of its connection to chunks or a completion, and their end.

The body is a stream of events, one JSON object, or the body of an error response; its first bytes tell which.

What reads a response is made when its first bytes have come. `call` has it loaded once the request is sent, while the
server works, so that a new process sends its first request sooner.
"""

from collections import deque
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from firsttoken._json import excerpt
from firsttoken._models.base import Headers, ResponseInfo
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._protocol.completeness import COMPLETE, End
from firsttoken._protocol.retry import without_traceback
from firsttoken.errors import ChatCompletionError, ResponseFormatError, StreamTruncatedError

if TYPE_CHECKING:
    from firsttoken._protocol.http1 import ResponseParser
    from firsttoken._protocol.stream import StreamParser

MAX_ERROR_BODY_BYTES = 1024 * 1024
MAX_BODY_BYTES = 32 * 1024 * 1024
"""The largest body that is one JSON object, in bytes: the same limit as for one event."""

_NO_HEAD = ResponseInfo(status=0, headers=Headers())


class _Readers(NamedTuple):
    response_parser: "type[ResponseParser]"
    stream_parser: "type[StreamParser]"
    decode_completion: "Callable[[bytes, int | None], ChatCompletion]"


@cache
def load_readers() -> _Readers:
    """Import what reads a response."""
    from firsttoken._protocol.decode import decode_completion
    from firsttoken._protocol.http1 import ResponseParser
    from firsttoken._protocol.stream import StreamParser

    return _Readers(ResponseParser, StreamParser, decode_completion)


class _NotStarted:
    """Takes the place of a `ResponseParser` before the first bytes."""

    body_ended: Final = False
    failure: Final = None
    has_pending_data: Final = False
    reusable: Final = False

    def release(self) -> None:
        """Do nothing."""


_NOT_STARTED: Final = _NotStarted()


class NoStream:
    """Takes the place of a `StreamParser` before the first bytes, and if the answer is not streamed.

    Attributes:
        pending: the chunks of the stream, once there is one.
        end: of the answer, as soon as it is known.
    """

    __slots__ = ("end", "pending")

    chunks_yielded: Final = 0
    may_end_in_silence: Final = False

    def __init__(self) -> None:
        self.pending: deque[ChatCompletionChunk] = deque()
        self.end: End | None = None

    @property
    def completion(self) -> ChatCompletion:
        """An empty completion."""
        return ChatCompletion(complete=False)

    def set_end(self, end: End) -> None:
        """Set the end; the first one counts."""
        if self.end is None:
            self.end = without_traceback(end) if isinstance(end, ChatCompletionError) else end

    def drop_pending(self) -> None:
        """Do nothing: there are no chunks."""


class ResponseReader:
    """One response.

    Args:
        streamed: whether chunks are wanted; else one completion.
        is_model_list: whether the list of models is wanted instead.
        expected_choices: the request's `n`.
        require_finish_reason: whether `[DONE]` ends an answer only after a finish reason.
        reasoning_tags: the tags of reasoning in the content; None leaves the content as it is.
        wall_clock: Unix time in seconds; called only if a server sends a date.

    Attributes:
        parser: the chunks, and the end of the response's answer.
        completion: the answer, once received, if it is not streamed.
        models: the answer, once received, if it is the list of models.
        response: the head, once it is there.
        is_success: whether the head is there and has a success status.
        has_pending_data: whether more was read than was processed: if no chunk is pending, call `process_pending`
            before any wait. A compressed body is not decoded earlier, so that a small one can't fill the memory.
    """

    __slots__ = (
        "_blank_bytes",
        "_body_error",
        "_buffer",
        "_events",
        "_expected_choices",
        "_http",
        "_is_kind_known",
        "_is_model_list",
        "_reasoning_tags",
        "_require_finish_reason",
        "_stream",
        "_streamed",
        "_wall_clock",
        "completion",
        "has_pending_data",
        "is_success",
        "models",
        "parser",
        "response",
    )

    def __init__(
        self,
        *,
        streamed: bool,
        expected_choices: int,
        wall_clock: Callable[[], float],
        require_finish_reason: bool = True,
        reasoning_tags: tuple[str, str] | None = None,
        is_model_list: bool = False,
    ) -> None:
        self._streamed = streamed
        self._require_finish_reason = require_finish_reason
        self._stream: StreamParser | None = None
        self.parser: StreamParser | NoStream = NoStream()
        self.completion: ChatCompletion | None = None
        self.models: list[str] = []
        self.response: ResponseInfo | None = None
        self.is_success = False
        self.has_pending_data = False
        self._expected_choices = expected_choices
        self._is_model_list = is_model_list
        self._reasoning_tags = reasoning_tags
        self._wall_clock = wall_clock
        self._http: ResponseParser | _NotStarted = _NOT_STARTED
        self._is_kind_known = False
        self._events: StreamParser | None = None  # the stream, once the body is known to be one
        self._blank_bytes = 0  # of the beginning of the body
        self._buffer = bytearray()  # the body, as long as it is not known to be events
        self._body_error: ChatCompletionError | None = None  # of the connection, until what it brought is processed

    def replace_head(self, headers: Mapping[str, str]) -> ResponseInfo:
        """Set other headers than those that came; return the new head."""
        from firsttoken._protocol.http1 import request_id_of

        head = ResponseInfo(status=self._head.status, headers=Headers(headers), request_id=request_id_of(headers))
        self.response = head
        return head

    @property
    def is_error_response(self) -> bool:
        """Whether the head is there and has another status."""
        return self.response is not None and not self.is_success

    @property
    def body_ended(self) -> bool:
        """Whether the response is complete."""
        return self._http.body_ended

    @property
    def may_be_reusable(self) -> bool:
        """Whether the connection may serve another request once the response has come."""
        return self._http.reusable and self._http.failure is None

    @property
    def is_reusable(self) -> bool:
        """Whether the connection may serve another request."""
        return self._http.body_ended and self.may_be_reusable

    def receive_data(self, data: bytes) -> list[ChatCompletionChunk]:
        """Receive bytes of the connection; return the chunks in them."""
        http = self._started()
        body = http.receive_data(data)
        if self.response is None and http.info is not None:
            self.response = http.info
            self.is_success = 200 <= http.info.status <= 299
        chunks = self._receive_body(body) if body else []
        if http.has_pending_data or self.has_pending_data or http.failure is not None or http.body_ended:
            chunks += self._handle_body_end()
        return chunks

    def process_pending(self) -> list[ChatCompletionChunk]:
        """Process one more piece of what was read before, so that the caller can do other work in between."""
        chunks = self._receive_body(self._started().process_pending())
        return chunks + self._handle_body_end()

    def receive_eof(self) -> list[ChatCompletionChunk]:
        """Receive the end of the connection."""
        self._started().receive_eof()
        return self._handle_body_end()

    def _started(self) -> "ResponseParser":
        """What reads the response, made when its first bytes have come."""
        if not isinstance(self._http, _NotStarted):
            return self._http
        readers = load_readers()
        self._http = readers.response_parser()
        if self._streamed and self.parser.end is None:
            self._stream = readers.stream_parser(
                expected_choices=self._expected_choices,
                require_finish_reason=self._require_finish_reason,
                reasoning_tags=self._reasoning_tags,
            )
            self._stream.pending = self.parser.pending
            self.parser = self._stream
        return self._http

    def connection_lost(self, error: ChatCompletionError) -> None:
        """End the response with an error of the connection; what was read, and an error response, take precedence."""
        if self.has_pending_data:
            self._body_error = error
        elif self.is_error_response:
            self.end_error_response()
        else:
            self.parser.set_end(error)

    def end_error_response(self) -> None:
        """Set the error of an error response from what was received of its body."""
        from firsttoken._protocol.server_error import status_error

        head = self._head
        self.fail(status_error(head.status, head.headers, bytes(self._buffer), self._wall_clock()))

    def fail(self, error: ChatCompletionError) -> None:
        """End the response with an error, whatever was read."""
        self.parser.set_end(error)
        self.has_pending_data = False

    def release(self) -> None:
        """Drop what is only needed to receive more data."""
        self._http.release()

    @property
    def _head(self) -> ResponseInfo:
        return self.response or _NO_HEAD

    def _receive_body(self, body: bytes) -> list[ChatCompletionChunk]:
        if self._events is not None:
            return self._events.receive_data(body)
        if self.parser.end is not None:
            return []
        self._buffer += body
        if not self.is_success:
            if len(self._buffer) > MAX_ERROR_BODY_BYTES:
                self.end_error_response()
        elif len(self._buffer) + self._blank_bytes > MAX_BODY_BYTES:
            self.fail(ResponseFormatError(f"the response is larger than {MAX_BODY_BYTES} bytes"))
            self._buffer.clear()
        elif not self._is_kind_known:
            return self._sniff_body(bytes(self._buffer))
        return []

    def _sniff_body(self, head: bytes) -> list[ChatCompletionChunk]:
        is_events = is_event_stream(self._head.headers.get("content-type", ""), head)
        if is_events is None:
            if head.isspace():
                self._blank_bytes += len(head)  # white space that keeps the connection alive may precede either kind
                self._buffer.clear()
            return []
        self._is_kind_known = True
        if not is_events:
            return []
        self._buffer.clear()
        if self._stream is not None:
            self._events = self._stream
            return self._events.receive_data(head)
        self.fail(
            ResponseFormatError(
                "the server streamed the response though no stream was requested",
                hint="use chat_completion_stream with this server",
            )
        )
        return []

    def _handle_body_end(self) -> list[ChatCompletionChunk]:
        """Handle what follows the body, once all of that was processed."""
        http = self._http
        self.has_pending_data = http.has_pending_data and self.parser.end is None
        if self.has_pending_data:
            return []
        if http.has_pending_data:
            self._started().ignore_body()
        error = http.failure or self._body_error
        if error is not None:
            self.connection_lost(error)
        elif http.body_ended and self.parser.end is None:
            return self._end_body()
        return []

    def _end_body(self) -> list[ChatCompletionChunk]:
        if self._events is not None:
            return self._events.receive_eof()
        if not self.is_success:
            self.end_error_response()
            return []
        body = bytes(self._buffer).removeprefix(_BOM)
        self._buffer.clear()
        try:
            return self._decode_body(body)
        except ChatCompletionError as error:
            self.fail(error)
            return []

    def _decode_body(self, body: bytes) -> list[ChatCompletionChunk]:
        body = body.lstrip()  # as far as it came by itself it was dropped
        if self._is_model_list:
            from firsttoken._protocol.decode import decode_models

            models = decode_models(body)
            if models is None:
                raise self._unexpected_body("a list of models", body)
            self.models = models
            self.parser.set_end(COMPLETE)
            return []
        if self._stream is not None and not body and self._content_type().startswith("text/event-stream"):
            raise StreamTruncatedError("stream truncated before the first chunk: the body is empty")
        if not body.removeprefix(b"[").lstrip().startswith(b"{"):  # or a list of objects, which may be an error
            raise self._unexpected_body("a chat completion", body)
        if self._stream is not None:
            from firsttoken._protocol.decode import decode_streamed_body

            return self._stream.receive_body(decode_streamed_body(body, self._expected_choices))
        self.completion = load_readers().decode_completion(body, self._expected_choices)
        if self._reasoning_tags is not None:
            from firsttoken._protocol.text_filters import split_completion

            split_completion(self.completion, self._reasoning_tags)
        self.parser.set_end(COMPLETE)
        return []

    def _content_type(self) -> str:
        return self._head.headers.get("content-type", "").strip().lower()

    def _unexpected_body(self, expected: str, body: bytes) -> ResponseFormatError:
        return unexpected_body(expected, self._head.status, self._content_type(), body)


_FIELDS = (b"data:", b"event:", b"error:", b"id:", b"retry:", b":")
_MAX_FIELD = max(map(len, _FIELDS))
_BOM = b"\xef\xbb\xbf"


def is_event_stream(content_type: str, head: bytes) -> bool | None:
    """Whether a body is a stream of events.

    Args:
        content_type: the header's value, "" where it is missing.
        head: the first bytes of the body.

    Returns:
        None where `head` is too short to tell.
    """
    start = head.removeprefix(_BOM).lstrip()
    if not start or (len(head) < len(_BOM) and _BOM.startswith(head)):
        return None
    if content_type.strip().lower().startswith("text/event-stream"):
        return start[:1] not in (b"{", b"[", b"<")
    if start.startswith(_FIELDS):
        return True
    if len(start) < _MAX_FIELD and any(field.startswith(start) for field in _FIELDS):
        return None
    return False


def unexpected_body(expected: str, status: int, content_type: str, body: bytes) -> ResponseFormatError:
    """The error of a response whose body is something else, usually neither events nor JSON."""
    kind = content_type.partition(";")[0].strip()[:80] or "no content type"
    if not body.strip():
        return ResponseFormatError(f"expected {expected}, got status {status} with an empty body ({kind})")
    return ResponseFormatError(
        f"expected {expected}, got status {status} with {kind}: {excerpt(body)}",
        hint="is base_url the address of the API? Most end in /v1",
    )
