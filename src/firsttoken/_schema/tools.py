"""Python functions to tool definitions, and a call's arguments to a function's.

A definition is made of a function's name, its docstring (first paragraph, and the section `Args:` in Google's style)
and its signature. The types of its parameters are msgspec's.
"""

import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Mapping

import msgspec

from firsttoken._schema.json_schema import object_schema, schema_of
from firsttoken._schema.parsing import name_of
from firsttoken._schema.strict import strict_schema
from firsttoken.errors import ConfigurationError

Function = Callable[..., object]

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""What the API takes as the name of a function."""

_ARGS_SECTION = re.compile(r"^(?:Args|Arguments|Parameters):[ \t]*\n((?:[ \t]+.*\n?|[ \t]*\n)*)", re.MULTILINE)
_ARGUMENT = re.compile(r"\*{0,2}(\w+)[ \t]*(?:\([^)]*\))?:[ \t]*(.*)")


def function_tool(
    function: Function, *, name: str | None = None, description: str | None = None, strict: bool | None = None
) -> dict[str, object]:
    """Make a tool definition of a function, `def` or `async def`.

    `chat_completion_request(…, tools=[get_weather])` does the same with the defaults.

    Args:
        function: its parameters are described by their annotations, and by the section `Args:` of its docstring in
            Google's style. One with a default is optional. `Annotated[int, msgspec.Meta(ge=1)]` narrows.
        name: the model's name for it; None takes its own.
        description: what it does and when to call it; None takes the first paragraph of its docstring.
        strict: True has the server keep to the schema, in OpenAI's strict subset: then the model gives every argument.
            None and False leave it to the server; `ToolCall.parse` checks the arguments in any case.

    Raises:
        ConfigurationError: it is not a function, or a parameter can't be described: one without an annotation, one of a
            type without a JSON schema, one that can't be passed by name, `*args` and `**kwargs`.
    """
    _check_is_function(function)
    shown = name or function.__name__
    if _NAME.fullmatch(shown) is None:
        raise ConfigurationError(
            f"{shown!r} can't be the name of a tool: letters, digits, _ and - can, 64 of them",
            hint="as in function_tool(function, name=…)",
        )
    docstring = inspect.getdoc(function) or ""
    definition: dict[str, object] = {"name": shown}
    words = _first_paragraph(docstring) if description is None else description
    if words:
        definition["description"] = words
    parameters = _parameters_schema(function, _described_arguments(docstring))
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
    return {name: value for name in _hints(function) if (value := getattr(given, name)) is not msgspec.UNSET}


def _check_is_function(function: object) -> None:
    if not inspect.isfunction(function) and not inspect.ismethod(function):
        raise ConfigurationError(
            f"a tool must be a dict or a function, not {name_of(type(function))}: {function!r}",
            hint="wrap it in a def with an annotation for each parameter",
        )


def _parameters_schema(function: Function, described: Mapping[str, str]) -> dict[str, object]:
    for name, hint in _hints(function).items():
        _check_has_schema(function, name, hint)
    schema = object_schema(_arguments_type(function))
    del schema["title"]  # the function's name again
    properties = typing.cast("dict[str, dict[str, object]]", schema["properties"])
    for name, property_ in properties.items():
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


def _arguments_type(function: Function) -> type[msgspec.Struct]:
    """A struct with the function's parameters for fields; those with a default are optional, others are refused."""
    parameters = inspect.signature(function).parameters
    fields: list[tuple[str, object] | tuple[str, object, object]] = [
        (name, hint)
        if parameters[name].default is inspect.Parameter.empty
        else (name, typing.Union[hint, msgspec.UnsetType], msgspec.UNSET)  # noqa: UP007 - hints need not know "|"
        for name, hint in _hints(function).items()
    ]
    return msgspec.defstruct(function.__name__, fields, kw_only=True, forbid_unknown_fields=True)


def _hints(function: Function) -> dict[str, object]:
    """The annotations of the parameters, by name."""
    try:
        hints = typing.get_type_hints(_without_return(function), include_extras=True)
    except (NameError, TypeError, SyntaxError) as error:
        raise ConfigurationError(f"the annotations of {function.__name__} can't be resolved: {error}") from error
    parameters = inspect.signature(function).parameters.values()
    return {parameter.name: _hint(function, parameter, hints) for parameter in parameters}


def _without_return(function: Function) -> Function:
    """A function with the annotations of the parameters alone: that of the result may be for type checkers only."""
    namespace = getattr(inspect.unwrap(function), "__globals__", {})
    plain = types.FunctionType((lambda: None).__code__, namespace)
    annotations = getattr(function, "__annotations__", {})
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
        f"{function.__name__} can't be a tool: its parameter {name} {why}",
        hint="wrap it in a function with an annotation for each parameter",
    )


def _first_paragraph(docstring: str) -> str:
    return " ".join(docstring.partition("\n\n")[0].split())


def _described_arguments(docstring: str) -> dict[str, str]:
    """The descriptions in the section `Args:`, by parameter; further indented lines continue the one before."""
    section = _ARGS_SECTION.search(docstring)
    if section is None:
        return {}
    described: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc("\n" + section[1]).splitlines():
        entry = _ARGUMENT.match(line)
        if entry is not None:
            name = entry[1]
            described[name] = entry[2].strip()
        elif name:
            described[name] = f"{described[name]} {line.strip()}".strip()
    return described
