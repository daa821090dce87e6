"""Which fields the structs have, so that a JSON object can be brought into a struct's shape.

Owns moving what does not fit to `extra`. Knows no server: those are in `quirks`.
"""

import types
import typing
from dataclasses import dataclass

import msgspec

from firsttoken._core.payload import as_array, as_object
from firsttoken._types.wire import EXTRA_NAME, Wire

Node = dict[str, object]
"""A JSON object."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of a struct.

    Attributes:
        names: of all its fields on the wire.
        plain: the fields that hold no struct, by name, with their types.
        nested: those that hold a struct or a list of structs, by name, with its shape.
    """

    names: frozenset[str]
    plain: dict[str, object]
    nested: dict[str, "Shape"]

    @classmethod
    def of(cls, struct: type[Wire]) -> "Shape":
        """The shape of a struct, and of those in it."""
        plain: dict[str, object] = {}
        nested: dict[str, Shape] = {}
        for field in msgspec.structs.fields(struct):
            inner = _struct_in(field.type)
            if inner is not None:
                nested[field.encode_name] = cls.of(inner)
            elif not field.encode_name.startswith("$"):  # ours are not on the wire
                plain[field.encode_name] = field.type
        return cls(frozenset(plain) | frozenset(nested), plain, nested)


def _struct_in(annotation: object) -> type[Wire] | None:
    """The struct in `S`, `S | None`, `list[S]` or `list[S] | None`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, Wire) else None
    for part in typing.get_args(annotation):
        found = _struct_in(part)
        if found is not None:
            return found
    return None


def park_unknown(node: Node, shape: Shape) -> None:
    """Move the fields that a struct does not know to its `extra`, all the way down."""
    unknown = node.keys() - shape.names
    if unknown:
        node[EXTRA_NAME] = {name: node.pop(name) for name in list(node) if name in unknown}
    for name, inner in shape.nested.items():
        value = node.get(name)
        if value:
            for child in objects(as_array(value) or [value]):
                park_unknown(child, inner)


def park_mistyped(node: Node, shape: Shape) -> None:
    """Move the fields whose value a struct does not take to its `extra`, all the way down; nulls are dropped."""
    for name, annotation in shape.plain.items():
        if name in node and not _fits(node[name], annotation):
            _park(node, name)
    for name, inner in shape.nested.items():
        value = node.get(name)
        if value is None:
            node.pop(name, None)
            continue
        many = as_array(value)
        if many is None and as_object(value) is None:
            _park(node, name)
            continue
        found = objects([value] if many is None else many)
        if many is not None and len(found) != len(many):
            node[name] = found
        for child in found:
            park_mistyped(child, inner)


def _park(node: Node, name: str) -> None:
    value = node.pop(name)
    if value is not None:
        extra = as_object(node.setdefault(EXTRA_NAME, {}))
        if extra is not None:
            extra[name] = value


def _fits(value: object, annotation: object) -> bool:
    try:
        msgspec.convert(value, annotation)
    except msgspec.ValidationError:
        return False
    return True


def objects(value: object) -> list[Node]:
    """The objects of a list; nothing where it is no list."""
    return [node for item in as_array(value) or () if (node := as_object(item)) is not None]
