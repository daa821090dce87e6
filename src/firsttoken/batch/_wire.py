"""Completions and lines as JSON."""

import json
from collections.abc import Callable

import msgspec

from firsttoken._protocol.request import _plain_fields
from firsttoken.types import ChatCompletion

_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode
_METADATA = frozenset({"response", "timing", "complete"})


def completion_dict(completion: ChatCompletion) -> dict[str, object]:
    """A completion as the wire has it."""
    fields = _plain_fields(completion)
    return {name: value for name, value in fields.items() if name not in _METADATA and not name.startswith("_")}


def encode_line(fields: dict[str, object]) -> bytes:
    """A line of JSON, with its end."""
    try:
        return _encode(fields) + b"\n"
    except UnicodeEncodeError:  # a lone surrogate
        return json.dumps(fields).encode("ascii") + b"\n"
