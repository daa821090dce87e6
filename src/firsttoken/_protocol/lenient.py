"""The lenient path: an answer that the typed decode rejected, read one field at a time.

Fields may be unknown, null or of another type than the schema's. What the table in `quirks` knows is normalized; a
field of another type that no row knows is moved to `extra`, so that nothing is lost and nothing breaks. It is an error
only where `choices` is not a list, or a choice, delta or message is not an object.
"""

from typing import TypeVar

import msgspec

from firsttoken._json import as_array, as_object, excerpt
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._protocol.quirks import normalize
from firsttoken._protocol.struct_fields import (
    JSONObject,
    StructFields,
    move_mistyped_to_extra,
    move_unknown_to_extra,
    objects,
)
from firsttoken.errors import ResponseFormatError

_Answer = TypeVar("_Answer", ChatCompletionChunk, ChatCompletion)


def read(data: bytes, value: JSONObject, answer: type[_Answer]) -> _Answer:
    """Make an answer of a JSON object that the typed decode rejected.

    Args:
        data: the bytes that the object was decoded from, for messages.
        value: the object; it is changed.
        answer: what it is to become.

    Raises:
        ResponseFormatError: `choices` is not a list, or a choice, delta or message is not an object.
    """
    choices = _choices(data, value)
    part = "delta" if answer is ChatCompletionChunk else "message"
    deltas = [_delta(data, choice, part) for choice in choices]
    shape = _FIELDS_OF[answer]
    move_unknown_to_extra(value, shape)
    try:
        return msgspec.convert(value, answer)
    except ValueError:
        normalize({"chunk": [value], "choice": choices, "delta": deltas, "usage": objects([value.get("usage")])})
        calls = [call for delta in deltas for call in objects(delta.get("tool_calls"))]
        normalize({"tool_call": calls})
        move_unknown_to_extra(value, shape)  # again: normalizing made new parts
        move_mistyped_to_extra(value, shape)
        return msgspec.convert(value, answer)


_FIELDS_OF = {
    ChatCompletionChunk: StructFields.of(ChatCompletionChunk),
    ChatCompletion: StructFields.of(ChatCompletion),
}


def _choices(data: bytes, value: JSONObject) -> list[JSONObject]:
    if value.get("choices") is None:
        value["choices"] = []
    choices = as_array(value["choices"])
    if choices is None:
        raise ResponseFormatError(f"choices must be a list: {excerpt(data)}")
    found = objects(choices)
    if len(found) != len(choices):
        raise ResponseFormatError(f"each choice must be an object: {excerpt(data)}")
    return found


def _delta(data: bytes, choice: JSONObject, part: str) -> JSONObject:
    """The delta (or message) of a choice; where a server sent the other one of the two, or bare text, that."""
    if choice.get(part) is None:
        choice[part] = _instead_of_delta(choice, "message" if part == "delta" else "delta")
    delta = as_object(choice[part])
    if delta is None:
        raise ResponseFormatError(f"{part} must be an object: {excerpt(data)}")
    return delta


def _instead_of_delta(choice: JSONObject, other: str) -> object:
    if choice.get(other) is not None:
        return choice.pop(other)
    return {"content": choice.pop("text")} if isinstance(choice.get("text"), str) else {}
