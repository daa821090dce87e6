"""Text that a model wrote, to a value of a type.

Owns what it means to fit: the text is JSON as it stands, and the JSON is what the type declares. Nothing is repaired
and nothing is coerced. Knows msgspec's types, and pydantic's models where pydantic has been imported.
"""

import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeGuard, get_origin

import msgspec

from firsttoken._json import excerpt
from firsttoken.errors import ConfigurationError, ResponseFormatError

if TYPE_CHECKING:
    import pydantic


_MODULE = re.compile(r"[\w.<>]+\.(?=\w)")  # <: of a type that was made in a function


class ResponseType:
    """The type that an answer is asked to be of, on its way from the request to the completion.

    A completion can be pickled whatever it was asked to be: a type that can't (one made inside a function) is left out.
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
    """The type that a request's `response_format` asks for; None where it is a dict, or not there."""
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


def parse_json_text(text: str, into: object, what: str) -> object:
    """The value that a text is.

    Args:
        text: what the model wrote.
        into: a type that msgspec knows, or a pydantic model.
        what: is parsed, for messages: "the answer", "the arguments of get_weather".

    Raises:
        ResponseFormatError: the text is no JSON, or does not fit. The message says where, and quotes it.
        ConfigurationError: nothing can be parsed into `into`.
    """
    try:
        if is_pydantic_model(into):
            msgspec.json.decode(text)  # so that what is no JSON is said in the same words
            return into.model_validate_json(text, strict=True)
        return msgspec.json.decode(text, type=into, dec_hook=_dec_hook)
    except msgspec.ValidationError as error:
        raise _validation_error(text, into, what, str(error)) from error
    except (TypeError, NameError, NotImplementedError) as error:
        raise ConfigurationError(f"{what} can't be parsed into {name_of(into)}: {error}") from error
    except RecursionError as error:
        raise ResponseFormatError(f"{what} can't be read: JSON that is nested too deeply: {_quoted(text)}") from error
    except ValueError as error:
        found = _found_by_pydantic(error)
        if found is not None:
            raise _validation_error(text, into, what, found) from error
        raise ResponseFormatError(f"{what} can't be read as JSON ({_first_line(error)}): {_quoted(text)}") from error


def _dec_hook(type_: type, value: object) -> object:
    """What msgspec asks for types that are not its own: `object`, which it does not take for "anything", is fine."""
    if type_ is object:
        return value
    raise NotImplementedError(f"{name_of(type_)} is no type of msgspec's")


def _validation_error(text: str, into: object, what: str, why: str) -> ResponseFormatError:
    place = "" if "`$" in why else " - at `$`"  # msgspec does not say so where the whole is meant
    return ResponseFormatError(f"{what} can't be read as {name_of(into)}: {why}{place}: {_quoted(text)}")


def _found_by_pydantic(error: ValueError) -> str | None:
    """The first thing that pydantic found, said as msgspec says it; None where the error is not pydantic's."""
    if "pydantic" not in sys.modules:
        return None
    import pydantic

    if not isinstance(error, pydantic.ValidationError):
        return None
    found = error.errors(include_url=False, include_input=False)[0]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in found["loc"])
    return f"{found['msg']} - at `${path}`"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _quoted(text: str) -> str:
    return excerpt(text.encode("utf-8", "surrogatepass"))
