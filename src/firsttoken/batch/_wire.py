"""Lines of JSON."""

from firsttoken._json import encode_json


def encode_line(fields: dict[str, object]) -> bytes:
    """A line of JSON, with its end."""
    return encode_json(fields) + b"\n"
