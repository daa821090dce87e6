"""Body bytes to events: the WHATWG event-stream grammar, on bytes.

Lines, fields, comments, the byte-order mark and the limit on an event's size. What data means (`[DONE]`, JSON, errors)
is for `decode`; only lines that are not fields are parsed here, since they may be a bare JSON error. Each read is
split once, and each byte is looked at a fixed number of times, however the input is cut.

Source: HTML Living Standard, section 9.2.6 "Interpreting an event stream".
"""

from itertools import repeat
from operator import contains

import msgspec

from firsttoken._json import parse_json
from firsttoken._protocol.server_error import error_object
from firsttoken.errors import ResponseFormatError

MAX_EVENT_BYTES = 32 * 1024 * 1024
"""The largest event by default, in bytes; large enough for an image in base64."""

_BOM = b"\xef\xbb\xbf"


class ServerSentEvent(msgspec.Struct, frozen=True, gc=False):
    """An event as it was dispatched.

    Attributes:
        event: its type: "message" unless the server named one; "error" for a bare `error:` field, and for JSON without
            any field that is an error. The standard knows neither, but servers end failed streams with them.
        data: its data lines, joined by LF.
        id: the last event ID that the stream has set, "" before there is one.
        retry: the reconnection time that came with it, in milliseconds.
    """

    event: str
    data: bytes
    id: str = ""
    retry: int | None = None


class SSEDecoder:
    """Turns the bytes of a body, cut anywhere, into events.

    Args:
        max_event_bytes: the size above which an event is an error, in bytes.

    Attributes:
        failure: why decoding stopped, None while it has not; afterwards bytes are ignored.
        is_between_events: whether no event has begun that is not complete.
    """

    __slots__ = (
        "_after_cr",
        "_at_start",
        "_buffer",
        "_last_event_id",
        "_max_event_bytes",
        "failure",
        "is_between_events",
    )

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.failure: ResponseFormatError | None = None
        self._max_event_bytes = max_event_bytes
        self._buffer = (
            bytearray()
        )  # of the event that has not ended; many small reads take no more memory than a large one
        self._at_start = True
        self._after_cr = False
        self.is_between_events = False
        self._last_event_id = ""

    def receive_data(self, data: bytes) -> list[ServerSentEvent]:
        """Receive the bytes of a read; return the events that they complete."""
        return self.parse_blocks(self.feed(data))

    def receive_eof(self) -> list[ServerSentEvent]:
        """Receive the end of the body; return the event that it left unterminated, if there is one.

        The standard discards such an event, but some servers close without the last blank line. The caller decides
        whether it is complete.
        """
        block = bytes(self._buffer)
        self._buffer.clear()
        return self.parse_blocks(block)

    def feed(self, data: bytes) -> bytes:
        """Receive the bytes of a read; return the blocks of lines that a blank line has ended.

        They are for `split_simple_events` or `parse_blocks`.

        Line ends are LF by then, and blocks are separated by a blank line; more blank lines may stand anywhere.
        """
        ended = self._complete_blocks(data)
        self.is_between_events = not (self._buffer or self._at_start or self._after_cr or self.failure)
        return ended

    def _complete_blocks(self, data: bytes) -> bytes:
        if self._at_start:
            data = self._strip_bom(data)
        if self._after_cr or b"\r" in data:
            data = self._normalise_line_ends(data)
        if not self._buffer:
            data = data.lstrip(b"\n")  # blank lines before an event: not a part of it, so not of its size either
        if not data or self.failure is not None:
            return b""
        if self._buffer:
            straddles = data[0] == 0x0A and self._buffer[-1] == 0x0A
            if not straddles and b"\n\n" not in data:
                self._append(data)
                return b""
            self._buffer += data
            data = bytes(self._buffer)
            self._buffer.clear()
        cut = data.rfind(b"\n\n")
        if cut < 0:
            self._append(data)
            return b""
        ended, tail = data[:cut], data[cut + 2 :]
        if cut > self._max_event_bytes:
            ended = self._before_too_large(ended)
        if tail and self.failure is None:
            self._append(tail)
        return ended

    def match_single_event(self, data: bytes) -> bytes | None:
        """The data of a read that is exactly one `data: ` line and its blank line, as single tokens are; else None.

        If it is None, nothing was consumed: `feed` takes all other reads.
        """
        size = len(data)
        if not self.is_between_events or data.find(b"\n") != size - 2 or data[-1] != 0x0A or data[:6] != b"data: ":
            return None
        return None if b"\r" in data or size - 2 > self._max_event_bytes else data[6:-2]

    def split_simple_events(self, blocks: bytes) -> list[bytes] | None:
        """The data of each event, if each is a single `data: ` line, as from nearly all servers; else None."""
        if blocks[:6] != b"data: ":
            return None
        payloads = blocks[6:].split(b"\n\ndata: ")
        if any(map(contains, payloads, repeat(0x0A))):
            return None
        return payloads

    def parse_blocks(self, blocks: bytes) -> list[ServerSentEvent]:
        """Parse blocks of any kind into events."""
        return [event for block in blocks.split(b"\n\n") for event in self._parse(block)]

    def _parse(self, block: bytes) -> list[ServerSentEvent]:
        """Parse a block into its event; there is none if its data is missing or blank."""
        event, retry, data, bare, is_bare_last = "", None, list[bytes](), list[bytes](), False
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            if value[:1] == b" ":
                value = value[1:]
            if field == b"data":
                data.append(value)
            elif field == b"event":
                event = value.decode("utf-8", "replace")
            elif field == b"error":
                event = "error"
                data.append(value)
            elif field == b"id" and b"\0" not in value:
                self._last_event_id = value.decode("utf-8", "replace")
            elif field == b"retry" and value.isdigit() and len(value) < 20:
                retry = int(value)
            elif line and (bare or line[:1] in (b"{", b"[")):
                is_bare_last = bool(data) or is_bare_last
                bare.append(line)
        joined = b"\n".join(data)
        events: list[ServerSentEvent] = []
        if joined and not joined.isspace():
            events.append(ServerSentEvent(event or "message", joined, self._last_event_id, retry))
        if bare:
            events[is_bare_last:is_bare_last] = self._bare_error(bare)
        return events

    def _bare_error(self, lines: list[bytes]) -> list[ServerSentEvent]:
        """The error among the fields of a block, as JSON that is not the value of a field."""
        data = b"\n".join(lines)
        try:
            value = parse_json(data)
        except ResponseFormatError:
            return []
        return [] if error_object(value) is None else [ServerSentEvent("error", data, self._last_event_id)]

    def _append(self, data: bytes) -> None:
        """Keep the bytes of an unfinished event. Comments count too: this bounds an endless one."""
        self._buffer += data
        if len(self._buffer) - (data[-1] == 0x0A) > self._max_event_bytes:  # the LF may be the first of a blank line
            self._fail_too_large()

    def _before_too_large(self, ended: bytes) -> bytes:
        blocks = ended.split(b"\n\n")
        for position, block in enumerate(blocks):
            if len(block.strip(b"\n")) > self._max_event_bytes:
                self._fail_too_large()
                return b"\n\n".join(blocks[:position])
        return ended

    def _fail_too_large(self) -> None:
        self._buffer.clear()
        self.failure = ResponseFormatError(f"event larger than {self._max_event_bytes} bytes")

    def _strip_bom(self, data: bytes) -> bytes:
        data = bytes(self._buffer) + data
        self._buffer.clear()
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._buffer += data
            return b""
        self._at_start = False
        return data.removeprefix(_BOM)

    def _normalise_line_ends(self, data: bytes) -> bytes:
        """CRLF and CR to LF. A CR ends its line at once; the LF that may follow in a later read is swallowed."""
        if self._after_cr:
            self._after_cr = not data
            data = data.removeprefix(b"\n")
        if data:
            self._after_cr = data[-1] == 0x0D
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
