"""The fast path for servers whose chunks have more than the schema: what they add is learned, and decoded with it.

The strict structs reject a chunk with a field of the server's own (`provider`, `content_filter_results`, `p`, …), and
a server that has one mostly has it in every chunk. So the names are learned from the first chunks of a stream, and
structs are made that have these fields too: a typed decode again. What such a struct does not know, it rejects like
the strict ones do, and that chunk takes the lenient path.

The chunk that is built from what was decoded is the same chunk that
`lenient` would make, except for the order of `extra`: a property test checks it.
"""

import functools
import re
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET

from firsttoken._json import MAX_NESTING, JSONObject, as_array, objects
from firsttoken._models.base import EMPTY_EXTRA, MAX_ITEMS, ResponseObject
from firsttoken._models.chunk import ChatCompletionChunk, ChoiceDelta, ChunkChoice
from firsttoken._models.completion import COUNTS, CompletionUsage
from firsttoken._models.tables import NOT_ERROR_PATTERN, finish_class, parts_text
from firsttoken._protocol.lenient import matches_type
from firsttoken._protocol.server_error import ERROR_FIELDS, FLAT_FIELDS

_Extra = dict[str, object]


def _chunk(twin: ChatCompletionChunk, extra: _Extra) -> ChatCompletionChunk:
    return ChatCompletionChunk(
        id=twin.id,
        object=twin.object,
        created=twin.created,
        model=twin.model,
        choices=twin.choices,
        usage=twin.usage,
        service_tier=twin.service_tier,
        system_fingerprint=twin.system_fingerprint,
        moderation=twin.moderation,
        metadata=twin.metadata,
        obfuscation=twin.obfuscation,
        raw=twin.raw,
        event=twin.event,
        extra=extra,
    )


def _choice(twin: ChunkChoice, extra: _Extra) -> ChunkChoice:
    return ChunkChoice(
        index=twin.index,
        delta=twin.delta,
        finish_reason=twin.finish_reason,
        logprobs=twin.logprobs,
        replacement=twin.replacement,
        extra=extra,
    )


def _delta(twin: ChoiceDelta, extra: _Extra) -> ChoiceDelta:
    return ChoiceDelta(
        reasoning_content=twin.reasoning_content,
        reasoning=twin.reasoning,
        reasoning_details=twin.reasoning_details,
        thinking=twin.thinking,
        content_parts=twin.content_parts,
        role=twin.role,
        content=twin.content,
        refusal=twin.refusal,
        tool_calls=twin.tool_calls,
        function_call=twin.function_call,
        audio=twin.audio,
        annotations=twin.annotations,
        extra=extra,
    )


def _usage(twin: CompletionUsage, extra: _Extra) -> CompletionUsage:
    return CompletionUsage(
        completion_tokens=twin.completion_tokens,
        prompt_tokens=twin.prompt_tokens,
        total_tokens=twin.total_tokens,
        completion_tokens_details=twin.completion_tokens_details,
        prompt_tokens_details=twin.prompt_tokens_details,
        extra=extra,
    )


COPIES: dict[type[ResponseObject], Callable[[Any, _Extra], Any]] = {
    ChatCompletionChunk: _chunk,
    ChunkChoice: _choice,
    ChoiceDelta: _delta,
    CompletionUsage: _usage,
}
"""By the struct that a copy is: it gets the fields of the twin, and `extra`."""


MAX_LEARNED = 32
"""How many names are learned in a stream: one that makes up ever new names takes the lenient path."""

DecodeChunk = Callable[[bytes], ChatCompletionChunk]
_Struct = TypeVar("_Struct", bound=ResponseObject)

_NotErrorName: Any = Annotated[str, msgspec.Meta(pattern=r"^(?!error$)")]
_NoErrorReason: Any = Annotated[str, msgspec.Meta(pattern=NOT_ERROR_PATTERN)]
LENIENT_TYPES: dict[type[ResponseObject], dict[str, object]] = {
    ChatCompletionChunk: {},
    ChunkChoice: {"finish_reason": _NoErrorReason | None},
    ChoiceDelta: {"content": str | list[object] | None},
    CompletionUsage: dict.fromkeys(COUNTS, int | None),
}
"""Quirks in fields of the schema that some servers have in every chunk: the types that are decoded then."""

_LEARNABLE = re.compile(r"[A-Za-z_][\w.-]{0,63}", re.ASCII)  # names that msgspec takes, and none of ours
_Scalar = str | int | float | bool | None


@functools.cache
def _types_of(struct: type[ResponseObject]) -> dict[str, object]:
    """The fields of the schema, by their names on the wire, with their types."""
    return {field.encode_name: field.type for field in msgspec.structs.fields(struct)}


class LearnedFields(NamedTuple):
    """The fields that a server's chunks have beyond the schema, by the part that they stand in, as first seen.

    A field of the schema is among them where the server sends it in the wider type.

    Attributes:
        nested: whether one of them was seen to hold an object or a list.
    """

    chunk: tuple[str, ...] = ()
    choice: tuple[str, ...] = ()
    delta: tuple[str, ...] = ()
    usage: tuple[str, ...] = ()
    nested: bool = False

    def merged_with(self, value: JSONObject) -> "LearnedFields":
        """These and those of one more chunk; these alone where that would be too many."""
        choices = objects(value.get("choices"))
        deltas, usages = objects([choice.get("delta") for choice in choices]), objects([value.get("usage")])
        found = [
            _fields_beyond([value], ChatCompletionChunk),
            _fields_beyond(choices, ChunkChoice),
            _fields_beyond(deltas, ChoiceDelta),
            _fields_beyond(usages, CompletionUsage),
        ]
        chunk, choice, delta, usage = (
            tuple(dict.fromkeys([*known, *new])) for known, new in zip(self[:4], found, strict=True)
        )
        nested = self.nested or any(isinstance(value, dict | list) for new in found for value in new.values())
        fields = LearnedFields(chunk, choice, delta, usage, nested)
        return fields if sum(map(len, fields[:4])) <= MAX_LEARNED else self


def _fields_beyond(nodes: list[JSONObject], struct: type[ResponseObject]) -> JSONObject:
    return {name: value for node in nodes for name, value in node.items() if _is_learnable(name, value, struct)}


def _is_learnable(name: str, value: object, struct: type[ResponseObject]) -> bool:
    if struct is ChunkChoice and name == "usage":
        return False  # it belongs to the chunk
    if name not in _types_of(struct):
        return _LEARNABLE.fullmatch(name) is not None
    wider = LENIENT_TYPES[struct].get(name)
    return wider is not None and matches_type(value, wider) and not matches_type(value, _types_of(struct)[name])


@functools.lru_cache(maxsize=64)
def build_decoder(fields: LearnedFields) -> DecodeChunk:
    """A decoder of chunks that have these fields, or some of them; it leaves `raw` to the caller.

    It raises `ValueError` or `RecursionError` for whatever is not such a chunk, errors above all.
    """
    nested, kind = fields.nested, object if fields.nested else _Scalar
    delta_type, delta_of = extended_struct(ChoiceDelta, fields.delta, kind)
    choice_type: Any
    choice_type, choice_of = extended_struct(ChunkChoice, fields.choice, kind, delta=delta_type)
    usage_type, usage_of = extended_struct(CompletionUsage, fields.usage, kind)
    choices_type: Any = Annotated[list[choice_type], msgspec.Meta(max_length=MAX_ITEMS)]
    chunk_type, chunk_of = extended_struct(
        ChatCompletionChunk, fields.chunk, kind, choices=choices_type, usage=usage_type | None
    )
    decode = msgspec.json.Decoder(chunk_type).decode
    has_choices, has_deltas = choice_type is not ChunkChoice, delta_type is not ChoiceDelta
    has_usage, may_be_error = usage_type is not CompletionUsage, not FLAT_FIELDS.isdisjoint(fields.chunk)

    def decode_chunk(data: bytes) -> ChatCompletionChunk:
        if nested and data.count(b"{") + data.count(b"[") > MAX_NESTING:
            raise ValueError("it may be nested too deeply")  # the lenient path looks closer
        chunk = chunk_of(decode(data))
        if may_be_error and not chunk.choices:
            raise ValueError("it may be an error")  # the lenient path looks closer
        if has_choices:
            chunk.choices = [_without_null_reason(choice_of(choice)) for choice in chunk.choices]
        if has_deltas:
            for choice in chunk.choices:
                choice.delta = _without_parts(delta_of(choice.delta))
        if has_usage and chunk.usage is not None:
            chunk.usage = _without_nulls(usage_of(chunk.usage))
        return chunk

    return decode_chunk


def extended_struct(
    struct: type[_Struct], own: tuple[str, ...], kind: Any, **inner: Any
) -> tuple[type[_Struct], Callable[[_Struct], _Struct]]:
    """A struct with fields of a server's own, and the function that makes the public struct of it.

    Where there are none, it is the public struct itself.

    Args:
        struct: the public struct.
        own: the names of the fields.
        kind: their type.
        inner: the types of the fields that hold twins themselves.
    """
    if not own and all(held == _types_of(struct)[name] for name, held in inner.items()):
        return struct, lambda value: value
    types = inner | {name: wider for name, wider in LENIENT_TYPES[struct].items() if name in own}
    names = [(f"own{number}", name) for number, name in enumerate(name for name in own if name not in types)]
    twin: type[Any] = msgspec.defstruct(
        struct.__name__,
        [
            *((name, held, _default(struct, name)) for name, held in types.items()),
            *((attribute, _type_of(name, kind), msgspec.field(default=UNSET, name=name)) for attribute, name in names),
        ],
        bases=(struct,),
        kw_only=True,
    )
    return twin, _copier(struct, names) if names else _recast(struct)


def _type_of(name: str, kind: Any) -> Any:
    """The type of a server's own field; what may hold an error is decoded only where it holds none."""
    if name not in ERROR_FIELDS:
        return kind
    return dict[_NotErrorName, object] | None if name == "x_groq" and kind is object else None


def _default(struct: type[ResponseObject], name: str) -> Any:
    """The default of a field in a struct's twin: that of the struct.

    A delta has none: where it is missing, the content is in a field that looks like one of the server's own.
    """
    return msgspec.NODEFAULT if name == "delta" else getattr(struct(), name)


def _recast(struct: type[_Struct]) -> Callable[[_Struct], _Struct]:
    """Convert an extended struct with the same fields: it is laid out alike, so its class is changed."""

    def public(value: _Struct) -> _Struct:
        value.__class__ = struct
        return value

    return public


def _copier(struct: type[_Struct], names: list[tuple[str, str]]) -> Callable[[_Struct], _Struct]:
    """Convert an extended struct with more fields, which go to `extra`."""
    copy = COPIES[struct]

    def public(value: _Struct) -> _Struct:
        extra = {name: found for attribute, name in names if (found := getattr(value, attribute)) is not UNSET}
        copied: _Struct = copy(value, extra or EMPTY_EXTRA)
        return copied

    return public


def _without_null_reason(choice: ChunkChoice) -> ChunkChoice:
    if choice.finish_reason and finish_class(choice.finish_reason) == "none":
        choice.finish_reason = None
    return choice


def _without_parts(delta: ChoiceDelta) -> ChoiceDelta:
    parts = as_array(delta.content)
    if parts is not None:
        delta.content = parts_text(parts, "text") or None
        delta.content_parts = parts or None
    return delta


def _without_nulls(usage: CompletionUsage) -> CompletionUsage:
    for name in COUNTS:
        if getattr(usage, name) is None:
            setattr(usage, name, 0)
    return usage
