"""The lines of a recording's file, which docs/how-to/record-and-replay.md describes.

JSON Lines: a line for each request, each read and each end. Those of exchanges that went on at the same time stand in
the order in which things happened.
"""

import base64
import json
import re
from collections.abc import Mapping
from typing import Final, cast, get_args

from firsttoken._version import __version__
from firsttoken.testing._recording.model import Read, RecordedEndReason, RecordedExchange

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
