"""What went over a connection of a client, read by read."""

import re
from dataclasses import dataclass, field
from typing import Literal

from firsttoken._protocol.http1 import ResponseParser

RecordedEndReason = Literal[
    "complete", "server closed", "server reset", "client closed", "client timeout", "no connection"
]
"""How an exchange ended.

"complete": the response was received to its end. "server …": the server closed or reset the connection before that (or
to end the body). "client closed": the client closed the connection. "client timeout": a deadline of the client passed.
"no connection": the request could not be sent.
"""


@dataclass(frozen=True, slots=True)
class Read:
    """What one read of the connection brought, inside TLS.

    Attributes:
        ns: when, in nanoseconds since the request was sent.
        data: the bytes.
        head_size: how many of them belong to the head of the response; the others to its body.
    """

    ns: int
    data: bytes
    head_size: int = 0


@dataclass(slots=True)
class RecordedExchange:
    """A request and what came of it. A call that was retried has one for each attempt.

    Attributes:
        call: which of the recorded calls it belongs to, from 1.
        attempt: which attempt of that call it is, from 1.
        origin: whom the request was for: scheme, host and port.
        request_head: the request's head, as it was sent but for the secrets.
        request_body: its body, likewise.
        reads: what the connection brought, in order, with the exact boundaries.
        end_reason: how it ended; None where the recording ended first.
        ended_ns: when, in nanoseconds since the request was sent.
        error: what the attempt failed with, in words; None where it did not fail.
    """

    call: int
    attempt: int
    origin: str
    request_head: bytes
    request_body: bytes
    reads: list[Read] = field(default_factory=list[Read])
    end_reason: RecordedEndReason | None = None
    ended_ns: int | None = None
    error: str | None = None

    @property
    def head(self) -> bytes:
        """The head of the response, with the 1xx ones before it."""
        return b"".join(read.data[: read.head_size] for read in self.reads)

    @property
    def status(self) -> int | None:
        """The HTTP status; None where there was no answer."""
        statuses = re.findall(rb"(?m)^HTTP/\d\.\d (\d{3})", self.head)
        return int(statuses[-1]) if statuses else None

    def body_reads(self) -> list[Read]:
        """What each read brought of the body, without HTTP's framing and without compression.

        It is what `firsttoken.sansio.StreamParser.receive_data` takes: a replay without a connection, with the exact
        boundaries. Reads that brought nothing of the body are left out.
        """
        parser = ResponseParser()
        pieces = ((read.ns, content_of(parser, read.data)) for read in self.reads)
        return [Read(ns, data) for ns, data in pieces if data]


def content_of(parser: ResponseParser, data: bytes) -> bytes:
    """What a read brings of the body, without HTTP's framing and without compression."""
    pieces = [parser.receive_data(data)]
    while parser.has_pending_data:
        pieces.append(parser.process_pending())
    return b"".join(pieces)
