"""What users see who call a type of ours with arguments that it does not have."""

import functools
from typing import TYPE_CHECKING

import msgspec

from firsttoken.errors import ConfigurationError

_OF_OPENAI = {
    "extra_body": "a server's own fields go into extra={…}",
    "extra_headers": "headers go beside a request, as headers={…} of the client's method",
    "extra_query": "a query goes into the base_url of the client",
}
"""What users of the official client reach for."""


class ArgumentError(ConfigurationError, TypeError):
    """A call has an argument that there is not; it is the `TypeError` that Python would raise, with a hint."""


class KeywordsOnly(msgspec.StructMeta):
    """The metaclass of structs that are made by hand."""

    if not TYPE_CHECKING:  # pragma: no branch - or type checkers would take it for the signature

        def __call__(cls, *args: object, **fields: object) -> object:  # noqa: N805 - a class is what a metaclass calls
            if args or not _fields_of(cls).issuperset(fields):
                names = cls.__struct_fields__
                raise _argument_error(cls.__name__, names, args, fields.keys() - set(names))
            return super().__call__(**fields)


@functools.cache
def _fields_of(cls: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(cls.__struct_fields__)


def _argument_error(called: str, names: tuple[str, ...], args: tuple[object, ...], unknown: set[str]) -> ArgumentError:
    first = next(iter(names))
    if args:
        return ArgumentError(
            f"{called} takes keyword arguments only, not {next(iter(args))!r}",
            hint=f"which of {', '.join(names)}? As in {called}({first}=…)"
            if len(names) < 10
            else f"as in {called}({first}=…)",
        )
    name = min(unknown)
    if name in _OF_OPENAI:
        return ArgumentError(f"{called} has no field {name!r}", hint=_OF_OPENAI[name])
    import difflib  # here, since it is slow to load

    close = difflib.get_close_matches(name, names, n=1)
    hints = [f"did you mean {close[0]}?"] if close else []
    if "extra" in names:
        hints.append(f"a server's own field goes into extra: extra={{{name!r}: …}}")
    hint = " ".join(hints) or f"the fields are {', '.join(names)}"
    return ArgumentError(f"{called} has no field {name!r}", hint=hint)
