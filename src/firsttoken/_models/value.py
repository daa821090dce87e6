"""What every public type can do: to a dict and to JSON and back, in the form of the wire, and a short repr."""

from collections.abc import Mapping
from functools import cache
from typing import Self, cast

import msgspec

from firsttoken._json import as_object, encode_json, parse_json
from firsttoken.errors import ResponseFormatError


def short_repr(self: msgspec.Struct) -> str:
    """A struct's repr with what is set, floats with three digits, and nothing that only firsttoken needs."""
    shown = ", ".join(f"{name}={_short(value)}" for name, value in rich_repr(self))
    return f"{type(self).__qualname__}({shown})"


def rich_repr(self: msgspec.Struct) -> list[tuple[str, object]]:
    """The fields that `short_repr` shows, for rich."""
    return [
        (field.name, value)
        for field in msgspec.structs.fields(self)
        if (value := getattr(self, field.name)) not in _UNSET and field.name not in _HIDDEN and value != _default(field)
    ]


_UNSET: tuple[object, ...] = (None, [], {})
_HIDDEN = frozenset({"raw", "headers", "response", "_response_type"})


def _default(field: msgspec.structs.FieldInfo) -> object:
    factory = field.default_factory
    return field.default if factory is msgspec.NODEFAULT else factory()


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else repr(value)


class Value(msgspec.Struct):
    """A struct with a form on the wire: a JSON object with the fields that are set, and those of `extra` among them."""

    __repr__ = short_repr
    __rich_repr__ = rich_repr

    def to_dict(self) -> dict[str, object]:
        """The JSON object as plain Python, as a server sends it or is sent it.

        The fields of `extra` stand beside the others. A field that is None is left out, unless it came as null.
        """
        fields: dict[str, object] = {
            wire: to_plain(value) for name, wire in wire_names(type(self)) if (value := getattr(self, name)) is not None
        }
        return fields | check_object(getattr(self, "extra", {}), type(self))

    def to_json(self) -> bytes:
        """`to_dict()` as JSON, in UTF-8."""
        return encode_json(self.to_dict())

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> Self:
        """Make one from a JSON object, which is not changed; `from_dict(x.to_dict()) == x`.

        It is read as leniently as a response: fields that the type does not know are put into `extra`.

        Raises:
            ResponseFormatError: it is not an object of this kind.
        """
        raise NotImplementedError

    @classmethod
    def from_json(cls, data: bytes | str) -> Self:
        """Make one of JSON (see `from_dict`).

        Raises:
            ResponseFormatError: it is invalid JSON, or not such an object.
        """
        return cls.from_dict(parse_object(data, cls))


@cache
def wire_names(struct: type[msgspec.Struct]) -> tuple[tuple[str, str], ...]:
    """The fields of a struct that are on the wire: their names in Python and there."""
    return tuple(
        (field.name, field.encode_name)
        for field in msgspec.structs.fields(struct)
        if not field.encode_name.startswith("$")
    )


def to_plain(value: object) -> object:
    """A copy of a value made of dicts, lists and scalars alone, each struct in its form on the wire."""
    if isinstance(value, Value):
        return value.to_dict()
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, object]", value)
        return {name: to_plain(fields[name]) for name in fields}
    if isinstance(value, list | tuple):
        items = cast("list[object]", value)
        return [to_plain(item) for item in items]
    return value


def parse_object(data: bytes | str, kind: type) -> dict[str, object]:
    """The JSON object in a text.

    Raises:
        ResponseFormatError: it is something else.
    """
    value = parse_json(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
    return check_object(value, kind)


def check_object(value: object, kind: type) -> dict[str, object]:
    """A copy of a JSON object.

    Raises:
        ResponseFormatError: it is something else.
    """
    try:
        found = as_object(to_plain(value))
    except RecursionError as error:
        raise ResponseFormatError(f"the {kind.__name__} is nested too deeply") from error
    if found is None:
        raise ResponseFormatError(f"a {kind.__name__.lstrip('_')} must be a JSON object, not {type(value).__name__}")
    return found
