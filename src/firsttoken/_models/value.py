"""Values to JSON and back: what every public type can do, and what a caller may send.

Types of any library are sent, and the error for what has no JSON names its place. An encoder would silently send some
values as something else, NaN as null, bytes as base64: they are refused. Subclasses of str, int and float (NumPy's,
those of markup libraries, enums) are sent as what they are.
"""

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Self, cast

import msgspec

from firsttoken._json import as_object, encode_json, parse_json
from firsttoken.errors import ConfigurationError, ResponseFormatError


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


BYTES: tuple[type, ...] = (bytes, bytearray, memoryview)
PART_TYPES = frozenset({"text", "image_url", "input_audio", "file", "refusal"})
"""The types of the API's content parts."""

_NOT_JSON = (TypeError, ValueError, RecursionError, OverflowError)


def to_json_types(value: object) -> object:
    """A value that `json` does not know, one level nearer to what it knows.

    Raises:
        TypeError: it has no JSON.
    """
    if isinstance(value, Value):
        return value.to_dict()
    if isinstance(value, BYTES):
        raise TypeError(f"{type(value).__name__} has no JSON")
    if isinstance(value, Mapping):
        fields = cast("Mapping[object, object]", value)
        return {name: fields[name] for name in fields}
    if isinstance(value, AbstractSet):
        return list(cast("AbstractSet[object]", value))
    if "pydantic" in sys.modules:
        import pydantic

        if isinstance(value, pydantic.BaseModel):
            return value.model_dump(mode="json", by_alias=True)
    to_list: Callable[[], object] | None = getattr(value, "tolist", None)  # NumPy's arrays and scalars
    if callable(to_list):
        return to_list()
    return msgspec.to_builtins(value, builtin_types=BYTES, enc_hook=_no_json)


def _no_json(value: object) -> object:
    raise TypeError(f"{type(value).__name__} has no JSON")


_PLAIN = frozenset({str, int, bool, type(None)})


def to_plain_json(value: object) -> object:
    """A copy made of what JSON has.

    Raises:
        TypeError: something in it has no JSON.
        ValueError: a number in it is not finite.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is dict:
        fields = cast("dict[object, object]", value)
        return {name: item if type(item) is str else to_plain_json(item) for name, item in fields.items()}
    if kind is list or kind is tuple:
        return [to_plain_json(item) for item in cast("list[object]", value)]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} has no JSON")
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)  # without its own __str__, which an enum has
    return int(value) if isinstance(value, int) else to_plain_json(to_json_types(value))


def encode_request(body: dict[str, object], messages: Sequence[object]) -> bytes:
    """The JSON of a request's body, in UTF-8.

    Args:
        body: its fields.
        messages: the messages, dicts and such structs as the encoder may take as they are; not sent where `body` has
            messages of its own.

    Raises:
        ConfigurationError: something in it has no JSON; the message has its place.
    """
    try:
        plain = cast("dict[str, object]", to_plain_json(body))
        if plain.get("messages") is None:
            plain["messages"] = [item if isinstance(item, msgspec.Struct) else to_plain_json(item) for item in messages]
        try:
            return _encode(plain)
        except UnicodeEncodeError:
            import json  # here: most programs never need it

            # A lone surrogate, as a cut UTF-16 text has it: JSON can hold it, UTF-8 can't (RFC 8259, section 8.2).
            return json.dumps(msgspec.to_builtins(plain)).encode("ascii")
    except _NOT_JSON as error:
        reason = _reason(body | {"messages": body.get("messages") or messages}, error)
        raise ConfigurationError(f"the request can't be encoded as JSON: {reason}") from error


_encode = msgspec.json.Encoder().encode


def _reason(body: Mapping[str, object], error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "something in it holds itself, or is nested too deeply"
    try:
        path, value = next(_without_json(body, ""))
    except (*_NOT_JSON, StopIteration):
        return str(error)
    if isinstance(value, float):
        return f"{path} is {value}"
    return f"{path} is {'' if isinstance(value, BYTES) else 'of the type '}{type(value).__name__}"


def _without_json(value: object, path: str) -> Iterator[tuple[str, object]]:
    """The places of what has no JSON."""
    if isinstance(value, float):
        if not math.isfinite(value):
            yield path, value
    elif isinstance(value, Mapping):
        for name, item in cast("Mapping[object, object]", value).items():
            yield from _without_json(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(cast("list[object]", value)):
            yield from _without_json(item, f"{path}[{number}]")
    elif not isinstance(value, str | int | None):
        try:
            inner = to_json_types(value)
        except TypeError:
            yield path, value
        else:
            yield from _without_json(inner, path)


def result_text(value: object) -> str | Sequence[Mapping[str, object]]:
    """The content for a tool's result: text and content parts as they are, anything else as its JSON.

    Raises:
        ConfigurationError: it has no JSON.
    """
    if isinstance(value, str):
        return value
    if _are_parts(value):
        return cast("Sequence[Mapping[str, object]]", value)
    import json

    try:
        return json.dumps(value, ensure_ascii=False, default=to_json_types)
    except _NOT_JSON as error:
        raise ConfigurationError(
            f"the result of a tool must be text or JSON-serializable, not {type(value).__name__}: {error}",
            hint="decode bytes, or return text"
            if isinstance(value, BYTES)
            else "return text, or values that JSON has: dicts, lists, numbers",
        ) from error


def _are_parts(value: object) -> bool:
    if not isinstance(value, list | tuple) or not value:
        return False
    items = cast("list[Mapping[str, object]]", value)
    return all(isinstance(item, Mapping) and item.get("type") in PART_TYPES for item in items)  # pyright: ignore[reportUnnecessaryIsInstance]
