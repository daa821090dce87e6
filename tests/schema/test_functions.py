"""What tools are made of beside plain functions: docstrings of any style, pydantic, partials, methods, objects."""

import enum
import functools
from typing import Annotated, Any, Literal, cast

import pydantic
import pytest

from firsttoken.errors import ConfigurationError, ResponseFormatError
from firsttoken.types import FunctionCall, ToolCall, function_tool


def definition(function: Any, **options: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", function_tool(function, **options)["function"])


def call(arguments: str, name: str = "f") -> ToolCall:
    return ToolCall(id="a", function=FunctionCall(name=name, arguments=arguments))


def google(a: int, b: int = 0, *, c: int = 0) -> None:
    """Do it.
    Args:
        a: the first, on
            two lines.
        b (int): the second.

    Keyword Args:
        c: the third.

    Returns:
        a: nothing.
    """


def numpy(a: int, b: int = 0, c: int = 0) -> None:
    """Do it.

    Slowly, and
    with care.

    Parameters
    ----------
    a : int
        the first, on
        two lines.
    b, c : int, optional
        the others.

    Returns
    -------
    a : None
        nothing.
    """


def sphinx(a: int, b: int = 0, c: int = 0) -> None:
    """Do it.

    :param a: the first, on
        two lines.
    :type a: int
    :param int b: the second.
    :keyword c: the third.
    :returns: a: nothing.
    """


@pytest.mark.parametrize(
    ("function", "words", "described"),
    [
        (google, "Do it.", ["the first, on two lines.", "the second.", "the third."]),
        (numpy, "Do it.\n\nSlowly, and with care.", ["the first, on two lines.", "the others.", "the others."]),
        (sphinx, "Do it.", ["the first, on two lines.", "the second.", "the third."]),
    ],
)
def test_docstrings_of_each_style(function: Any, words: str, described: list[str]) -> None:
    made = definition(function)
    assert made["description"] == words
    assert [property_["description"] for property_ in made["parameters"]["properties"].values()] == described


class Unit(enum.Enum):
    CELSIUS = "celsius"
    KELVIN = "kelvin"


class Shop:
    """A shop."""

    def sell(self, what: str) -> str:
        """Sell something."""
        return f"sold {what}"

    def __call__(self, what: str, unit: Unit = Unit.KELVIN) -> str:
        return f"{what} {unit.name}"


def scaled(value: int, by: int, unit: Literal["m", "km"] = "m") -> str:
    """Scale a value."""
    return f"{value * by} {unit}"


@functools.lru_cache
def cached(value: int) -> int:
    """Cache it."""
    return value + 1


@pytest.mark.parametrize(
    ("function", "name", "words", "properties", "arguments", "result"),
    [
        (Shop().sell, "sell", "Sell something.", ["what"], '{"what": "x"}', "sold x"),
        (Shop(), "Shop", "A shop.", ["what", "unit"], '{"what": "x", "unit": "celsius"}', "x CELSIUS"),
        (functools.partial(scaled, 2), "scaled", "Scale a value.", ["by", "unit"], '{"by": 3.0}', "6 m"),
        (functools.partial(scaled, by=3), "scaled", "Scale a value.", ["value", "by", "unit"], '{"value": 2}', "6 m"),
        (cached, "cached", "Cache it.", ["value"], '{"value": 1}', 2),
    ],
)
def test_whatever_can_be_called_by_name(
    function: Any, name: str, words: str, properties: list[str], arguments: str, result: object
) -> None:
    made = definition(function)
    assert (made["name"], made["description"]) == (name, words)
    assert list(made["parameters"]["properties"]) == properties
    assert call(arguments, name).invoke(function) == result
    assert call(arguments, name).invoke([print, function][1:]) == result


def now() -> str:
    """Tell the time."""
    return "noon"


def test_a_function_without_parameters_may_be_called_with_no_arguments_at_all() -> None:
    assert "required" not in definition(now)["parameters"]
    assert "required" not in definition(now, strict=True)["parameters"]
    for arguments in ("", " ", "{}"):
        assert call(arguments, "now").invoke(now) == "noon"
        assert call(arguments, "now").parse(now) == {}
    with pytest.raises(ResponseFormatError, match="Object missing required field `value`"):
        call("").invoke(cached)
    with pytest.raises(ResponseFormatError, match="Input data was truncated"):
        call("").parse()


# Several functions


def test_the_function_with_the_name_of_the_call_is_called() -> None:
    functions = [now, cached, Shop().sell]
    assert call('{"what": "x"}', "sell").invoke(functions) == "sold x"
    with pytest.raises(ResponseFormatError) as caught:
        call("{}", "explode").invoke(functions)
    assert str(caught.value) == "the model called 'explode', which is not one of the functions"
    assert caught.value.hint == "the functions are now, cached, sell; tell the model in a tool message"


# pydantic


class Place(pydantic.BaseModel):
    city: str
    near: "Place | None" = None


def visit(
    name: Annotated[str, pydantic.Field(description="who", min_length=2)], place: Place, days: int = 1
) -> tuple[str, Place, int]:
    """Visit a place.

    Args:
        place: where to.
    """
    return name, place, days


def test_parameters_of_pydantic() -> None:
    parameters = definition(visit)["parameters"]
    assert parameters["required"] == ["name", "place"]
    assert parameters["additionalProperties"] is False
    assert parameters["properties"]["name"] == {"type": "string", "description": "who", "minLength": 2}
    assert parameters["properties"]["days"] == {"type": "integer", "default": 1}
    assert call('{"name": "Bo", "place": {"city": "Rome"}}').invoke(visit) == ("Bo", Place(city="Rome"), 1)
    assert call('{"name": "Bo", "place": {"city": "Rome"}}').parse(visit) == {"name": "Bo", "place": Place(city="Rome")}
    for arguments, place in {
        '{"name": "B", "place": {"city": "Rome"}}': "$.name",
        '{"name": "Bo", "place": {"city": 3}}': "$.place.city",
        '{"name": "Bo", "place": {"city": "Rome"}, "x": 1}': "$.x",
    }.items():
        with pytest.raises(ResponseFormatError, match=rf"at `\{place}`"):
            call(arguments).invoke(visit)


# What they can't be


def test_a_parameter_that_pydantic_can_not_check_is_refused_by_name() -> None:
    def look_around(word: Annotated[str, pydantic.Field(pattern="^(?=a)b")]) -> None: ...

    with pytest.raises(ConfigurationError) as caught:
        function_tool(look_around)
    assert str(caught.value) == (
        "pydantic can't check the parameters of look_around: "
        "error: look-around, including look-ahead and look-behind, is not supported"
    )
