"""What a tool returned, to the content of a message."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import msgspec

from firsttoken.errors import ConfigurationError

PART_TYPES = frozenset({"text", "image_url", "input_audio", "file", "refusal"})
"""The types of the API's content parts."""


def result_text(value: object) -> str | Sequence[Mapping[str, object]]:
    """The content for a result: text and content parts as they are, anything else as its JSON.

    Raises:
        ConfigurationError: it has no JSON.
    """
    if isinstance(value, str):
        return value
    if _are_parts(value):
        return cast("Sequence[Mapping[str, object]]", value)
    try:
        plain = msgspec.to_builtins(value, builtin_types=(bytes, bytearray, memoryview), enc_hook=_to_plain)
        return json.dumps(plain, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"the result of a tool must be text or have JSON, not {type(value).__name__}: {error}",
            hint="decode bytes, or return text"
            if isinstance(value, bytes | bytearray | memoryview)
            else "return text, or what JSON has: dicts, lists, numbers",
        ) from error


def _are_parts(value: object) -> bool:
    if not isinstance(value, list | tuple) or not value:
        return False
    items = cast("list[object]", value)
    return all(
        isinstance(item, Mapping) and cast("Mapping[str, object]", item).get("type") in PART_TYPES for item in items
    )


def _to_plain(value: object) -> object:
    """What msgspec asks for other people's types."""
    if "pydantic" in sys.modules:
        import pydantic

        if isinstance(value, pydantic.BaseModel):
            return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Mapping):
        return dict(cast("Mapping[object, object]", value))
    for kind in (str, int, float):  # a subclass, as NumPy and markup libraries have them
        if isinstance(value, kind):
            return kind(value)
    to_list: Callable[[], object] | None = getattr(value, "tolist", None)  # an array or a scalar of NumPy
    if callable(to_list):
        return to_list()
    raise TypeError(f"{type(value).__name__} has no JSON")
