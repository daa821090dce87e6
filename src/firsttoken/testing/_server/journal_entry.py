"""One request as it arrived, and what became of its answer."""

import json
from dataclasses import dataclass
from typing import Literal, Protocol

from firsttoken._json import as_array, as_object, excerpt
from firsttoken._models.base import Headers
from firsttoken._protocol.redaction import MASK, holds_secret

EndReason = Literal["complete", "client closed", "client reset", "server closed", "server reset"]
"""How an answer ended.

"complete": it was sent to its end. "client …": the client closed or reset the connection before that. "server …": the
script did, or the server was closed.
"""


class RequestHeaders(Headers):
    """Request headers: a read-only mapping whose names are case-insensitive; a repeated header's values are joined.

    Keys are there for a test to look at, but not in the repr, which ends up in logs of test runs.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        shown = {name: MASK if holds_secret(name) else value for name, value in self.items()}
        return f"Headers({shown!r})"


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """A request as it arrived.

    Attributes:
        method: "POST", mostly.
        target: path and query, as the client wrote them.
        headers: by name, whatever its case.
        body: the bytes, without HTTP's framing.
        connection: which of the server's connections it came over, from 1.
        http_version: "1.1", or "1.0".
        keeps_alive: whether the client wants to use the connection again.
    """

    method: str
    target: str
    headers: Headers
    body: bytes
    connection: int
    http_version: str = "1.1"
    keeps_alive: bool = True

    def __repr__(self) -> str:
        path = self.target.partition("?")[0]  # some servers take the key in the query
        return f"Request({self.method} {path}, connection={self.connection}, body={excerpt(self.body)})"

    @property
    def json(self) -> dict[str, object]:
        """The body, decoded.

        Raises:
            ValueError: the body is not a JSON object.
        """
        found = as_object(json.loads(self.body))
        if found is None:
            raise ValueError(f"expected a JSON object as the request's body: {excerpt(self.body)}")
        return found

    @property
    def messages(self) -> list[dict[str, object]]:
        """The messages in the body; none where it has none."""
        try:
            listed = as_array(self.json.get("messages")) or []
        except ValueError:
            return []
        return [message for message in map(as_object, listed) if message is not None]

    @property
    def is_streamed(self) -> bool:
        """Whether the client asked for a stream."""
        try:
            return self.json.get("stream") is True
        except ValueError:
            return False


class Meter(Protocol):
    """Counts the bytes of a connection."""

    @property
    def sent_bytes(self) -> int:
        """Put on the wire so far."""
        ...

    @property
    def taken_bytes(self) -> int:
        """Of those, taken by the client's machine."""
        ...


class LoggedRequest:
    """A request and what became of its answer; times are seconds since the server was made.

    Attributes:
        request: what the client sent.
        number: which request of the server it is, from 1.
        received_at: when the request was there.
        status: of the answer; None until its head was sent (1xx does not count).
        end_reason: how the answer ended; None while it is under way.
        ended_at: when it ended.
        disconnected_at: when the client closed or reset the connection; None while it is open, or where the server
            closed it first.
    """

    def __init__(self, request: Request, number: int, received_at: float, meter: Meter) -> None:
        self.request = request
        self.number = number
        self.received_at = received_at
        self.status: int | None = None
        self.has_error = False
        self.end_reason: EndReason | None = None
        self.ended_at: float | None = None
        self.disconnected_at: float | None = None
        self._meter = meter
        self._start_at = meter.sent_bytes
        self._end_at: int | None = None

    def __repr__(self) -> str:
        return (
            f"LoggedRequest({self.request!r}, status={self.status}, end_reason={self.end_reason!r}, "
            f"sent_bytes={self.sent_bytes}, taken_bytes={self.taken_bytes})"
        )

    @property
    def sent_bytes(self) -> int:
        """How many bytes of the answer the script has put on the wire so far, head and framing included."""
        return (self._meter.sent_bytes if self._end_at is None else self._end_at) - self._start_at

    @property
    def taken_bytes(self) -> int:
        """How many of `sent_bytes` the client's machine has taken and said so; the rest are in this one's buffers.

        It counts what the client's system has, read by the client or not. The same as `sent_bytes` where this one's
        system does not tell (Linux does), and with TLS.
        """
        return max(0, min(self._meter.taken_bytes - self._start_at, self.sent_bytes))

    @property
    def has_failed(self) -> bool:
        """Whether the answer was none: its status is 400 or more, it was cut, or it held an error event."""
        was_cut = self.end_reason is not None and self.end_reason != "complete"
        return was_cut or self.has_error or (self.status or 0) >= 400

    @property
    def was_ended_by_client(self) -> bool:
        """Whether it was the client that ended it."""
        return self.end_reason in ("client closed", "client reset")

    def _freeze_count(self) -> None:
        """What is sent from now on belongs to another answer."""
        self._end_at = self._meter.sent_bytes
