"""The tolerant path: an answer that the typed decode refused, read one field at a time.

Owns what is done with a field that is unknown, null or of another type than the schema's. What the table in `quirks`
knows is mended; a field of another type that no row knows is moved to `extra`, so that nothing is lost and nothing
breaks. Only where an answer has no shape left (choices that are no list; a choice, delta or message that is no object)
it is a failure.
"""

from typing import TypeVar

import msgspec

from firsttoken._json import as_array, as_object, excerpt
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._protocol.quirks import mend
from firsttoken._protocol.struct_fields import JSONObject, Shape, objects, park_mistyped, park_unknown
from firsttoken.errors import ResponseFormatError

_Answer = TypeVar("_Answer", ChatCompletionChunk, ChatCompletion)


def read(data: bytes, value: JSONObject, answer: type[_Answer]) -> _Answer:
    """Make an answer of a JSON object that the typed decode refused.

    Args:
        data: the bytes that the object was decoded from, for messages.
        value: the object; it is changed.
        answer: what it is to become.

    Raises:
        ResponseFormatError: `choices` is no list, or a choice, delta or message is no object.
    """
    choices = _choices(data, value)
    part = "delta" if answer is ChatCompletionChunk else "message"
    deltas = [_delta(data, choice, part) for choice in choices]
    shape = _SHAPES[answer]
    park_unknown(value, shape)
    try:
        return msgspec.convert(value, answer)
    except ValueError:
        mend({"chunk": [value], "choice": choices, "delta": deltas, "usage": objects([value.get("usage")])})
        calls = [call for delta in deltas for call in objects(delta.get("tool_calls"))]
        mend({"tool_call": calls})
        park_unknown(value, shape)  # again: what was mended has new parts
        park_mistyped(value, shape)
        return msgspec.convert(value, answer)


_SHAPES = {ChatCompletionChunk: Shape.of(ChatCompletionChunk), ChatCompletion: Shape.of(ChatCompletion)}


def _choices(data: bytes, value: JSONObject) -> list[JSONObject]:
    if value.get("choices") is None:
        value["choices"] = []
    choices = as_array(value["choices"])
    if choices is None:
        raise ResponseFormatError(f"the server sent choices that are no list: {excerpt(data)}")
    found = objects(choices)
    if len(found) != len(choices):
        raise ResponseFormatError(f"the server sent a choice that is no object: {excerpt(data)}")
    return found


def _delta(data: bytes, choice: JSONObject, part: str) -> JSONObject:
    """The delta (or message) of a choice; where a server sent the other one of the two, or bare text, that."""
    if choice.get(part) is None:
        choice[part] = _instead_of_delta(choice, "message" if part == "delta" else "delta")
    delta = as_object(choice[part])
    if delta is None:
        raise ResponseFormatError(f"the server sent a choice whose {part} is no object: {excerpt(data)}")
    return delta


def _instead_of_delta(choice: JSONObject, other: str) -> object:
    if choice.get(other) is not None:
        return choice.pop(other)
    return {"content": choice.pop("text")} if isinstance(choice.get("text"), str) else {}
