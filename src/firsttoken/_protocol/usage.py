"""Token counts: how a later chunk updates them."""

import copy
from typing import Any, TypeVar

from firsttoken._json import parse_digits
from firsttoken._models.base import ResponseObject
from firsttoken._models.completion import CompletionUsage
from firsttoken._protocol.pieces import merged

COUNTS = ("completion_tokens", "prompt_tokens", "total_tokens")

_Counts = TypeVar("_Counts", bound=ResponseObject)


def merged_usage(known: CompletionUsage, new: CompletionUsage) -> CompletionUsage:
    """The usage of an answer, of what was known and what a chunk says: the last of each count wins.

    Zeros and missing counts overwrite nothing; neither argument is changed.
    """
    if (
        new.completion_tokens
        and new.prompt_tokens
        and new.total_tokens
        and not known.extra
        and known.completion_tokens_details is None
        and known.prompt_tokens_details is None
    ):
        return new
    return _merged(known, new)


def _merged(known: _Counts, new: _Counts) -> _Counts:
    made = copy.copy(known)
    for name in known.__struct_fields__:
        before, value = getattr(known, name), getattr(new, name)
        if name == "extra":
            made.extra = {**before, **{key: merged(key, before.get(key), value[key]) for key in value}}
        elif isinstance(before, ResponseObject) and isinstance(value, ResponseObject):
            setattr(made, name, _merged(before, value))
        elif value or before is None:
            setattr(made, name, value)
    return made


def has_total(usage: CompletionUsage, raw: bytes) -> bool:
    """Whether the server sent a total of any count, in the JSON that the usage stands in."""
    return usage.total_tokens != 0 or (
        b'"total_tokens"' in raw and (usage.prompt_tokens != 0 or usage.completion_tokens != 0)
    )


def with_total(usage: CompletionUsage) -> CompletionUsage:
    """A copy, whose total is the sum."""
    made = copy.copy(usage)
    made.total_tokens = made.prompt_tokens + made.completion_tokens
    return made


def parse_counts(node: dict[str, Any]) -> None:
    """Convert counts that are floats or text to ints, in an object and those in it."""
    for name, value in node.items():
        if name.endswith("_tokens"):
            node[name] = _count(value)
        elif name.endswith("_details") and isinstance(value, dict):
            parse_counts(value)  # pyright: ignore[reportUnknownArgumentType]


def _count(value: object) -> object:
    if isinstance(value, str):
        number = parse_digits(value.strip())
        return number if isinstance(number, int) else value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2.0**53:
        return int(value)
    return value
