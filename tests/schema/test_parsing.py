"""firsttoken._schema.parsing: text to a value of a type, strictly."""

import copy
import pickle
import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated, Literal, TypedDict

import msgspec
import pydantic
import pytest

from firsttoken._schema.parsing import ResponseType, parse_json_text, response_type
from firsttoken.errors import ConfigurationError, ResponseFormatError


class City(msgspec.Struct):
    name: str
    people: Annotated[int, msgspec.Meta(ge=0)] = 0


@dataclass
class Town:
    name: str
    near: City | None = None


class Village(TypedDict):
    name: str


class Person(pydantic.BaseModel):
    name: str
    age: int = pydantic.Field(default=0, ge=0)
    homes: list[str] = []


class Stranger:
    """Of a kind that nobody knows."""


@pytest.mark.parametrize(
    ("into", "value"),
    [
        (City, City("Rome")),
        (Town, Town("Rome")),
        (Village, {"name": "Rome"}),
        (Person, Person(name="Rome")),
        (dict[str, object], {"name": "Rome"}),
        (Village | None, {"name": "Rome"}),
    ],
    ids=str,
)
def test_what_fits_becomes_a_value(into: object, value: object) -> None:
    assert parse_json_text(' {"name": "Rome"}\n', into, "the answer") == value


@pytest.mark.parametrize(
    ("text", "into", "words"),
    [
        ('{"name":1}', City, "City: Expected `str`, got `int` - at `$.name`"),
        ('{"name":"R","people":-1}', City, "City: Expected `int` >= 0 - at `$.people`"),
        ('{"name":"R","people":"1"}', City, "City: Expected `int`, got `str` - at `$.people`"),
        ('{"people":1}', City, "City: Object missing required field `name` - at `$`"),
        ('{"name":"R","near":{"name":2}}', Town, "Town: Expected `str`, got `int` - at `$.near.name`"),
        ('["a",1]', list[str], "list[str]: Expected `str`, got `int` - at `$[1]`"),
        ("7", Literal["a", "b"], "Literal['a', 'b']: Expected `str`, got `int` - at `$`"),
        ('{"name":1}', Person, "Person: Input should be a valid string - at `$.name`"),
        ('{"name":"R","age":"1"}', Person, "Person: Input should be a valid integer - at `$.age`"),
        ('{"name":"R","homes":["a",1]}', Person, "Person: Input should be a valid string - at `$.homes[1]`"),
        ("[]", Person, "Person: Input should be an object - at `$`"),
    ],
)
def test_what_does_not_fit_is_said_with_its_path_and_quoted(text: str, into: object, words: str) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        parse_json_text(text, into, "the answer")
    assert str(caught.value) == f"the answer can't be read as {words}: {text!r}"
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("into", [City, Person, dict[str, object]], ids=str)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "as JSON (Input data was truncated): ''"),
        ('{"name":"Ro', 'as JSON (Input data was truncated): \'{"name":"Ro\''),
        ("```json\n{}```", "as JSON (JSON is malformed: invalid character (byte 0)): '```json\\n{}```'"),
        ('{"name":"R"} so', 'as JSON (JSON is malformed: trailing characters (byte 14)): \'{"name":"R"} so\''),
        ("\ud800", "as JSON ('utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed): "),
        ('{"x":' * 100_000, "JSON nested too deeply: "),
    ],
)
def test_what_is_no_json_is_never_repaired(text: str, words: str, into: object) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        parse_json_text(text, into, "the arguments of f")
    assert str(caught.value).startswith("the arguments of f can't be read")
    assert words in str(caught.value)


def test_a_long_text_is_quoted_in_part() -> None:
    with pytest.raises(ResponseFormatError, match=r"'x{200}'…\Z"):
        parse_json_text("x" * 5000, City, "the answer")


@pytest.mark.parametrize("into", [Stranger, list[Stranger]], ids=str)
def test_a_type_that_nobody_knows_is_the_callers_mistake(into: object) -> None:
    with pytest.raises(
        ConfigurationError, match=r"the answer can't be parsed into .*Stranger.*not supported by msgspec"
    ):
        parse_json_text('[{"name":"R"}]', into, "the answer")


def test_a_model_that_raises_by_itself_is_told_from_what_does_not_fit() -> None:
    class Odd(pydantic.BaseModel):
        @pydantic.model_validator(mode="before")
        @classmethod
        def refuse(cls, _: object) -> object:
            raise ValueError("not on a Sunday")

    with pytest.raises(
        ResponseFormatError, match=r"can't be read as Odd: Value error, not on a Sunday - at `\$`: '{}'"
    ):
        parse_json_text("{}", Odd, "the answer")


def test_pydantic_is_not_imported_for_those_who_do_not_use_it() -> None:
    code = (
        "import sys, msgspec\n"
        "from firsttoken.types import ToolCall, FunctionCall, json_schema_format\n"
        "class City(msgspec.Struct):\n    name: str\n"
        "json_schema_format(City)\n"
        "call = ToolCall(function=FunctionCall(name='f', arguments='{\"name\":1}'))\n"
        "try:\n    call.parse(City)\nexcept ValueError as error:\n    print(error)\n"
        "print('pydantic' in sys.modules, 'jiter' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[0].startswith("the arguments of f can't be read as City")
    assert done.stdout.splitlines()[-1] == "False False"


def test_a_request_with_a_dict_or_nothing_names_no_type() -> None:
    assert response_type(None) is response_type({"type": "text"}) is None
    found = response_type(City)
    assert found is not None
    assert (found.type, repr(found)) == (City, "City")


def test_the_type_of_an_answer_is_pickled_by_name_and_left_out_where_it_has_none() -> None:
    class Inner(msgspec.Struct):
        x: int

    assert pickle.loads(pickle.dumps(ResponseType(City))).type is City
    assert pickle.loads(pickle.dumps(ResponseType(Inner))) is None
    for copied in (copy.copy, copy.deepcopy):
        assert copied(ResponseType(Inner)).type is Inner
