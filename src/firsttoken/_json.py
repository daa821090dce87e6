"""JSON of a server to plain values: what msgspec refuses and the standard library takes, passes too.

The first try is msgspec's; NaN, Infinity and lone surrogates are what the second is for.
"""

import re
from collections.abc import Iterator

import msgspec

from firsttoken.errors import ResponseFormatError

JSONObject = dict[str, object]
"""A JSON object."""

QUOTED_CHARACTERS = 200
MAX_NESTING = 100
"""The deepest JSON, in objects and arrays: what is done with a value later (`repr`, redaction) has to get down too."""

LARGE_BYTES = 512 * 1024
"""JSON from this size on is looked at before it is decoded: every object and array in it costs up to 250 bytes."""

MAX_CONTAINERS = 500_000
"""How many objects and arrays a JSON text may have: the log probabilities of 20,000 tokens have about as many."""

_STRING = rb'(?s)"[^"\\]*+(?:\\.[^"\\]*+)*+"'

_decode = msgspec.json.Decoder().decode


def parse_json(data: bytes) -> object:
    """Decode JSON, strictly UTF-8.

    Raises:
        ResponseFormatError: `data` is invalid JSON or UTF-8, or nested too deeply.
    """
    if has_too_many_values(data):
        raise ResponseFormatError(f"too many objects and arrays (more than {MAX_CONTAINERS}): {excerpt(data)}")
    try:
        value = _decode_any(data)
    except UnicodeDecodeError as error:
        raise ResponseFormatError(
            f"the server sent data that is not UTF-8 ({error.reason}): {excerpt(data)}"
        ) from UnicodeDecodeError(error.encoding, error.object[error.start : error.end], 0, 1, error.reason)
    except RecursionError as error:
        raise ResponseFormatError(f"the server sent JSON that is nested too deeply: {excerpt(data)}") from error
    except ValueError as error:
        from json import JSONDecodeError

        if isinstance(error, JSONDecodeError):
            error.doc = ""  # all that was sent, which may hold a secret
        raise ResponseFormatError(f"the server sent data that is not JSON ({error}): {excerpt(data)}") from error
    if data.count(b"{") + data.count(b"[") > MAX_NESTING and is_too_deep(value):
        raise ResponseFormatError(f"the server sent JSON that is nested too deeply: {excerpt(data)}")
    return value


def parse_digits(value: object) -> object:
    """The number that a text of up to 17 digits stands for; any other value as it is."""
    if isinstance(value, str) and len(value) < 18 and value.isascii() and value.isdigit():
        return int(value)
    return value


def has_too_many_values(data: bytes) -> bool:
    """Whether JSON has so many objects and arrays that decoding it would take many times its size."""
    if len(data) < LARGE_BYTES or data.count(b"{") + data.count(b"[") <= MAX_CONTAINERS:
        return False
    if data.count(b'{"') > MAX_CONTAINERS:
        return True
    in_strings = sum(text.count(b"{") + text.count(b"[") for text in _strings(data))
    return data.count(b"{") + data.count(b"[") - in_strings > MAX_CONTAINERS


def _strings(data: bytes) -> Iterator[bytes]:
    return (found.group() for found in re.finditer(_STRING, data))


def _decode_any(data: bytes) -> object:
    try:
        return _decode(data)
    except ValueError:
        import json  # here: most programs never need it

        return json.loads(data.decode("utf-8"))


def encode_json(value: object) -> bytes:
    """Plain values to JSON in UTF-8; what `parse_json` reads besides (NaN, lone surrogates) is written too."""
    import json

    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode("ascii")


def is_json_object(text: str) -> bool:
    """Whether a text is one JSON object."""
    try:
        return as_object(_decode_any(text.encode("utf-8", "surrogatepass"))) is not None
    except (ValueError, RecursionError):
        return False


def is_too_deep(value: object) -> bool:
    """Whether a value has more than `MAX_NESTING` objects and arrays in one another."""
    level = [value]
    for _ in range(MAX_NESTING + 1):
        level = [child for node in level for child in (*(as_object(node) or {}).values(), *(as_array(node) or ()))]
        if not level:
            return False
    return True


def excerpt(data: bytes) -> str:
    """The first 200 characters of what a server sent, for a message."""
    text = data[: QUOTED_CHARACTERS * 4].decode("utf-8", "replace")
    return repr(text[:QUOTED_CHARACTERS]) + ("…" if len(text) > QUOTED_CHARACTERS or len(data) > len(text) * 4 else "")


def as_object(value: object) -> JSONObject | None:
    """The value as a JSON object, None where it is none."""
    if isinstance(value, dict):
        found: JSONObject = value  # pyright: ignore[reportUnknownVariableType]
        return found
    return None


def as_array(value: object) -> list[object] | None:
    """The value as a JSON array, None where it is none."""
    if isinstance(value, list):
        found: list[object] = value  # pyright: ignore[reportUnknownVariableType]
        return found
    return None


def objects(value: object) -> list[JSONObject]:
    """The objects of a list; [] where it is not a list."""
    return [node for item in as_array(value) or () if (node := as_object(item)) is not None]


def as_text(value: object) -> str | None:
    """The value as a non-blank string; numbers are written out; None for anything else."""
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return None
