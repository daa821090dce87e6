"""Replay: a recording as a script, each read sent by itself, at its time.

TCP may join two pieces that follow each other fast, or split one.
"""

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from firsttoken._protocol.http1 import ResponseParser
from firsttoken.testing._recording import RecordedExchange, Recording, RecordingError, StrPath, content_of
from firsttoken.testing._server.journal import Request
from firsttoken.testing._server.script import Script

if TYPE_CHECKING:
    from firsttoken.testing._server.response import ResponseWriter


def replay(recording: Recording | StrPath, *, speed: float = 1.0) -> "Replay":
    """A script for `ScriptedServer` that answers as was recorded, byte for byte.

    The first request gets the first exchange's answer, the next the next one's, and after the last the first again;
    what they ask does not matter. Each read is sent by itself, at its time. As fast as possible, reads that follow
    each other fast may come in one; `RecordedExchange.body_reads` keeps the boundaries then, too.

    The ends are replayed as well: the server closes or resets the connection where it did. Where the client left, or a
    deadline of it passed, it sends no more and waits for the client to leave; what would have come is not known. It
    closes the connection where the recording ends, and where there was no connection, it resets the one there is.

    Args:
        recording: one, or the path of its file.
        speed: 1 for the times that were recorded, 2 for twice as fast, `float("inf")` for as fast as possible.

    Raises:
        RecordingError: the file can't be read, or the recording has no exchange.
        ValueError: the speed is not above 0.
    """
    if not speed > 0:
        raise ValueError(f"the speed of a replay must be above 0: {speed}")
    loaded = recording if isinstance(recording, Recording) else Recording.load(recording)
    if not loaded.exchanges:
        raise RecordingError("there is nothing to replay: the recording has no exchange")
    return Replay(tuple(loaded.exchanges), speed)


class Replay:
    """Gives a script for each request: see `replay`.

    Args:
        exchanges: what is played, in turn.
        speed: how fast.
    """

    def __init__(self, exchanges: tuple[RecordedExchange, ...], speed: float) -> None:
        self._scripts = tuple(Script((ReplayStep(exchange, speed),)) for exchange in exchanges)
        self._next = 0
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Script:  # noqa: ARG002 - what is asked does not matter
        """The script for a request."""
        with self._lock:
            script = self._scripts[self._next]
            self._next = (self._next + 1) % len(self._scripts)
        return script


@dataclass(frozen=True, slots=True)
class ReplayStep:
    """One recorded answer, sent again at its own pace times `speed`."""

    exchange: RecordedExchange
    speed: float

    def play(self, response: "ResponseWriter") -> None:
        """Send the reads, and end as was recorded."""
        started_at = time.monotonic()
        if response._entry is not None:
            response._entry.status = self.exchange.status  # the journal can't see it in the bytes
        for read in self.exchange.reads:
            self._wait_until(response, started_at, read.ns)
            response.send_wire_bytes(read.data)
        if self.exchange.end_reason in ("client timeout", "client closed"):
            response.wait(float("inf"))
        if self.exchange.end_reason != "complete":
            self._wait_until(response, started_at, self.exchange.ended_ns or 0)
            response.disconnect(reset=self.exchange.end_reason in ("server reset", "no connection"))
        response.end()
        # The client knows from the head whether it may use the connection again, or waits for what an edit took away.
        response.keeps_alive = _is_whole(self.exchange)

    def _wait_until(self, response: "ResponseWriter", started_at: float, ns: int) -> None:
        remaining_s = started_at + ns / 1e9 / self.speed - time.monotonic()
        if remaining_s > 0:
            response.wait(remaining_s)


def _is_whole(exchange: RecordedExchange) -> bool:
    """Whether the bytes are a complete response still: redaction leaves that true, an edited file need not."""
    parser = ResponseParser()
    for read in exchange.reads:
        content_of(parser, read.data)
    return parser.body_ended
