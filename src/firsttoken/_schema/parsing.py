"""Text that a model wrote, to a value of a type.

The text must be JSON as it stands, and the JSON must be what the type declares. Nothing is repaired and nothing is
coerced. Types are msgspec's, and pydantic's models where pydantic has been imported.
"""

import functools
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard, cast, get_args, get_origin, get_type_hints

import msgspec

from firsttoken._json import as_array, as_object, excerpt
from firsttoken.errors import ConfigurationError, ResponseFormatError

if TYPE_CHECKING:
    import pydantic


_MODULE = re.compile(r"[\w.<>]+\.(?=\w)")  # <: of a type that was made in a function


class ResponseType:
    """The type that a request has for its answer, on its way from the request to the completion.

    A completion can always be pickled: a type that can't (one made inside a function) is left out.
    """

    __slots__ = ("type",)

    def __init__(self, type_: object) -> None:
        self.type = type_

    def __repr__(self) -> str:
        return name_of(self.type)

    def __copy__(self) -> "ResponseType":
        return self

    def __deepcopy__(self, memo: object) -> "ResponseType":
        return self

    def __reduce__(self) -> "tuple[object, ...]":
        import pickle

        try:
            pickle.dumps(self.type)
        except Exception:  # noqa: BLE001 - what a metaclass raises is its own affair
            return _no_type, ()
        return ResponseType, (self.type,)


def response_type(response_format: object) -> ResponseType | None:
    """The type in a request's `response_format`; None where it is a dict, or not there."""
    if response_format is None or isinstance(response_format, Mapping):
        return None
    return ResponseType(response_format)


def _no_type() -> None:
    return None


def name_of(type_: object) -> str:
    """The name of a type, for messages: as its author wrote it, without the module."""
    if get_origin(type_) is not None:
        return _MODULE.sub("", str(type_))
    name = getattr(type_, "__name__", None)
    return name if isinstance(name, str) and isinstance(type_, type) else str(type_)


def is_pydantic_model(type_: object) -> "TypeGuard[type[pydantic.BaseModel]]":
    """Whether it is a model class of pydantic, which nobody has who has not imported pydantic."""
    if "pydantic" not in sys.modules:
        return False
    import pydantic

    return isinstance(type_, type) and issubclass(type_, pydantic.BaseModel)


def involves_pydantic(type_: object) -> bool:
    """Whether pydantic has to read a type: a model or a dataclass of pydantic's, or one with its constraints."""
    if "pydantic" not in sys.modules:
        return False
    if is_pydantic_type(type_):
        return True
    noted: tuple[object, ...] = getattr(type_, "__metadata__", ())
    if any(_module_of(note) in ("pydantic", "annotated_types") for note in noted):
        return True
    inner: tuple[object, ...] = get_args(type_)
    return any(map(involves_pydantic, inner))


def _module_of(value: object) -> str:
    return type(value).__module__.partition(".")[0]


def is_pydantic_type(type_: object) -> bool:
    """Whether it is a model or a dataclass of pydantic's, which nobody has who has not imported pydantic."""
    if "pydantic" not in sys.modules:
        return False
    import pydantic
    from pydantic.dataclasses import is_pydantic_dataclass

    if not isinstance(type_, type):
        return False
    kind = cast("type[object]", type_)
    return issubclass(kind, pydantic.BaseModel) or is_pydantic_dataclass(kind)


def parse_json_text(text: str, into: object, what: str) -> object:
    """The value that a text is.

    Args:
        text: what the model wrote.
        into: a type that msgspec or pydantic knows.
        what: is parsed, for messages: "the answer", "the arguments of get_weather".

    Raises:
        ResponseFormatError: the text is invalid JSON, or does not match. The message names the place, and quotes it.
        ConfigurationError: nothing can be parsed into `into`.
    """
    try:
        if involves_pydantic(into):
            msgspec.json.decode(text)  # so that invalid JSON gets the same message
            return _validated(text, into)
        return _decoded(text, into)
    except ConfigurationError:
        raise
    except msgspec.ValidationError as error:
        raise _validation_error(text, into, what, str(error)) from error
    except (TypeError, NameError, NotImplementedError) as error:
        raise ConfigurationError(f"{what} can't be parsed into {name_of(into)}: {error}") from error
    except RecursionError as error:
        raise ResponseFormatError(f"{what} can't be read: JSON nested too deeply: {_quoted(text)}") from error
    except ValueError as error:
        found = _found_by_pydantic(error)
        if found is not None:
            raise _validation_error(text, into, what, found) from error
        raise ResponseFormatError(f"{what} can't be read as JSON ({_first_line(error)}): {_quoted(text)}") from error


def _decoded(text: str, into: object) -> object:
    if "pydantic" in sys.modules:
        check_readable(into)
    try:
        return msgspec.json.decode(text, type=into, dec_hook=_dec_hook)
    except msgspec.ValidationError:
        import json  # here: few programs need it

        # JSON Schema calls 3.0 an integer; msgspec does not.
        value = json.loads(text, parse_float=_integer_if_whole)
        return msgspec.convert(value, into, dec_hook=_dec_hook, str_keys=True)


def _integer_if_whole(text: str) -> float:
    number = float(text)
    return int(number) if number.is_integer() else number


def _validated(text: str, into: object) -> object:
    """The value of one of pydantic's types: strictly, except where strictness is not about the JSON.

    After a validator of the user's own pydantic goes on in Python's mode, where a date is not a text and a tuple not a
    list.
    """
    import pydantic

    adapter: pydantic.TypeAdapter[object] = pydantic.TypeAdapter(cast("Any", into))
    try:
        return adapter.validate_json(text, strict=True)
    except pydantic.ValidationError as error:
        excused: list[tuple[tuple[int | str, ...], object]] = []
        for found in error.errors(include_url=False):
            if _is_json_form(found["type"], found["input"]):
                excused.append((found["loc"], found["input"]))
            elif not _is_lax(into, found["loc"]):
                raise msgspec.ValidationError(_pydantic_message(found["msg"], found["loc"])) from error
        value = adapter.validate_json(text, strict=False)
        dumped = adapter.dump_python(value, mode="json", by_alias=True)
        for place, given in excused:
            if isinstance(given, list) and not _has_items(dumped, place, cast("list[object]", given)):
                raise msgspec.ValidationError(_pydantic_message("Input should be of another type", place)) from error
        return value


def _has_items(dumped: object, place: tuple[int | str, ...], given: list[object]) -> bool:
    """Whether a value has at a place the items that were given: none of them was coerced."""
    for step in place:
        fields, items = as_object(dumped), as_array(dumped)
        dumped = fields.get(str(step)) if fields is not None else (items or [None])[int(step)]
    return sorted(map(repr, as_array(dumped) or ())) == sorted(map(repr, given))


_JSON_FORMS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("date_type", "datetime_type", "time_type", "time_delta_type", "bytes_type", "url_type"), str),
    **dict.fromkeys(("tuple_type", "set_type", "frozen_set_type"), list),
    **dict.fromkeys(("model_type", "dataclass_type", "dataclass_exact_type", "model_attributes_type"), dict),
    "decimal_type": (str, int, float),
    "is_instance_of": (str, int, float),
    "uuid_type": str,
}
"""What pydantic refuses in Python's strict mode though it is the JSON of the type, by its kind of error."""


def _is_json_form(kind: str, value: object) -> bool:
    if kind == "int_type":
        return isinstance(value, float) and value.is_integer()
    return not isinstance(value, bool) and isinstance(value, _JSON_FORMS.get(kind, ()))


def _is_lax(into: object, place: tuple[int | str, ...]) -> bool:
    """Whether the user has declared the field at a place `strict=False`."""
    for step in place:
        models = [part for part in (into, *get_args(into)) if is_pydantic_model(part)]
        field = next((model.model_fields[str(step)] for model in models if str(step) in model.model_fields), None)
        if field is not None:
            if any(getattr(note, "strict", None) is False for note in field.metadata):
                return True
            into = field.annotation
        elif isinstance(step, int) and get_args(into):
            into = get_args(into)[0]
    return False


def _dec_hook(type_: type, value: object) -> object:
    """Called by msgspec for types that are not its own: of these `object` is anything."""
    if type_ is object:
        return value
    if is_pydantic_type(type_):
        import json

        return _validated(json.dumps(value), type_)
    raise NotImplementedError(f"{name_of(type_)} is not supported by msgspec")


def _validation_error(text: str, into: object, what: str, why: str) -> ResponseFormatError:
    place = "" if "`$" in why else " - at `$`"  # msgspec leaves it out for the root
    return ResponseFormatError(f"{what} can't be read as {name_of(into)}: {why}{place}: {_quoted(text)}")


def _found_by_pydantic(error: ValueError) -> str | None:
    """The first thing that pydantic found, in msgspec's form; None where the error is not pydantic's."""
    if "pydantic" not in sys.modules:
        return None
    import pydantic

    if not isinstance(error, pydantic.ValidationError):
        return None
    found = error.errors(include_url=False, include_input=False)[0]
    return _pydantic_message(found["msg"], found["loc"])


def _pydantic_message(words: str, place: tuple[int | str, ...]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return f"{words} - at `${path}`"


@functools.lru_cache(maxsize=256)
def check_readable(type_: object) -> None:
    """Check that msgspec reads a type as its author means it.

    Raises:
        ConfigurationError: it holds a dataclass of pydantic's, whose constraints and defaults msgspec does not know.
    """
    seen: set[object] = set()
    waiting = [type_]
    while waiting:
        part = waiting.pop()
        if part in seen or is_pydantic_model(part):
            continue
        seen.add(part)
        if is_pydantic_type(part):
            raise ConfigurationError(
                f"{name_of(type_)} holds {name_of(part)}, a pydantic dataclass, but is not a pydantic type itself",
                hint=f"make {name_of(part)} a pydantic.BaseModel, or make all of them pydantic types",
            )
        waiting += get_args(part)
        if hasattr(part, "__struct_fields__") or hasattr(part, "__dataclass_fields__"):
            waiting += get_type_hints(part).values()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _quoted(text: str) -> str:
    return excerpt(text.encode("utf-8", "surrogatepass"))
