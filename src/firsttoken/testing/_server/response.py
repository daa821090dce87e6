"""An answer under way: the steps of a script say what goes in, this says how it stands on the wire.

A request without `"stream": true` gets the events put together to one JSON object.
"""

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Literal

import msgspec

from firsttoken._json import as_array, as_object, parse_json
from firsttoken._models.base import EXTRA_NAME
from firsttoken._protocol.server_error import is_error
from firsttoken.errors import APIStatusError, ResponseFormatError
from firsttoken.sansio import SSEDecoder, StreamParser
from firsttoken.testing._server.connection import ServerConnection
from firsttoken.testing._server.journal import LoggedRequest, Request
from firsttoken.testing._server.script import Pace

Framing = Literal["", "chunked", "close", "length"]
"""How the body's end is marked; "" until the head was sent."""


class ScriptEndedError(Exception):
    """A step has closed the connection."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__("the script has closed the connection")
        self.reset = reset


class ResponseWriter:
    """The answer to one request.

    Args:
        connection: the connection.
        entry: of the request in the journal; None where a script does not wait for a request.
        pace: how fast.
        on_end: is called before the answer's last bytes are sent, so that it is noted when the client has them.

    Attributes:
        headers_sent: whether bytes of the answer, other than 1xx, have been sent.
        is_complete: whether all of them have.
        keeps_alive: whether the connection can live on after it.
    """

    def __init__(
        self,
        connection: ServerConnection,
        entry: LoggedRequest | None,
        pace: Pace,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        self.headers_sent = False
        self.is_complete = False
        self.keeps_alive = entry is None or entry.request.keeps_alive
        self._connection = connection
        self._entry = entry
        self._request: Request | None = None if entry is None else entry.request
        self._delays_s = pace.delays_s(entry.number if entry is not None else 0)
        self._on_end = on_end
        self._framing: Framing = ""
        self._has_ended = False
        self._split: tuple[int, float] | None = None
        self._buffer: list[bytes] | None = None
        self._fields = _json_of(self._request)
        self._collected: list[bytes] | None = None
        if self._request is not None and not self._request.is_streamed:
            self._collected = []

    @property
    def wants_usage(self) -> bool:
        """Whether the client asked for the tokens used, as one that asks for no stream always does."""
        options = self._fields.get("stream_options")
        return self.is_non_streaming or (isinstance(options, Mapping) and options.get("include_usage") is True)  # pyright: ignore[reportUnknownMemberType]

    @property
    def is_non_streaming(self) -> bool:
        """Whether the answer is one JSON object, which is sent when the script has come to its end."""
        return self._collected is not None

    def send_chunk(self, fields: Mapping[str, object]) -> None:
        """Send a chunk, with the usual head around these fields."""
        usual: dict[str, object] = {
            "id": f"chatcmpl-{self._entry.number if self._entry is not None else 0}",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": str(self._fields.get("model", "scripted")),
            "choices": [],
        }
        self.send_event(b"data: %s\n\n" % _as_json(usual | dict(fields)))

    def send_event(self, data: bytes) -> None:
        """Send an event, when its time has come."""
        delay_s = next(self._delays_s)
        if delay_s:
            self.wait(delay_s)
        self.send_body(data)

    def send_body(self, data: bytes) -> None:
        """Send bytes of the body."""
        if self._collected is not None:
            self._collected.append(data)
            return
        if not self._framing:
            self.send_head()
        if self._entry is not None and error_in(data) is not None:
            self._entry.has_error = True
        self._put(b"%x\r\n%s\r\n" % (len(data), data) if self._framing == "chunked" and data else data)

    def send_head(self, status: int = 200, headers: Mapping[str, str] | None = None, framing: str = "chunked") -> None:
        """Send the head of a stream; to a client of HTTP/1.0, which knows no chunks, of one that a close ends."""
        is_chunked = framing == "chunked" and (self._request is None or self._request.http_version != "1.0")
        self._framing = "chunked" if is_chunked else "close"
        self.keeps_alive = self.keeps_alive and is_chunked
        how = {"transfer-encoding": "chunked"} if is_chunked else {}
        self._start_streaming(
            lambda: self._write_head(status, {"content-type": EVENT_STREAM} | how | _lowered(headers))
        )

    def send_interim(self, status: int, headers: Mapping[str, str]) -> None:
        """Send a 1xx response."""
        self._put(_head(status, headers))

    def send_response(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a complete response."""
        self._collected = None
        self._framing = "length"
        if self._entry is not None and is_error_body(body):
            self._entry.has_error = True
        with self.buffered():
            self._write_head(status, {"content-length": str(len(body))} | _lowered(headers))
            self._put(body if self._request is None or self._request.method != "HEAD" else b"")
            self._on_end_of_body()
        self.is_complete = True

    def end(self) -> None:
        """End the body, if it has not ended."""
        if self._has_ended:
            return
        if self._collected is not None:
            status, body, content_type = non_streaming_response(b"".join(self._collected))
            self.send_response(status, body, {"content-type": content_type})
            return
        if not self._framing and self.headers_sent:
            self.keeps_alive = False  # a head of the script's own making: where the body ends is not known
        elif not self._framing:
            self.send_head()
        self._on_end_of_body()
        if self._framing == "chunked":
            self._put(b"0\r\n\r\n")
        self.is_complete = True

    def send_wire_bytes(self, data: bytes) -> None:
        """Put bytes on the connection, outside of HTTP's framing."""
        self._start_streaming(lambda: None)
        self.headers_sent = True
        self._put(data)

    def flush(self) -> None:
        """Send what `held` holds back: before a wait, that it be seen."""
        if self._buffer:
            buffered, self._buffer = self._buffer, None
            self._put(b"".join(buffered))
            self._buffer = []

    def wait(self, seconds: float) -> None:
        """Let time pass; looks for the client once at least."""
        self.flush()
        self._connection.wait(seconds)

    def wait_for(self, has_come: Callable[[float], bool]) -> None:
        """Wait for something that the test does."""
        self.flush()
        self._connection.wait_for(has_come)

    def disconnect(self, *, reset: bool) -> None:
        """Close the connection.

        Raises:
            ScriptEndedError: always; nothing comes after it.
        """
        self.flush()
        raise ScriptEndedError(reset=reset)

    @contextmanager
    def split_writes(self, every: int, gap_s: float) -> Generator[None]:
        """Send in pieces of so many bytes meanwhile."""
        before, self._split = self._split, (every, gap_s)
        try:
            yield
        finally:
            self._split = before

    @contextmanager
    def buffered(self) -> Generator[None]:
        """Hold back what is sent meanwhile, and send it at once."""
        if self._buffer is not None:
            yield
            return
        self._buffer = []
        try:
            yield
            self.flush()
        finally:
            self._buffer = None

    def _on_end_of_body(self) -> None:
        self._has_ended = True
        if self._on_end is not None:
            self._on_end()

    def _put(self, data: bytes) -> None:
        if self._buffer is not None:
            self._buffer.append(data)
        elif self._split is None:
            self._connection.send(data)
        else:
            self._send_split(data, *self._split)

    def _send_split(self, data: bytes, every: int, gap_s: float) -> None:
        for at in range(0, len(data), every):
            if gap_s:
                self._connection.wait(gap_s)
            self._connection.send(data[at : at + every])

    def _start_streaming(self, begin: Callable[[], None]) -> None:
        """The script speaks of the wire: it is played as a stream, whatever the client asked for."""
        before, self._collected = self._collected, None
        begin()
        for part in before or ():
            self.send_body(part)

    def _write_head(self, status: int, headers: Mapping[str, str]) -> None:
        self.headers_sent = True
        if self._entry is not None:
            self._entry.status = status
        self._put(_head(status, self._connection_header() | dict(headers)))

    def _connection_header(self) -> dict[str, str]:
        if not self.keeps_alive:
            return {"connection": "close"}
        was_asked = self._request is not None and self._request.http_version == "1.0"
        return {"connection": "keep-alive"} if was_asked else {}


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _json_of(request: Request | None) -> dict[str, object]:
    try:
        return {} if request is None else request.json
    except ValueError:
        return {}


def _as_json(value: object) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a surrogate pair has no UTF-8, but an escape
        return json.dumps(value, separators=(",", ":")).encode()


def _lowered(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (headers or {}).items()}


EVENT_STREAM = "text/event-stream; charset=utf-8"
_JSON = "application/json"
_NULLS = ("content", "refusal", "finish_reason", "logprobs")
"""What OpenAI writes even where it is null."""


def non_streaming_response(stream: bytes) -> tuple[int, bytes, str]:
    """The response that says in one what a stream says: status, body, content type.

    Comments and the like are left out, and a missing end is not a failure. An event that is an error is the response,
    with its status, or 500; so is one that is not a chunk, as it is, and so are bytes without any event in them.
    """
    core = StreamParser()
    has_chunks = False
    for event in SSEDecoder().receive_data(stream):
        core.receive_data(b"event: %s\ndata: %s\n\n" % (event.event.encode(), event.data.replace(b"\n", b"\ndata: ")))
        while core.next_chunk() is not None:
            has_chunks = True
        if isinstance(core.failure, APIStatusError):
            return core.failure.status or 500, json.dumps(core.failure.body).encode(), _JSON
        if isinstance(core.failure, ResponseFormatError):
            return 200, event.data, _JSON
    if stream and not has_chunks:
        return 200, stream, _JSON if stream.lstrip().startswith(b"{") else EVENT_STREAM
    return 200, json.dumps(_without_ours(msgspec.to_builtins(core.completion))).encode(), _JSON


def error_in(body: bytes) -> object:
    """The error that an event among these bytes is; None where none is."""
    if b"error" not in body and b"abort" not in body:
        return None
    for event in SSEDecoder().receive_data(body):
        try:
            value = parse_json(event.data)
        except ResponseFormatError:
            value = event.data.decode("utf-8", "replace")
        if event.event == "error" or is_error(as_object(value) or {}):
            return value
    return None


def is_error_body(body: bytes) -> bool:
    """Whether the body of a response is an error, whatever its status says."""
    try:
        return b"error" in body and is_error(as_object(parse_json(body)) or {})
    except ResponseFormatError:
        return False


def _without_ours(value: object) -> object:
    """The JSON as a server writes it: fields of its own beside the others, ours not at all, few nulls."""
    array, fields = as_array(value), as_object(value)
    if array is not None:
        return [_without_ours(item) for item in array]
    if fields is None:
        return value
    told = {name: item for name, item in fields.items() if item is not None or name in _NULLS}
    known = {name: _without_ours(item) for name, item in told.items() if not name.startswith("$")}
    return known | (as_object(fields.get(EXTRA_NAME)) or {})
