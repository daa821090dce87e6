"""Python functions to tool definitions, and a call's arguments to a function's.

A definition is made of a function's name, its docstring (in the style of Google, NumPy or Sphinx) and its signature.
The types of its parameters are msgspec's, or pydantic's.
"""

import functools
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import cast

import msgspec

from firsttoken._schema.json_schema import object_schema, schema_of, strict_schema, type_name
from firsttoken._schema.parsing import involves_pydantic, name_of
from firsttoken.errors import ConfigurationError

Function = Callable[..., object]

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""What the API takes as the name of a function."""


def function_tool(
    function: Function, *, name: str | None = None, description: str | None = None, strict: bool | None = None
) -> dict[str, object]:
    """Make a tool definition of a function, `def` or `async def`.

    `chat_completion_request(…, tools=[get_weather])` does the same with the defaults.

    Args:
        function: its parameters are described by their annotations, and by its docstring in the style of Google, NumPy
            or Sphinx. One with a default is optional. `Annotated[int, msgspec.Meta(ge=1)]` narrows it, and so does
            `Annotated[str, pydantic.Field(min_length=2)]`. Methods, partials, cached functions and callable objects
            are functions too.
        name: the model's name for it; None takes its own.
        description: what it does and when to call it; None takes its docstring up to the first section.
        strict: True has the server keep to the schema, in OpenAI's strict subset: then the model gives every argument.
            None and False leave it to the server; `ToolCall.parse` checks the arguments in any case.

    Raises:
        ConfigurationError: it is not a function, or a parameter can't be described: one without an annotation, one of a
            type without a JSON schema, one that can't be passed by name, `*args` and `**kwargs`.
    """
    _check_is_function(function)
    shown = name or name_of_function(function)
    if _NAME.fullmatch(shown) is None:
        raise ConfigurationError(
            f"{shown!r} can't be the name of a tool: expected at most 64 letters, digits, _ and -",
            hint="as in function_tool(function, name=…)",
        )
    words, described = read_docstring(documented(function))
    definition: dict[str, object] = {"name": shown}
    if description or (description is None and words):
        definition["description"] = description or words
    parameters = _parameters_schema(function, described)
    definition["parameters"] = strict_schema(parameters, shown) if strict else parameters
    if strict is not None:
        definition["strict"] = strict
    return {"type": "function", "function": definition}


def keyword_arguments(function: Function, decode: Callable[[object], object]) -> dict[str, object]:
    """The arguments to call a function with.

    Args:
        function: to be called.
        decode: gives the value of a call's arguments in a type.

    Raises:
        ConfigurationError: as for `function_tool`.
    """
    _check_is_function(function)
    given = decode(_arguments_type(function))
    names = getattr(given, "model_fields_set", _hints(function))  # of pydantic: those that came
    return {name: value for name in names if (value := getattr(given, name)) is not msgspec.UNSET}


def is_function(value: object) -> "typing.TypeGuard[Function]":
    """Whether it is what a tool can be made of, not a type."""
    if isinstance(value, types.FunctionType | types.MethodType | functools.partial) or hasattr(value, "__wrapped__"):
        return True
    return callable(value) and not isinstance(value, type) and type(value).__module__ not in ("typing", "types")


def name_of_function(function: Function) -> str:
    """The name of a function, of what a partial or a cache wraps, or of the class of a callable object."""
    named = inspect.unwrap(_unbound(function))
    return getattr(named, "__name__", None) or type(named).__name__


def documented(function: Function) -> object:
    """Where the docstring of a function stands: of a callable object, at its `__call__`, else at its class."""
    found: object = inspect.unwrap(_unbound(function))
    if inspect.isroutine(found):
        return found
    kind = type(found)
    return kind.__call__ if kind.__call__.__doc__ else kind


def _unbound(function: Function) -> Function:
    """What a partial calls."""
    while isinstance(function, functools.partial):
        function = cast("functools.partial[object]", function).func
    return function


def _check_is_function(function: object) -> None:
    while isinstance(function, functools.partial):
        function = cast("functools.partial[object]", function).func
    if not callable(function) or isinstance(function, type) or inspect.isbuiltin(function):
        raise ConfigurationError(
            f"a tool must be a dict or a function, not {name_of(cast('object', type(function)))}: {function!r}",
            hint="wrap it in a def with an annotation for each parameter",
        )


def _parameters_schema(function: Function, described: Mapping[str, str]) -> dict[str, object]:
    arguments = _arguments_type(function)
    if issubclass(arguments, msgspec.Struct):
        for name, hint in _hints(function).items():
            _check_has_schema(function, name, hint)
    schema = object_schema(cast("object", arguments))
    del schema["title"]  # the function's name again
    if not schema.get("required", True):
        del schema["required"]
    properties = cast("dict[str, dict[str, object]]", schema["properties"])
    for name, property_ in properties.items():
        property_.pop("title", None)  # the parameter's name again
        _write_type(property_)
        if described.get(name):
            property_.setdefault("description", described[name])
        default = inspect.signature(function).parameters[name].default
        is_plain = isinstance(default, str | int) or (isinstance(default, float) and math.isfinite(default))
        if is_plain and "$ref" not in property_:
            property_.setdefault("default", default)
    return schema


def _check_has_schema(function: Function, name: str, hint: object) -> None:
    try:
        schema_of(hint)
    except TypeError as error:
        raise _unsupported(function, name, f"is of a type without a JSON schema, {name_of(hint)}") from error


def _write_type(property_: dict[str, object]) -> None:
    """The type of an enum's values, which some servers need."""
    values = property_.get("enum")
    if isinstance(values, list) and "type" not in property_:
        kinds = {type_name(value) for value in cast("list[object]", values)}
        if len(kinds) == 1:
            property_["type"] = kinds.pop()


def _arguments_type(function: Function) -> type:
    """A type with the function's parameters for fields; those with a default are optional, others are refused."""
    parameters = inspect.signature(function).parameters
    if any(map(involves_pydantic, _hints(function).values())):
        import pydantic
        import pydantic_core

        create: Callable[..., type] = pydantic.create_model
        fields_of_model = {
            name: (hint, ... if parameters[name].default is inspect.Parameter.empty else parameters[name].default)
            for name, hint in _hints(function).items()
        }
        config = pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=True)
        try:
            return create(name_of_function(function), __config__=config, **fields_of_model)
        except (pydantic_core.SchemaError, pydantic.errors.PydanticUserError) as error:
            why = str(error).strip().rpartition("\n")[2].strip()
            raise ConfigurationError(
                f"pydantic can't check the parameters of {name_of_function(function)}: {why}"
            ) from error
    fields: list[tuple[str, object] | tuple[str, object, object]] = [
        (name, hint)
        if parameters[name].default is inspect.Parameter.empty
        else (name, typing.Union[hint, msgspec.UnsetType], msgspec.UNSET)  # noqa: UP007 - hints need not know "|"
        for name, hint in _hints(function).items()
    ]
    return msgspec.defstruct(name_of_function(function), fields, kw_only=True, forbid_unknown_fields=True)


def _hints(function: Function) -> dict[str, object]:
    """The annotations of the parameters, by name."""
    try:
        hints = typing.get_type_hints(_without_return(function), include_extras=True)
    except (NameError, TypeError, SyntaxError) as error:
        raise ConfigurationError(
            f"the annotations of {name_of_function(function)} can't be resolved: {error}"
        ) from error
    parameters = inspect.signature(function).parameters.values()
    return {parameter.name: _hint(function, parameter, hints) for parameter in parameters}


def _without_return(function: Function) -> Function:
    """A function with the annotations of the parameters alone: that of the result may be for type checkers only."""
    found = inspect.unwrap(_unbound(function))
    annotated = found if inspect.isroutine(found) else inspect.unwrap(type(found).__call__)
    namespace = getattr(annotated, "__globals__", {})
    plain = types.FunctionType((lambda: None).__code__, namespace)
    annotations = getattr(annotated, "__annotations__", {})
    plain.__annotations__ = {name: hint for name, hint in annotations.items() if name != "return"}
    return plain


def _hint(function: Function, parameter: inspect.Parameter, hints: Mapping[str, object]) -> object:
    name = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise _unsupported(
            function, str(parameter.replace(annotation=parameter.empty)), "stands for any number of arguments"
        )
    if parameter.kind == parameter.POSITIONAL_ONLY or name.startswith("__"):  # as PEP 484 spelt it before there was "/"
        raise _unsupported(function, name, "can't be passed by name")
    if name not in hints:
        raise _unsupported(function, name, "has no annotation")
    return hints[name]


def _unsupported(function: Function, name: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{name_of_function(function)} can't be a tool: its parameter {name} {why}",
        hint="wrap it in a function with an annotation for each parameter",
    )


_SECTIONS = (
    r"Args|Arguments|Attributes|Example|Examples|Keyword Args|Keyword Arguments|Note|Notes|Other Parameters|Parameters"
    r"|Raises|References|Return|Returns|See Also|Todo|Warning|Warnings|Warns|Yield|Yields"
)
_OF_PARAMETERS = frozenset({"args", "arguments", "keyword args", "keyword arguments", "other parameters", "parameters"})
_HEADING = re.compile(rf"^(?P<name>{_SECTIONS})(?::[ \t]*|[ \t]*\n-{{3,}}[ \t]*)$", re.MULTILINE)
_SPHINX = re.compile(
    r"^:(?:(?:param|parameter|arg|argument|key|keyword)\s+(?:[^:]*?\s)?\*{0,2}(\w+)|\w[^:]*):", re.MULTILINE
)
_GOOGLE_ENTRY = re.compile(r"\*{0,2}(\w+)[ \t]*(?:\([^)]*\))?:[ \t]*(.*)")
_NUMPY_ENTRY = re.compile(r"\*{0,2}(\w+(?:[ \t]*,[ \t]*\*{0,2}\w+)*)[ \t]*(?::.*)?$")


def read_docstring(function: object) -> tuple[str, dict[str, str]]:
    """What a function does, all paragraphs of it, and what each of its parameters is."""
    text = inspect.getdoc(function) or ""
    headings = [*_HEADING.finditer(text)]
    fields = [*_SPHINX.finditer(text)]
    end = min([found.start() for found in (*headings[:1], *fields[:1])], default=len(text))
    described: dict[str, str] = {}
    for heading, after in zip(headings, [*headings[1:], None], strict=False):
        if heading["name"].lower() in _OF_PARAMETERS:
            section = text[heading.end() : None if after is None else after.start()]
            described |= _numpy_entries(section) if "---" in heading[0] else _google_entries(section)
    for field, after in zip(fields, [*fields[1:], None], strict=False):
        if field[1]:
            described[field[1]] = _joined(
                text[field.end() : None if after is None else after.start()].partition("\n\n")[0]
            )
    paragraphs = re.split(r"\n[ \t]*\n", text[:end].strip())
    return "\n\n".join(map(_joined, paragraphs)), described


def _google_entries(section: str) -> dict[str, str]:
    """Entries that begin at the first indentation; further indented lines continue the one before."""
    described: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc("\n" + _indented(section)).splitlines():
        entry = _GOOGLE_ENTRY.match(line)
        if entry is not None:
            name = entry[1]
            described[name] = entry[2].strip()
        elif name:
            described[name] = f"{described[name]} {line.strip()}".strip()
    return described


def _numpy_entries(section: str) -> dict[str, str]:
    """Entries `name : type` at the margin, what they are indented below."""
    described: dict[str, str] = {}
    names: list[str] = []
    for line in section.strip("\n").splitlines():
        entry = _NUMPY_ENTRY.match(line)
        if entry is not None:
            names = re.findall(r"\w+", entry[1])
        for name in names if line.startswith((" ", "\t")) else ():
            described[name] = f"{described.get(name, '')} {line.strip()}".strip()
    return described


def _indented(section: str) -> str:
    """The lines of a section up to the first that is back at the margin."""
    lines: list[str] = []
    for line in section.strip("\n").splitlines():
        if line.strip() and not line.startswith((" ", "\t")):
            break
        lines.append(line)
    return "\n".join(lines)


def _joined(text: str) -> str:
    return " ".join(text.split())
