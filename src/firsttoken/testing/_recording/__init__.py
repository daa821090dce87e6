"""A recording: what went over a client's connections, read by read, and the file that keeps it.

docs/how-to/record-and-replay.md describes the file. JSON Lines: a line for each request, each read and each end. Those
of exchanges that went on at the same time stand in the order in which things happened.
"""

import base64
import errno
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Literal, Self, cast, get_args

from firsttoken._protocol.http1 import ResponseParser
from firsttoken._version import __version__

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


VERSION: Final = 1
_MAGIC: Final = "firsttoken_recording"
_LONGEST_NS: Final = 366 * 24 * 3600 * 10**9
"""A year: nobody waits for what is later, so a file that says so is wrong."""

_NOT_PRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029]")
"""What JSON allows in a text, but a terminal or an editor may take for an order or a new line."""


def encode_line(fields: Mapping[str, object]) -> bytes:
    """A line of the file."""
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return _NOT_PRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode() + b"\n"


FIRST_LINE: Final = encode_line({_MAGIC: VERSION, "by": f"firsttoken {__version__}"})


def request_line(number: int, exchange: RecordedExchange) -> dict[str, object]:
    """The line with which an exchange begins."""
    fields: dict[str, object] = {"exchange": number, "call": exchange.call, "attempt": exchange.attempt}
    return (
        fields
        | {"origin": exchange.origin}
        | _written("head", exchange.request_head)
        | _written("body", exchange.request_body)
    )


def read_line(number: int, read: Read) -> dict[str, object]:
    """The line of a read."""
    parts = {"head": read.data[: read.head_size], "body": read.data[read.head_size :]}
    fields: dict[str, object] = {"exchange": number, "ns": read.ns}
    for name, data in parts.items():
        if data:
            fields |= _written(name, data)
    return fields


def end_line(number: int, ns: int, end_reason: RecordedEndReason, error: str | None) -> dict[str, object]:
    """The line with which an exchange ends."""
    fields: dict[str, object] = {"exchange": number, "ns": ns, "end": end_reason}
    return fields if error is None else fields | {"error": error}


def _written(name: str, data: bytes) -> dict[str, object]:
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:  # no text, or one whose last character goes on in the next read
        return {f"{name}_base64": base64.b64encode(data).decode("ascii")}


class LineError(ValueError):
    """A line is wrong."""


_CUT: Final = "hint: was the file cut or edited? Take this line and all after it away, and the rest can be read"


def decode_line(line: bytes, *, is_first: bool) -> dict[str, object]:
    """What a line says; the first one says what the file is.

    Raises:
        LineError: it is not a line of such a file.
    """
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if is_first:
        _check_first(value)
    if not isinstance(value, dict):
        raise LineError(f"expected a JSON object\n{_CUT}")
    return cast("dict[str, object]", value)


def _check_first(value: object) -> None:
    version = cast("dict[str, object]", value).get(_MAGIC) if isinstance(value, dict) else None
    if version is None:
        raise LineError(
            "this is not a recording\nhint: firsttoken ask --record FILE makes one; its first line says what it is"
        )
    if version != VERSION:
        raise LineError(
            f"this is a recording of version {version}, and firsttoken {__version__} reads version {VERSION}\n"
            "hint: a newer firsttoken may read it"
        )


def take_line(exchanges: list[RecordedExchange], fields: Mapping[str, object]) -> None:
    """Add to the exchanges what a line says; names that are not known are left aside.

    Raises:
        LineError: it says nothing, or something that can't follow.
    """
    number = _number(fields, "exchange")
    if "origin" in fields:
        if number != len(exchanges) + 1:
            raise LineError(f"exchange {number} begins, but {len(exchanges) + 1} would be next\n{_CUT}")
        exchanges.append(_exchange(fields))
        return
    if not 1 <= number <= len(exchanges):
        raise LineError(f"exchange {number} goes on, but has not begun\n{_CUT}")
    exchange = exchanges[number - 1]
    if exchange.end_reason is not None:
        raise LineError(f"exchange {number} goes on, but has ended\n{_CUT}")
    if "end" in fields:
        _take_end(exchange, fields)
    else:
        head = _bytes(fields, "head")
        exchange.reads.append(Read(_time(fields), head + _bytes(fields, "body"), len(head)))


def _exchange(fields: Mapping[str, object]) -> RecordedExchange:
    return RecordedExchange(
        call=_number(fields, "call"),
        attempt=_number(fields, "attempt"),
        origin=str(fields["origin"]),
        request_head=_bytes(fields, "head"),
        request_body=_bytes(fields, "body"),
    )


def _take_end(exchange: RecordedExchange, fields: Mapping[str, object]) -> None:
    end_reason, error = fields["end"], fields.get("error")
    if end_reason not in get_args(RecordedEndReason):
        raise LineError(f'"end" is {end_reason!r}, which is none of: {", ".join(get_args(RecordedEndReason))}')
    exchange.ended_ns = _time(fields)
    exchange.end_reason = cast("RecordedEndReason", end_reason)
    exchange.error = None if error is None else str(error)


def _number(fields: Mapping[str, object], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise LineError(f'"{name}" must be an integer, not {json.dumps(value)}\n{_CUT}')
    return value


def _time(fields: Mapping[str, object]) -> int:
    ns = _number(fields, "ns")
    if ns > _LONGEST_NS:
        raise LineError(f'"ns" is {ns}, which is more than a year\n{_CUT}')
    return ns


def _bytes(fields: Mapping[str, object], name: str) -> bytes:
    text, coded = fields.get(name, ""), fields.get(f"{name}_base64", "")
    try:
        return str(text).encode() if text else base64.b64decode(str(coded), validate=True)
    except ValueError as error:
        raise LineError(f'"{name}" or "{name}_base64" holds no bytes: {error}') from error


StrPath = str | os.PathLike[str]


class RecordingError(Exception):
    """A recording can't be read or written; the message names the file, and the line where there is one."""


def create_private(path: StrPath) -> IO[bytes]:
    """Create a file, or empty one, that its owner alone can read: prompts and answers are in it.

    Raises:
        OSError: it can't be written; a symbolic link, which may be another user's trap, is not followed.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    file = open(os.open(path, flags, 0o600), "wb")  # noqa: PTH123, SIM115 - the caller closes it
    try:
        if hasattr(os, "fchmod") and stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            os.fchmod(file.fileno(), 0o600)  # it may have existed
    except BaseException:
        file.close()
        raise
    return file


def write_error(path: StrPath, error: OSError) -> RecordingError:
    """The error for a file that can't be written."""
    reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
    return RecordingError(f"can't write {os.fspath(path)}: {reason}")


@dataclass(slots=True)
class Recording:
    """Exchanges in the order in which they began.

    Attributes:
        exchanges: them.
    """

    exchanges: list[RecordedExchange] = field(default_factory=list[RecordedExchange])

    @classmethod
    def load(cls, path: StrPath) -> Self:
        """Read a file.

        Raises:
            RecordingError: there is none, it is not a recording, or one of a version that is not understood.
        """
        recording = cls()
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise RecordingError(f"can't read {os.fspath(path)}: {error.strerror}") from error
        for number, line in enumerate(data.removesuffix(b"\n").split(b"\n"), 1):
            try:
                fields = decode_line(line, is_first=number == 1)
                if number > 1:
                    take_line(recording.exchanges, fields)
            except LineError as error:
                raise RecordingError(f"{os.fspath(path)}:{number}: {error}") from error
        return recording

    def save(self, path: StrPath) -> None:
        """Write a file, over one that is there.

        Raises:
            RecordingError: it can't be written.
        """
        try:
            with create_private(path) as file:
                file.write(FIRST_LINE + b"".join(map(encode_line, self._lines())))
        except OSError as error:
            raise write_error(path, error) from error

    def answers(self) -> list[RecordedExchange]:
        """The last attempt of each call: what its caller saw."""
        return list({exchange.call: exchange for exchange in self.exchanges}.values())

    def _lines(self) -> Iterator[dict[str, object]]:
        for number, exchange in enumerate(self.exchanges, 1):
            yield request_line(number, exchange)
            yield from (read_line(number, read) for read in exchange.reads)
            if exchange.end_reason is not None and exchange.ended_ns is not None:
                yield end_line(number, exchange.ended_ns, exchange.end_reason, exchange.error)
