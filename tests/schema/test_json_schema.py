"""firsttoken._schema.json_schema: types to JSON schemas and to a response format."""

from dataclasses import dataclass
from typing import Any, Generic, NotRequired, TypedDict, TypeVar, cast

import msgspec
import pydantic
import pytest

from firsttoken._schema.json_schema import object_schema
from firsttoken.errors import ConfigurationError
from firsttoken.types import json_schema_format
from tests.support.errors import message_of

_T = TypeVar("_T")


class Point(msgspec.Struct):
    """A point."""

    x: int
    y: int = 0


class Line(msgspec.Struct):
    start: Point
    end: Point


class Tree(msgspec.Struct):
    branches: list["Tree"] = []


@dataclass
class Size:
    width: int


class Options(TypedDict):
    wide: bool
    name: NotRequired[str]


class Model(pydantic.BaseModel):
    """A model."""

    x: int
    inner: "Model | None" = None


class Box(msgspec.Struct, Generic[_T]):
    content: _T


class Foreign:
    pass


class Holder(msgspec.Struct):
    what: Foreign


class Unresolved(msgspec.Struct):
    what: "Missing"  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]


class ForeignModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    what: Foreign


class UnresolvedModel(pydantic.BaseModel):
    what: "Missing"  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]


def schema_in(made: dict[str, object]) -> dict[str, Any]:
    return cast("dict[str, Any]", made["json_schema"])["schema"]


POINT = {
    "title": "Point",
    "description": "A point.",
    "type": "object",
    "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}},
    "required": ["x", "y"],
    "additionalProperties": False,
}


def test_the_response_format_is_what_the_api_wants() -> None:
    assert json_schema_format(Point) == {
        "type": "json_schema",
        "json_schema": {"name": "Point", "strict": True, "schema": POINT},
    }


def test_it_can_be_named_described_and_left_as_it_is() -> None:
    made = json_schema_format(Point, name="p", description="where", strict=False)
    loose = POINT | {
        "properties": {"x": {"type": "integer"}, "y": {"type": "integer", "default": 0}},
        "required": ["x"],
    }
    del loose["additionalProperties"]
    assert made["json_schema"] == {"name": "p", "description": "where", "strict": False, "schema": loose}


@pytest.mark.parametrize(
    ("type_", "name", "properties"),
    [
        (Point, "Point", ["x", "y"]),
        (Size, "Size", ["width"]),
        (Options, "Options", ["name", "wide"]),  # sorted, as msgspec has them
        (Model, "Model", ["x", "inner"]),
    ],
)
def test_each_kind_of_type_has_one(type_: object, name: str, properties: list[str]) -> None:
    made = json_schema_format(type_)
    schema = schema_in(made)
    assert list(schema["properties"]) == schema["required"] == properties
    assert schema["type"] == "object"
    assert cast("dict[str, Any]", made["json_schema"])["name"] == name


def test_a_name_is_made_of_what_the_api_takes() -> None:
    name = cast("dict[str, Any]", json_schema_format(Box[int])["json_schema"])["name"]
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert 0 < len(name) <= 64
    assert name == "Box_int_"


def test_the_root_is_an_object_not_a_reference() -> None:
    line = object_schema(Line)
    assert line["type"] == "object"
    assert set(cast("dict[str, object]", line["$defs"])) == {"Point"}
    assert "$defs" not in object_schema(Point)


@pytest.mark.parametrize(("type_", "name"), [(Tree, "Tree"), (Model, "Model")])
def test_what_refers_to_itself_keeps_its_definition(type_: object, name: str) -> None:
    schema = schema_in(json_schema_format(type_))
    assert schema["type"] == "object"
    assert set(schema["$defs"]) == {name}
    assert f"'$ref': '#/$defs/{name}'" in repr(schema["$defs"][name])


@pytest.mark.parametrize("type_", [list[int], int, Point | None, Point | Size, str], ids=str)
def test_an_answer_must_be_an_object(type_: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        json_schema_format(type_)
    said = message_of(caught.value)
    if type_ != Point | Size:
        assert said.startswith("an answer must be a JSON object, not ")
        assert said.endswith("\nhint: put it into a field of a msgspec.Struct, a dataclass or a TypedDict")


@pytest.mark.parametrize(
    ("type_", "words"),
    [
        (Foreign, "Foreign has no JSON schema: Foreign is not supported by msgspec"),
        (Holder, "Holder has no JSON schema: Foreign is not supported by msgspec"),
        (7, "7 has no JSON schema: Type '7' is not supported"),
        (Unresolved, "Unresolved has no JSON schema: name 'Missing' is not defined"),
        (ForeignModel, "ForeignModel has no JSON schema: Cannot generate a JsonSchema for"),
        (UnresolvedModel, "UnresolvedModel has no JSON schema: `UnresolvedModel` is not fully defined"),
        (Point | Size, "has no JSON schema: Type unions may not contain more than one"),
    ],
    ids=str,
)
def test_a_type_without_a_schema_is_refused(type_: object, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        json_schema_format(type_)
    assert words in message_of(caught.value)
    assert "hint: it must be a msgspec.Struct, a dataclass, a TypedDict or a pydantic model" in message_of(caught.value)
