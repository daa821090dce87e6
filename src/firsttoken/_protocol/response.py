"""Exchange: the answer to one attempt, from the bytes of its connection.

Owns the path from connection bytes through `http1` to the body's room (events to `StreamParser`; a JSON object or an
error status to the failure or the completion it is), the stamps of what arrives, and which deadline is next.
Refuses to read, wait or look at a clock: the shells do, and pass the time in.
"""

import re
from collections.abc import Callable

from firsttoken._json import excerpt
from firsttoken._models.base import Headers, ResponseInfo
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._protocol.deadlines import SETTLE_S, Deadlines
from firsttoken._protocol.decode import decode_completion, decode_streamed_body
from firsttoken._protocol.http1 import ResponseParser
from firsttoken._protocol.progress import has_token, is_progress
from firsttoken._protocol.redaction import redact
from firsttoken._protocol.server_error import status_error
from firsttoken._protocol.sse import MAX_EVENT_BYTES
from firsttoken._protocol.stream import StreamParser
from firsttoken.errors import ChatCompletionError, ResponseFormatError, StreamTruncatedError

MAX_ERROR_BODY_BYTES = 1024 * 1024
MAX_BODY_BYTES = MAX_EVENT_BYTES
"""The largest body that is one JSON object, in bytes: an answer that came in one event could not be larger either."""

MAX_BLANK_HEAD = 4096
"""A body that begins with more white space than this, in bytes, is taken for events."""

_NEVER = float("inf")
_NO_HEAD = ResponseInfo(status=0, headers=Headers())


class ResponseReader:
    """One attempt's answer.

    Args:
        streamed: whether chunks are wanted; else one completion.
        expected_choices: the request's `n`.
        deadlines: those of the call.
        secrets: what must not be in any error, though the server may repeat it.
        wall_clock: Unix time in seconds, asked only where a server names a date.

    Attributes:
        core: the chunks, the outcome.
        whole: the completion, where it was not streamed and has come.
        has_pending_data: whether what was read holds more than was taken; where no chunk is ready, `process_pending`
            is to be called before any wait. A compressed body is decoded no sooner, so that a small one can't fill
            the memory.
        headers_at_s: when the head came; None before. So with the first chunk and the first token.
    """

    def __init__(
        self,
        *,
        streamed: bool,
        expected_choices: int,
        deadlines: Deadlines,
        secrets: tuple[str, ...],
        wall_clock: Callable[[], float],
    ) -> None:
        self.core = StreamParser()
        self.whole: ChatCompletion | None = None
        self.headers_at_s: float | None = None
        self.first_chunk_at_s: float | None = None
        self.first_token_at_s: float | None = None
        self._streamed = streamed
        self._choices_wanted = expected_choices
        self._deadlines = deadlines
        self._secrets = secrets
        self._wall_clock = wall_clock
        self._http = ResponseParser()
        self._kind_known = False
        self._is_events = False
        self.has_pending_data = False
        self._held = bytearray()  # the body, as long as it is not known to be events
        self._loss: ChatCompletionError | None = None  # of the connection, while what it brought is not all taken
        self._completeness_check_at = _NEVER  # when to see whether all that is wanted has come: see SETTLE_S

    @property
    def response(self) -> ResponseInfo | None:
        """The head, once it is there."""
        return self._http.info

    @property
    def opened(self) -> bool:
        """Whether the head is there and says yes, or the outcome is known: what opening a stream waits for."""
        return self.core.ended or self.is_success()

    @property
    def body_ended(self) -> bool:
        """Whether the whole response has come."""
        return self._http.body_ended

    @property
    def may_be_reusable(self) -> bool:
        """Whether the connection may serve another request once the response has come."""
        return self._http.reusable and self._http.failure is None

    @property
    def reusable(self) -> bool:
        """Whether the connection may serve another request."""
        return self._http.body_ended and self.may_be_reusable

    def requesting(self, now_s: float) -> None:
        """The request goes out."""
        self._deadlines.requesting(now_s)

    def receive_data(self, data: bytes, now_s: float) -> None:
        """Take bytes of the connection, read at a time."""
        http = self._http
        body = http.receive_data(data)
        if self.headers_at_s is None and http.info is not None:
            self.headers_at_s = now_s
            if not self.is_success():
                self._completeness_check_at = now_s + SETTLE_S
        if body:
            if self._is_events:
                self._watch(self.core.receive_data(body), now_s)
            else:
                self._hold(body, now_s)
        if http.has_pending_data or self.has_pending_data or http.failure is not None or http.body_ended:
            self._settle(now_s)
        elif self.core.failure is not None:
            self._clean(self.core.failure)

    def process_pending(self, now_s: float) -> None:
        """Take more of what was read before: one piece, so that its taker can look at something else between two."""
        if now_s >= self.until_s():
            self.expire(now_s)
            return
        body = self._http.process_pending()
        if self._is_events:
            self._watch(self.core.receive_data(body), now_s)
        else:
            self._hold(body, now_s)
        self._settle(now_s)

    def receive_eof(self, now_s: float) -> None:
        """Take the end of the connection."""
        self._http.receive_eof()
        self._settle(now_s)

    def lose(self, failure: ChatCompletionError) -> None:
        """Take the loss of the connection; where a refusal had begun, that is what counts."""
        if self.has_pending_data:
            self._loss = failure
        elif self.response is not None and not self.is_success():
            self._handle_error_response()
        else:
            self.fail(failure)

    def fail(self, failure: ChatCompletionError) -> None:
        """Take a failure."""
        self.core.fail(failure)
        self.has_pending_data = False
        if self.core.failure is failure:
            self._clean(failure)

    def until_s(self) -> float:
        """When to stop waiting for bytes, and call `expire`."""
        return min(self._deadlines.at_s, self._completeness_check_at)

    def expire(self, now_s: float) -> None:
        """The moment that `until_s` named has come; it may turn out to mean nothing, and there is a next one."""
        if self.response is not None and not self.is_success():
            self._handle_error_response()
        elif self.core.has_finished(self._choices_wanted):
            self.core.finish()
            self.has_pending_data = False
        elif now_s >= self._deadlines.at_s:
            self.fail(self._deadlines.error())
        else:
            self._completeness_check_at = _NEVER

    def pause(self, away_s: float, now_s: float) -> None:
        """Nobody waited for so many seconds until now: they don't count."""
        self._completeness_check_at = min(self._completeness_check_at + away_s, now_s + SETTLE_S)
        self._deadlines.paused(away_s, now_s)

    def release(self) -> None:
        """Nothing more will be received."""
        self._http.release()

    @property
    def _head(self) -> ResponseInfo:
        return self._http.info or _NO_HEAD

    def is_success(self) -> bool:
        return 200 <= self._head.status <= 299

    def _settle(self, now_s: float) -> None:
        """Take what stands behind the body, once all of that was taken."""
        self.has_pending_data = self._http.has_pending_data and not self.core.ended
        if self.has_pending_data:
            return
        if self._http.has_pending_data:
            self._http.ignore_body()
        loss = self._http.failure or self._loss
        if loss is not None:
            self.lose(loss)
        elif self._http.body_ended:
            self._end(now_s)
        if self.core.failure is not None:
            self._clean(self.core.failure)

    def _watch(self, chunks: list[ChatCompletionChunk], now_s: float) -> None:
        if not chunks:
            return
        self._completeness_check_at = now_s + SETTLE_S
        if self.first_chunk_at_s is None:
            self.first_chunk_at_s = now_s
        if self.first_token_at_s is None and any(map(has_token, chunks)):
            self.first_token_at_s = now_s
        if is_progress(chunks[-1]) or any(map(is_progress, chunks)):
            self._deadlines.progressed(now_s)

    def _hold(self, body: bytes, now_s: float) -> None:
        if self.core.ended:
            return
        self._held += body
        if not self.is_success():
            if len(self._held) > MAX_ERROR_BODY_BYTES:
                self._handle_error_response()
            return
        if len(self._held) > MAX_BODY_BYTES:
            self.fail(ResponseFormatError(f"the response is larger than {MAX_BODY_BYTES} bytes"))
            self._held.clear()
        elif not self._kind_known:
            self._sniff_body(bytes(self._held), now_s)

    def _sniff_body(self, head: bytes, now_s: float) -> None:
        content_type = self._content_type()
        is_events = is_event_stream(content_type, head)
        if is_events is None and len(head) < MAX_BLANK_HEAD:
            return
        self._kind_known = True
        if is_events or is_events is None:
            self._held.clear()
            self._begin_events(head, now_s)

    def _begin_events(self, head: bytes, now_s: float) -> None:
        if self._streamed:
            self._is_events = True
            self._watch(self.core.receive_data(head), now_s)
        else:
            self.fail(
                ResponseFormatError(
                    "the server streamed its answer though no stream was asked for",
                    hint="use chat_completion_stream with this server",
                )
            )

    def _end(self, now_s: float) -> None:
        if self.core.ended:
            return
        if self._is_events:
            self._watch(self.core.receive_eof(), now_s)
        elif not self.is_success():
            self._handle_error_response()
        else:
            self._handle_json_body(bytes(self._held).removeprefix(b"\xef\xbb\xbf"), now_s)
            self._held.clear()
        if self.core.failure is not None:
            self._clean(self.core.failure)

    def _handle_error_response(self) -> None:
        head = self._head
        self.fail(status_error(head.status, head.headers, bytes(self._held), self._wall_clock()))

    def _handle_json_body(self, body: bytes, now_s: float) -> None:
        content_type = self._content_type()
        if self._streamed and not body.strip() and content_type.startswith("text/event-stream"):
            self.fail(StreamTruncatedError("the stream ended before its first chunk"))
        elif _JSON_OBJECT.match(body) is None:
            self.fail(not_a_completion(self._head.status, content_type, body))
        else:
            self._decode_whole(body, now_s)

    def _decode_whole(self, body: bytes, now_s: float) -> None:
        try:
            if self._streamed:
                self._watch(self.core.receive_body(decode_streamed_body(body)), now_s)
            else:
                self.whole = decode_completion(body)
                self.core.finish()
        except ChatCompletionError as failure:
            self.fail(failure)

    def _content_type(self) -> str:
        return self._head.headers.get("content-type", "").strip().lower()

    def _clean(self, failure: ChatCompletionError) -> None:
        failure.request_id = self._head.request_id
        redact(failure, self._secrets)


_JSON_OBJECT = re.compile(rb"\s*(\[\s*)?\{")  # or a list of objects, which may be an error
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


def not_a_completion(status: int, content_type: str, body: bytes) -> ResponseFormatError:
    """The failure of a response whose body is neither events nor JSON."""
    kind = content_type.partition(";")[0].strip()[:80] or "no content type"
    if not body.strip():
        return ResponseFormatError(f"the server answered {status} with an empty body ({kind})")
    return ResponseFormatError(
        f"the server answered {status} with {kind}, which is no chat completion: {excerpt(body)}",
        hint="is base_url the address of the API? Most end in /v1",
    )
