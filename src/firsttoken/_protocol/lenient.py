"""The lenient path: an answer that the typed decode rejected, read one field at a time.

Fields may be unknown, null or of another type than the schema's. What the table in `quirks` knows is normalized; a
field of another type that no row knows is moved to `extra`, so that nothing is lost and nothing breaks. It is an error
only where `choices` is not a list, or a choice, delta or message is not an object.
"""

import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar, cast

import msgspec

from firsttoken._json import JSONObject, as_array, as_object, encode_json, excerpt, objects, parse_digits
from firsttoken._models.base import (
    EXTRA_NAME,
    MAX_INDEX,
    MAX_ITEMS,
    MAX_PIECE_INDEX,
    Received,
    ResponseObject,
    index_excess,
)
from firsttoken._models.chunk import ChatCompletionChunk, ChoiceDelta, ChunkChoice, ToolCallDelta
from firsttoken._models.completion import (
    ChatCompletion,
    ChatCompletionMessage,
    Choice,
    CompletionUsage,
    Reasoning,
)
from firsttoken._models.tables import finish_class, parts_text
from firsttoken._models.tool_call import ToolCall
from firsttoken._models.value import check_object
from firsttoken._protocol.quirks import Part, normalize
from firsttoken.errors import ResponseFormatError

_Answer = TypeVar("_Answer", ChatCompletionChunk, ChatCompletion)
_Object = TypeVar("_Object", bound=ResponseObject)


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
    is_completion = part == "delta" and value.get("object") == "chat.completion"
    repeats = [is_completion and is_message(choice) for choice in choices]
    deltas = [_delta(data, choice, part) for choice in choices]
    high = MAX_PIECE_INDEX if part == "delta" else MAX_INDEX
    _check_indexes(data, choices, low=0, high=high)
    for delta in deltas:
        _check_indexes(data, objects(delta.get("tool_calls")), low=-1, high=high)
    _lift_usage(value, choices)
    reasons = [_pop_finish_reason(choice) for choice in choices]
    parts = [_pop_content_parts(delta) for delta in deltas]
    of_answer, of_deltas = _pop_any(value, _OF_ANSWER), [_pop_any(delta, _OF_MESSAGE) for delta in deltas]
    made = _convert(value, choices, deltas, answer)
    _set_fields(made, of_answer)
    for choice, reason, content_parts, fields in zip(made.choices, reasons, parts, of_deltas, strict=True):
        choice.finish_reason = reason or choice.finish_reason
        message = choice.delta if isinstance(choice, ChunkChoice) else choice.message
        message.content_parts = content_parts
        _set_fields(message, fields)
    for choice, repeats_message in zip(made.choices, repeats, strict=True):
        if repeats_message and isinstance(choice, ChunkChoice):
            choice.replacement = choice.delta
    return made


def _convert(value: JSONObject, choices: list[JSONObject], deltas: list[JSONObject], answer: type[_Answer]) -> _Answer:
    shape = StructFields.of(answer)
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


def read_object(value: Mapping[str, object], kind: type[_Object]) -> _Object:
    """Make a struct of a JSON object, which is not changed: a chunk, a completion or a part of one.

    Raises:
        ResponseFormatError: it is not a JSON object, or has no shape left.
    """
    copy = check_object(value, kind)
    if issubclass(kind, Received):
        data = encode_json(copy)
        answer: Any = read(data, copy, kind)  # type: ignore[type-var]
        answer.raw = data
        return cast("_Object", answer)
    inner = _INNER_OF.get(kind)
    reason = _pop_finish_reason(copy) if inner else None
    message = copy if issubclass(kind, Reasoning) else as_object(copy.get(inner)) if inner else None
    parts = None if message is None else _pop_content_parts(message)
    fields = {} if message is None else _pop_any(message, _OF_MESSAGE)
    made: Any = _convert_part(copy, kind)
    if reason:
        made.finish_reason = reason
    made_message = getattr(made, inner) if inner else made
    if parts:
        made_message.content_parts = parts
    _set_fields(made_message, fields)
    return cast("_Object", made)


def _convert_part(copy: JSONObject, kind: type[_Object]) -> _Object:
    fields = StructFields.of(kind)
    move_unknown_to_extra(copy, fields)
    try:
        return msgspec.convert(copy, kind)
    except ValueError:
        part = _PART_OF.get(kind)
        if part is not None:
            normalize({part: [copy], "tool_call": objects(copy.get("tool_calls"))})
        move_unknown_to_extra(copy, fields)
        move_mistyped_to_extra(copy, fields)
        return msgspec.convert(copy, kind)


_INNER_OF: dict[type[ResponseObject], str] = {ChunkChoice: "delta", Choice: "message"}
_PART_OF: dict[type[ResponseObject], Part] = {
    ChoiceDelta: "delta",
    ChatCompletionMessage: "delta",
    ToolCall: "tool_call",
    ToolCallDelta: "tool_call",
    CompletionUsage: "usage",
}


_OF_MESSAGE = {"reasoning_details": list, "annotations": list}
_OF_ANSWER = {"moderation": dict, "metadata": dict}


def _pop_any(node: JSONObject, names: Mapping[str, type]) -> JSONObject:
    """Take the fields out that hold any JSON: the types let only through what is nested as deep as usual."""
    return {name: node.pop(name) for name, kind in names.items() if isinstance(node.get(name), kind)}


def _set_fields(made: ResponseObject, fields: JSONObject) -> None:
    for name, value in fields.items():
        setattr(made, name, value)


def _pop_finish_reason(choice: JSONObject) -> str | None:
    """Take a finish reason out, since the types let only known words through; text for null is none."""
    reason = choice.get("finish_reason")
    if not isinstance(reason, str) or not reason:
        return None
    del choice["finish_reason"]
    return None if finish_class(reason) == "none" else reason


def _check_indexes(data: bytes, nodes: list[JSONObject], *, low: int, high: int) -> None:
    """Check the number and the indexes of choices or of tool calls.

    Raises:
        ResponseFormatError: there are too many, or an index is out of bounds.
    """
    if len(nodes) > MAX_ITEMS:
        raise ResponseFormatError(f"too many choices or tool calls ({len(nodes)} of {MAX_ITEMS}): {excerpt(data)}")
    for node in nodes:
        index = parse_digits(node.get("index"))
        if isinstance(index, int) and not low <= index <= high:
            raise ResponseFormatError(f"{index_excess(index, low)}: {excerpt(data)}")


def is_message(choice: JSONObject) -> bool:
    """Whether a choice of a stream may have the complete message instead of a delta."""
    has_message = choice.get("delta") is None and as_object(choice.get("message")) is not None
    return has_message and bool(choice.get("finish_reason"))


def _lift_usage(value: JSONObject, choices: list[JSONObject]) -> None:
    """Put a usage that stands in a choice where it belongs (Kimi)."""
    for choice in choices:
        if as_object(choice.get("usage")) is not None:
            usage = choice.pop("usage")
            if not value.get("usage"):
                value["usage"] = usage


def _pop_content_parts(delta: JSONObject) -> list[object] | None:
    """Put the text of content parts in their place; None where there are none."""
    content = delta.get("content")
    parts = as_array(content) if as_object(content) is None else [content]
    if parts is None:
        return None
    delta["content"] = parts_text(parts, "text") or None
    return parts or None


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


class StructFields(NamedTuple):
    """The fields of a struct.

    Attributes:
        names: of all its fields on the wire.
        plain: the fields that hold no struct, by name, with their types and the classes of values that always fit.
        nested: those that hold a struct or a list of structs, by name, with its fields.
        lists: the names of those that hold a list of structs.
    """

    names: frozenset[str]
    plain: dict[str, tuple[object, frozenset[object]]]
    nested: dict[str, "StructFields"]
    lists: frozenset[str]

    @classmethod
    @functools.cache  # made when the first chunk needs them: most programs never do
    def of(cls, struct: type[ResponseObject]) -> "StructFields":
        """The fields of a struct, and of those in it."""
        plain: dict[str, tuple[object, frozenset[object]]] = {}
        nested: dict[str, StructFields] = {}
        lists: set[str] = set()
        for field in msgspec.structs.fields(struct):
            if field.encode_name.startswith("$"):
                continue  # ours are not on the wire
            inner, is_list = _struct_in(field.type)
            if inner is not None:
                nested[field.encode_name] = cls.of(inner)
                if is_list:
                    lists.add(field.encode_name)
            else:
                plain[field.encode_name] = field.type, _classes(field.type)
        return cls(frozenset(plain) | frozenset(nested), plain, nested, frozenset(lists))


def _struct_in(annotation: object) -> tuple[type[ResponseObject] | None, bool]:
    """The struct in `S`, `S | None`, `list[S]` or `list[S] | None`, and whether it stands in a list."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return (annotation if issubclass(annotation, ResponseObject) else None), False
    for part in typing.get_args(annotation):
        found, is_list = _struct_in(part)
        if found is not None:
            return found, is_list or typing.get_origin(annotation) is list
    return None, False


_PLAIN_CLASSES: frozenset[object] = frozenset({str, int, types.NoneType})


def _classes(annotation: object) -> frozenset[object]:
    """The classes that are a type, or are named in a union, whatever the value is: asking msgspec takes far longer."""
    is_union = typing.get_origin(annotation) in (types.UnionType, typing.Union)
    return _PLAIN_CLASSES.intersection(typing.get_args(annotation) if is_union else [annotation])


class _ExtraDict(dict[str, object]):
    """What was moved to `extra`, unlike a server's own field of that wire name: moving twice is the same as once."""

    __slots__ = ()


def move_unknown_to_extra(node: JSONObject, shape: StructFields) -> None:
    """Move the fields that a struct does not know to its `extra`, all the way down.

    This is paid for every chunk of a server that sends a field of its own, so it looks at what is there and no more.
    """
    if not node.keys() <= shape.names:
        extra = node.get(EXTRA_NAME)
        known = extra if isinstance(extra, _ExtraDict) else None  # else it is a field that the server calls so
        unknown = [name for name in node if name not in shape.names and (known is None or name != EXTRA_NAME)]
        found = {name: node.pop(name) for name in unknown}
        node[EXTRA_NAME] = _ExtraDict(found if known is None else {**known, **found})
    for name, inner in shape.nested.items():
        value = node.get(name)
        if value:
            for child in _children(value, name, shape):
                move_unknown_to_extra(child, inner)


def move_mistyped_to_extra(node: JSONObject, shape: StructFields) -> None:
    """Move the fields whose value a struct does not take to its `extra`, all the way down; nulls are dropped."""
    for name, (annotation, classes) in shape.plain.items():
        if name in node and node[name].__class__ not in classes and not matches_type(node[name], annotation):
            _move_to_extra(node, name)
    for name, inner in shape.nested.items():
        if name not in node:
            continue
        value, is_list = node[name], name in shape.lists
        children = _children(value, name, shape)
        if children and is_list:
            node[name] = children  # without the items that are not objects
        elif not children and not (is_list and value == []):
            _move_to_extra(node, name)
        for child in children:
            move_mistyped_to_extra(child, inner)


def _children(value: object, name: str, shape: StructFields) -> list[JSONObject]:
    """The objects in a field that should hold one, or a list of them."""
    if name in shape.lists:
        return objects(value)
    child = as_object(value)
    return [] if child is None else [child]


def _move_to_extra(node: JSONObject, name: str) -> None:
    value = node.pop(name)
    if value is not None:
        node[EXTRA_NAME] = _ExtraDict({**(as_object(node.get(EXTRA_NAME)) or {}), name: value})


def matches_type(value: object, annotation: object) -> bool:
    """Whether a value is of a type."""
    try:
        msgspec.convert(value, annotation)
    except ValueError:
        return False
    return True
