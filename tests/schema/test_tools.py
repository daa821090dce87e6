"""firsttoken._schema.tools: functions to tool definitions, and arguments to functions."""

import asyncio
import functools
import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import msgspec
import pytest

from firsttoken.errors import ConfigurationError, ResponseFormatError
from firsttoken.types import FunctionCall, ToolCall, chat_completion_request, function_tool

if TYPE_CHECKING:
    Missing = int


class Place(msgspec.Struct):
    city: str
    country: str = "?"


class Foreign:
    pass


def get_weather(
    city: str,
    unit: Literal["celsius", "fahrenheit"] = "celsius",
    *,
    days: Annotated[int, msgspec.Meta(ge=1, le=14)] = 1,
    near: Place | None = None,
    words: tuple[str, ...] = (),
) -> str:
    """Get the weather
    of a city.

    It is not the climate.

    Args:
        city: where; its name,
            note: in English.
        unit (str): of the temperature

        days: how many.
        nonsense: there is no such parameter.

    Returns:
        days: words.
    """
    return f"{city} {unit} {days} {near} {words}"


async def wait() -> None:
    """Wait."""


def undocumented(place: Place) -> None:
    del place


class Shop:
    def sell(self, what: str) -> str:
        """Sell something."""
        return what


def definition(tool: dict[str, object]) -> dict[str, Any]:
    assert tool["type"] == "function"
    return cast("dict[str, Any]", tool["function"])


def test_a_function_says_all_about_itself() -> None:
    made = definition(function_tool(get_weather))
    assert (made["name"], made["description"]) == (
        "get_weather",
        "Get the weather of a city.\n\nIt is not the climate.",
    )
    parameters = made["parameters"]
    assert parameters["properties"] == {
        "city": {"type": "string", "description": "where; its name, note: in English."},
        "unit": {
            "type": "string",
            "enum": ["celsius", "fahrenheit"],
            "description": "of the temperature",
            "default": "celsius",
        },
        "days": {"type": "integer", "minimum": 1, "maximum": 14, "description": "how many.", "default": 1},
        "near": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}]},
        "words": {"type": "array", "items": {"type": "string"}},
    }
    assert parameters["required"] == ["city"]
    assert parameters["additionalProperties"] is False
    assert set(parameters["$defs"]) == {"Place"}
    assert set(made) == {"name", "description", "parameters"}


def test_strict_requires_every_argument() -> None:
    made = definition(function_tool(get_weather, strict=True))
    assert made["strict"] is True
    assert made["parameters"]["required"] == ["city", "unit", "days", "near", "words"]
    assert made["parameters"]["properties"]["unit"] == {
        "type": "string",
        "enum": ["celsius", "fahrenheit"],
        "description": "of the temperature",
    }
    assert definition(function_tool(get_weather, strict=False))["strict"] is False


def test_what_is_said_by_hand_wins() -> None:
    made = definition(function_tool(get_weather, name="weather", description="Ask the frog."))
    assert (made["name"], made["description"]) == ("weather", "Ask the frog.")


def test_async_functions_methods_and_silent_ones() -> None:
    waiting = definition(function_tool(wait))
    assert waiting == {
        "name": "wait",
        "description": "Wait.",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    }
    assert list(definition(function_tool(Shop().sell))["parameters"]["properties"]) == ["what"]
    silent = definition(function_tool(undocumented))
    assert "description" not in silent
    assert silent["parameters"]["properties"] == {"place": {"$ref": "#/$defs/Place"}}


def test_a_type_that_describes_itself_is_not_described_again() -> None:
    def f(a: Annotated[int, msgspec.Meta(description="by its type")]) -> None:
        """F.

        Args:
            a: by the docstring.
        """

    assert definition(function_tool(f))["parameters"]["properties"]["a"]["description"] == "by its type"


def test_anything_goes_where_the_annotation_says_so() -> None:
    def f(a: object, b: Any = None, c: int = 1) -> None:
        """F.

        Args:
            (see below)
            a: anything.
            c:
        """

    parameters = definition(function_tool(f))["parameters"]
    assert parameters["properties"] == {
        "a": {"type": ["object", "array", "string", "number", "boolean", "null"], "description": "anything."},
        "b": {},
        "c": {"type": "integer", "default": 1},
    }
    call_it = ToolCall(function=FunctionCall(name="f", arguments='{"a": [1], "b": null}'))
    assert call_it.parse(f) == {"a": [1], "b": None}
    with pytest.raises(ConfigurationError, match=r"f has no strict JSON schema: at `\$\.a` it allows anything"):
        function_tool(f, strict=True)


def test_a_decorated_function_is_the_one_inside() -> None:
    @functools.wraps(get_weather)
    def wrapper(*args: Any, **kwargs: Any) -> str:
        return get_weather(*args, **kwargs)

    assert function_tool(wrapper) == function_tool(get_weather)


def test_what_a_function_gives_need_not_be_known() -> None:
    def f(a: int) -> "Missing":
        return a

    assert list(definition(function_tool(f))["parameters"]["properties"]) == ["a"]
    assert call('{"a": 1}').invoke(f) == 1


def test_a_default_that_is_no_json_is_not_told() -> None:
    def f(a: float = math.inf, b: float = 0.5) -> tuple[float, float]:
        return a, b

    properties = definition(function_tool(f))["parameters"]["properties"]
    assert properties == {"a": {"type": "number"}, "b": {"type": "number", "default": 0.5}}
    assert call("{}").invoke(f) == (math.inf, 0.5)


def untyped(a) -> None: ...  # type: ignore[no-untyped-def]  # pyright: ignore[reportMissingParameterType, reportUnknownParameterType]


def many(*a: int) -> None: ...


def named(**a: int) -> None: ...


def by_place(a: int, /) -> None: ...


def by_place_as_of_old(__init__: int) -> None: ...


def foreign(fine: int, a: list[Foreign]) -> None: ...


def unresolved(a: "Missing") -> None: ...


REFUSED: list[tuple[Any, str]] = [
    (untyped, "untyped can't be a tool: its parameter a has no annotation"),
    (many, "many can't be a tool: its parameter *a stands for any number of arguments"),
    (named, "named can't be a tool: its parameter **a stands for any number of arguments"),
    (by_place, "by_place can't be a tool: its parameter a can't be passed by name"),
    (by_place_as_of_old, "by_place_as_of_old can't be a tool: its parameter __init__ can't be passed by name"),
    (foreign, "foreign can't be a tool: its parameter a is of a type without a JSON schema, list["),
    (unresolved, "the annotations of unresolved can't be resolved: name 'Missing' is not defined"),
    (Shop.sell, "sell can't be a tool: its parameter self has no annotation"),
    (lambda: None, "'<lambda>' can't be the name of a tool: expected at most 64 letters, digits, _ and -"),
    (functools.partial(print, "x"), "a tool must be a dict or a function, not builtin_function_or_method"),
    (Place, "a tool must be a dict or a function, not StructMeta"),
    (print, "a tool must be a dict or a function, not builtin_function_or_method"),
    ("get_weather", "a tool must be a dict or a function, not str: 'get_weather'"),
]


@pytest.mark.parametrize(("function", "words"), REFUSED)
def test_what_can_not_be_a_tool_is_refused_by_name(function: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        function_tool(function)
    with pytest.raises(ConfigurationError) as of_the_request:
        chat_completion_request("m", "Hi", tools=[function])
    assert str(caught.value) == str(of_the_request.value)
    assert str(caught.value).startswith(words)


def call(arguments: str) -> ToolCall:
    return ToolCall(id="call_1", function=FunctionCall(name="get_weather", arguments=arguments))


def test_a_calls_arguments_are_what_to_call_the_function_with() -> None:
    found = call('{"city":"Rome","near":{"city":"Ostia"},"words":["a"]}').parse(get_weather)
    assert found == {"city": "Rome", "near": Place("Ostia"), "words": ("a",)}
    assert call("{}").parse(wait) == {}


def test_a_call_invokes_a_function() -> None:
    made = call('{"city":"Rome","near":{"city":"Ostia"},"words":["a"]}')
    assert made.invoke(get_weather) == "Rome celsius 1 Place(city='Ostia', country='?') ('a',)"
    assert call('{"what":"bread"}').invoke(Shop().sell) == "bread"
    assert asyncio.run(call("{}").invoke(wait)) is None


def test_a_function_is_not_invoked_with_what_does_not_fit() -> None:
    def never(city: str) -> None:
        raise AssertionError(city)

    with pytest.raises(ResponseFormatError, match=r"can't be read as never: Expected `str`, got `int` - at `\$\.city`"):
        call('{"city":1}').invoke(never)
    with pytest.raises(ConfigurationError, match="a tool must be a dict or a function, not StructMeta"):
        call('{"city":"Rome"}').invoke(Place)


def test_what_a_function_raises_comes_through() -> None:
    def broken() -> None:
        raise LookupError("no frog")

    with pytest.raises(LookupError, match="no frog"):
        call("{}").invoke(broken)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ('{"city":1}', "Expected `str`, got `int` - at `$.city`"),
        ('{"city":"Rome","days":0}', "Expected `int` >= 1 - at `$.days`"),
        ('{"city":"Rome","near":{}}', "Object missing required field `city` - at `$.near`"),
        ("{}", "Object missing required field `city` - at `$`"),
        ('{"city":"Rome","wind":1}', "Object contains unknown field `wind` - at `$`"),
    ],
)
def test_arguments_that_do_not_fit_are_never_mended(arguments: str, words: str) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        call(arguments).parse(get_weather)
    assert str(caught.value) == (f"the arguments of get_weather can't be read as get_weather: {words}: {arguments!r}")
