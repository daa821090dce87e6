"""Text that a model wrote, to a value of a type.

The text must be JSON as it stands, and the JSON must be what the type declares. Nothing is repaired and nothing is
coerced. Types are msgspec's, and pydantic's models where pydantic has been imported.
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


def parse_json_text(text: str, into: object, what: str) -> object:
    """The value that a text is.

    Args:
        text: what the model wrote.
        into: a type that msgspec knows, or a pydantic model.
        what: is parsed, for messages: "the answer", "the arguments of get_weather".

    Raises:
        ResponseFormatError: the text is invalid JSON, or does not match. The message names the place, and quotes it.
        ConfigurationError: nothing can be parsed into `into`.
    """
    try:
        if is_pydantic_model(into):
            msgspec.json.decode(text)  # so that invalid JSON gets the same message
            return into.model_validate_json(text, strict=True)
        return msgspec.json.decode(text, type=into, dec_hook=_dec_hook)
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


def _dec_hook(type_: type, value: object) -> object:
    """Called by msgspec for types that are not its own: of these `object` is anything."""
    if type_ is object:
        return value
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
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in found["loc"])
    return f"{found['msg']} - at `${path}`"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _quoted(text: str) -> str:
    return excerpt(text.encode("utf-8", "surrogatepass"))
