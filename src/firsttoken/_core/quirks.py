"""The tolerant path: what the typed decode refuses, read through one table of known deviations.

Owns what is done with a field that is unknown, null or of another type than the schema's. A field of another type
that no row of the table knows is moved to `extra`, so that nothing is lost and nothing breaks. Only where an answer
has no shape left (choices that are no list; a choice, delta or message that is no object) it is a failure.
"""

import json
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeVar

import msgspec

from firsttoken._core.payload import as_array, as_object, quoted
from firsttoken._core.shapes import Node, Shape, objects, park_mistyped, park_unknown
from firsttoken._types.chunk import ChatCompletionChunk
from firsttoken._types.completion import ChatCompletion
from firsttoken.errors import ResponseFormatError

_Part = Literal["chunk", "choice", "delta", "tool_call", "usage"]
_Answer = TypeVar("_Answer", ChatCompletionChunk, ChatCompletion)


def read(data: bytes, value: Node, answer: type[_Answer]) -> _Answer:
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
        calls = [call for delta in deltas for call in objects(delta.get("tool_calls"))]
        usage = objects([value.get("usage")])
        _mend(DEVIATIONS, {"chunk": [value], "choice": choices, "delta": deltas, "tool_call": calls, "usage": usage})
        park_unknown(value, shape)  # again: what was mended has new parts
        park_mistyped(value, shape)
        return msgspec.convert(value, answer)


_SHAPES = {ChatCompletionChunk: Shape.of(ChatCompletionChunk), ChatCompletion: Shape.of(ChatCompletion)}


def _choices(data: bytes, value: Node) -> list[Node]:
    if value.get("choices") is None:
        value["choices"] = []
    choices = as_array(value["choices"])
    if choices is None:
        raise ResponseFormatError(f"the server sent choices that are no list: {quoted(data)}")
    found = objects(choices)
    if len(found) != len(choices):
        raise ResponseFormatError(f"the server sent a choice that is no object: {quoted(data)}")
    return found


def _delta(data: bytes, choice: Node, part: str) -> Node:
    """The delta (or message) of a choice; where a server sent the other one of the two, that."""
    if choice.get(part) is None:
        other = choice.pop("message" if part == "delta" else "delta", None)
        choice[part] = {} if other is None else other
    delta = as_object(choice[part])
    if delta is None:
        raise ResponseFormatError(f"the server sent a choice whose {part} is no object: {quoted(data)}")
    return delta


class Deviation(NamedTuple):
    """A row of the table: what is done to a part of an answer before it is decoded.

    Attributes:
        part: the kind of object that it concerns.
        what: what some servers send.
        source: which.
        mend: changes the object in place, and does nothing where the deviation is not there.
    """

    part: _Part
    what: str
    source: str
    mend: Callable[[Node], None]


def _mend(table: tuple[Deviation, ...], parts: dict[_Part, list[Node]]) -> None:
    for row in table:
        for node in parts[row.part]:
            row.mend(node)


def _join_content_parts(delta: Node) -> None:
    parts = as_array(delta.get("content"))
    if parts is None:
        return
    delta["content"] = "".join(_part_text(part, "text") for part in parts) or None
    thinking = "".join(_part_text(part, "thinking") for part in parts)
    if thinking:
        delta["thinking"] = thinking


def _part_text(part: object, kind: str) -> str:
    """The text of a content part of a kind, which may hold a list of parts again (Mistral's `thinking`)."""
    if isinstance(part, str):
        return part if kind == "text" else ""
    fields = as_object(part) or {}
    if fields.get("type", "text") != kind:
        return ""
    inner = fields.get(kind)
    if isinstance(inner, str):
        return inner
    return "".join(_part_text(item, "text") for item in as_array(inner) or ())


def _list_the_call(delta: Node) -> None:
    if as_object(delta.get("tool_calls")) is not None:
        delta["tool_calls"] = [delta["tool_calls"]]


def _write_arguments_out(call: Node) -> None:
    function = as_object(call.get("function"))
    if function is None or isinstance(function.get("arguments"), str | None):
        return
    function["arguments"] = json.dumps(function["arguments"], ensure_ascii=False)


def _drop_null_counts(usage: Node) -> None:
    for name in ("completion_tokens", "prompt_tokens", "total_tokens"):
        if usage.get(name, 0) is None:
            del usage[name]


def _round_created(chunk: Node) -> None:
    created = chunk.get("created")
    if isinstance(created, float) and abs(created) < 2.0**63:
        chunk["created"] = int(created)


def _number_the_choice(choice: Node) -> None:
    index = choice.get("index", 0)
    if isinstance(index, str) and index.isdecimal() and len(index) < 10:
        choice["index"] = int(index)


DEVIATIONS: tuple[Deviation, ...] = (
    Deviation("chunk", "`created` as a float", "proxies", _round_created),
    Deviation("choice", "`index` as text", "proxies", _number_the_choice),
    Deviation("delta", "`content` as a list of parts", "Mistral", _join_content_parts),
    Deviation("delta", "`tool_calls` as one object", "old Ollama", _list_the_call),
    Deviation("tool_call", "`arguments` as an object", "old Ollama", _write_arguments_out),
    Deviation("usage", "null counts until the last chunk", "Databricks", _drop_null_counts),
)
"""Rows about fields of another type than the schema's."""
