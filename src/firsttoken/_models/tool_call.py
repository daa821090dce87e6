"""A tool call of a message, as the API reference has it; its arguments checked, and the function called with them."""

import builtins
from collections.abc import Callable, Iterable
from typing import TypeVar, overload

from firsttoken._models.base import ResponseObject
from firsttoken.errors import ConfigurationError, ResponseFormatError

_T = TypeVar("_T")


class FunctionCall(ResponseObject):
    """The function that the model wants called.

    Attributes:
        name: the function's name.
        arguments: its arguments as the model wrote them: JSON, if the model kept to it. Never repaired.
    """

    name: str = ""
    arguments: str = ""


class CustomToolCall(ResponseObject):
    """The custom tool that the model wants called; `input` is free text."""

    name: str = ""
    input: str = ""


class ToolCall(ResponseObject):
    """One tool call of a message; `function` or `custom` is set, depending on `type`.

    Those in `completion.tool_calls` are complete. Those in a message may be cut, as the answer may: the arguments of
    a cut call don't parse, but the input of a custom tool does not show it.
    """

    id: str = ""
    type: str = "function"
    function: FunctionCall | None = None
    custom: CustomToolCall | None = None

    @property
    def name(self) -> str:
        """The name of the function or custom tool."""
        called = self.function or self.custom
        return "" if called is None else called.name

    @property
    def arguments(self) -> str:
        """The function's arguments, or the custom tool's input, as the model wrote them."""
        if self.function is None:
            return "" if self.custom is None else self.custom.input
        return self.function.arguments

    @overload
    def parse(self) -> dict[str, object]: ...
    @overload
    def parse(self, into: builtins.type[_T]) -> _T: ...  # type: ignore[overload-overlap]
    @overload
    def parse(self, into: Callable[..., object]) -> dict[str, object]: ...
    @overload
    def parse(self, into: object) -> object: ...
    def parse(self, into: object = None) -> object:
        """The function's arguments, checked.

        Args:
            into: None returns a dict, a type a value of it, a function its keyword arguments (`invoke` calls it);
                arguments that the function does not have are an error.

        Raises:
            ResponseFormatError: they are not a JSON object, or don't match. Nothing is repaired or coerced; the message
                names the place, and quotes them.
            ConfigurationError: it is the call of a custom tool, whose input is free text; or `into` can't be parsed
                into.
        """
        from firsttoken._schema.tools import is_function, keyword_arguments  # here: it loads `inspect`

        if is_function(into):
            return keyword_arguments(into, self._parsed)
        if into is None:
            into = dict[str, object]
        return self._parsed(into)

    @overload
    def invoke(self, function: Callable[..., _T]) -> _T: ...
    @overload
    def invoke(self, function: Iterable[Callable[..., object]]) -> object: ...
    def invoke(self, function: Callable[..., object] | Iterable[Callable[..., object]]) -> object:
        """Call a function with the checked arguments and return its result: of an `async def`, what to await.

        Args:
            function: the function, or several, of which the one with the call's name is called.

        Raises:
            ResponseFormatError: they don't match the function, which is not called then (see `parse`), or none of the
                functions has the name.
            ConfigurationError: it is the call of a custom tool, or `function` can't be a tool.
        """
        from firsttoken._schema.tools import keyword_arguments

        if not callable(function):
            function = self._function_of(function)
        return function(**keyword_arguments(function, self._parsed))

    def _function_of(self, functions: Iterable[Callable[..., object]]) -> Callable[..., object]:
        from firsttoken._schema.tools import name_of_function

        named = {name_of_function(function): function for function in functions}
        if self.name not in named:
            raise ResponseFormatError(
                f"the model called {self.name!r}, which is not one of the functions",
                hint=f"the functions are {', '.join(named)}; tell the model in a tool message",
            )
        return named[self.name]

    def _parsed(self, into: object) -> object:
        from firsttoken._schema.parsing import parse_json_text

        if self.function is None:
            raise ConfigurationError(
                f"the input of the custom tool {self.name} is text, not JSON", hint="call.arguments is the text"
            )
        text = self.arguments
        if not text.strip() and into != dict[str, object]:
            text = "{}"  # some servers send nothing to a function without parameters
        return parse_json_text(text, into, f"the arguments of {self.name or 'a nameless function'}")
