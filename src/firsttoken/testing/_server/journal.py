"""What a scripted server saw: each request, what became of its answer, and the connections in between.

The server writes by the methods that begin with an underscore.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable
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


class Journal:
    """Everything that a server saw, in order; may be read while the server works, from any thread.

    Times are seconds since the server was made. The server notes things as it sees them, and a client may know sooner:
    a test that wants to know how the client left, or that asks right after the client's last chunk, waits for it with
    `wait_for_disconnect` or `wait_until_ended`. In a test on asyncio:
    `await asyncio.to_thread(journal.wait_for_disconnect)`.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._started_at = time.monotonic()
        self._entries: list[LoggedRequest] = []
        self._malformed: list[bytes] = []
        self._connections_opened = 0
        self._closed_by_client = 0
        self._connections_ended = 0

    def __repr__(self) -> str:
        return f"Journal(connections_opened={self.connections_opened}, entries={self.entries!r})"

    @property
    def entries(self) -> list[LoggedRequest]:
        """A request each, with what became of its answer, in the order in which they came."""
        with self._changed:
            return list(self._entries)

    @property
    def requests(self) -> list[Request]:
        """The requests alone."""
        return [entry.request for entry in self.entries]

    @property
    def connections_opened(self) -> int:
        """How many connections clients made."""
        return self._connections_opened

    @property
    def connections_closed_by_client(self) -> int:
        """How many connections clients have closed or reset before the server did."""
        return self._closed_by_client

    @property
    def connections_open(self) -> int:
        """How many connections there are: made, and ended neither by a client nor by the server."""
        with self._changed:
            return self._connections_opened - self._connections_ended

    @property
    def connections_reused(self) -> int:
        """How many requests came over a connection that had carried one before."""
        entries = self.entries
        return len(entries) - len({entry.request.connection for entry in entries})

    @property
    def malformed(self) -> list[bytes]:
        """What came and was no HTTP/1 request, and was answered with a 400: 200 bytes of each at most.

        It is what was read when that was seen, which may begin with a request that was right.
        """
        with self._changed:
            return list(self._malformed)

    @property
    def retries(self) -> list[LoggedRequest]:
        """The requests that repeat one that failed: same method, target and body, and begun after its answer's end.

        An answer has failed whose status is 400 or more, that did not end "complete", or that held an error event.
        """
        return [again for _, again in _retries(self.entries)]

    @property
    def retry_delays_s(self) -> list[float]:
        """For each of `retries`, the seconds from the failed answer's end to the request; 0 where they overlap."""
        return [max(0.0, again.received_at - (failed.ended_at or 0.0)) for failed, again in _retries(self.entries)]

    def wait_until(self, is_so: Callable[["Journal"], bool], timeout_s: float = 5.0) -> bool:
        """Wait until something is so of this journal; give whether it is.

        Args:
            is_so: is asked now, and again whenever something is noted.
            timeout_s: how long to wait, in seconds.
        """
        with self._changed:
            return self._changed.wait_for(lambda: is_so(self), timeout_s)

    def wait_until_requests(self, count: int = 1, timeout_s: float = 5.0) -> bool:
        """Wait until so many requests have come in all; give whether they have."""
        return self.wait_until(lambda _: len(self._entries) >= count, timeout_s)

    def wait_until_ended(self, count: int = 1, timeout_s: float = 5.0) -> bool:
        """Wait until so many answers have ended in all, however they did; give whether they have."""
        return self.wait_until(
            lambda _: sum(entry.end_reason is not None for entry in self._entries) >= count, timeout_s
        )

    def wait_for_disconnect(self, connections: int = 1, timeout_s: float = 5.0) -> bool:
        """Wait until clients have closed or reset so many connections in all; give whether they have."""
        return self.wait_until(lambda _: self._closed_by_client >= connections, timeout_s)

    def _note_connection(self) -> int:
        """A connection was made; give its number."""
        with self._changed:
            self._connections_opened += 1
            self._changed.notify_all()
            return self._connections_opened

    def _note_request(self, request: Request, meter: Meter) -> LoggedRequest:
        with self._changed:
            entry = LoggedRequest(request, len(self._entries) + 1, self._now(), meter)
            self._entries.append(entry)
            self._changed.notify_all()
            return entry

    def _note_end(self, entry: LoggedRequest, end_reason: EndReason) -> None:
        """An answer ends: to be called before its last bytes go out, so that whatever the client does next is later."""
        with self._changed:
            entry.ended_at = self._now()
            entry.end_reason = end_reason  # last: who sees it finds the time, too
            self._changed.notify_all()

    def _note_disconnect(self, connection: int) -> None:
        with self._changed:
            self._closed_by_client += 1
            for entry in self._entries:
                if entry.request.connection == connection:
                    entry.disconnected_at = self._now()
            self._changed.notify_all()

    def _note_connection_ended(self) -> None:
        with self._changed:
            self._connections_ended += 1
            self._changed.notify_all()

    def _note_malformed(self, data: bytes) -> None:
        with self._changed:
            self._malformed.append(data[:200])
            self._changed.notify_all()

    def _now(self) -> float:
        return time.monotonic() - self._started_at


def _retries(entries: list[LoggedRequest]) -> list[tuple[LoggedRequest, LoggedRequest]]:
    """Pairs of a failed request and the one that repeats it."""
    failed: dict[tuple[str, str, bytes], deque[LoggedRequest]] = {}
    pairs: list[tuple[LoggedRequest, LoggedRequest]] = []
    for entry in entries:
        earlier = failed.setdefault((entry.request.method, entry.request.target, entry.request.body), deque())
        if earlier and _was_over(earlier[0], entry.received_at):
            pairs.append((earlier.popleft(), entry))
        if entry.has_failed:
            earlier.append(entry)
    return pairs


def _was_over(failed: LoggedRequest, at_s: float) -> bool:
    """Whether a client knew then that its request had failed; what it ended itself it knew before the server did."""
    return failed.ended_at is not None and (failed.ended_at <= at_s or failed.was_ended_by_client)
