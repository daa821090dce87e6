"""Which fields the structs have, so that a JSON object can be brought into a struct's shape.

What does not fit is moved to `extra`. What servers are known to send is in `quirks`.
"""

import functools
import types
import typing
from typing import NamedTuple

import msgspec

from firsttoken._json import as_array, as_object
from firsttoken._models.base import EXTRA_NAME, ResponseObject

JSONObject = dict[str, object]
"""A JSON object."""


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


def objects(value: object) -> list[JSONObject]:
    """The objects of a list; [] where it is not a list."""
    return [node for item in as_array(value) or () if (node := as_object(item)) is not None]
