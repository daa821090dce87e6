"""firsttoken._schema.json_schema: OpenAI's subset of JSON Schema."""

import copy
import datetime as dt
import enum
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pydantic
import pytest

from firsttoken._schema.json_schema import object_schema, strict_schema
from firsttoken.errors import ConfigurationError
from tests.support.errors import message_of


class Point(msgspec.Struct):
    """A point."""

    x: int
    y: int = 0


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Cat(msgspec.Struct, tag="cat"):
    lives: int = 9


class Dog(msgspec.Struct, tag="dog"):
    name: str | None = None


class Everything(msgspec.Struct):
    described: Annotated[Point, msgspec.Meta(description="where")]
    plain: Point
    word: Literal["a", "b"]
    mixed: Literal[1, "x"] | None
    color: Color
    day: dt.date
    amount: Decimal
    key: UUID
    data: bytes
    short: Annotated[str, msgspec.Meta(max_length=3, pattern="^a")]
    few: Annotated[list[int], msgspec.Meta(min_length=1, max_length=2)]
    positive: Annotated[int, msgspec.Meta(gt=0)]
    pet: Cat | Dog
    left_out: int | msgspec.UnsetType = msgspec.UNSET
    me: "Everything | None" = None


class Nested(msgspec.Struct):
    inside: list[Annotated["Nested", msgspec.Meta(description="one")]]


class Deep(pydantic.BaseModel):
    pet: Annotated["Kitten | Puppy", pydantic.Field(discriminator="kind")]
    size: Annotated[float, pydantic.Field(gt=0, description="cm")] = 1.5
    one: Literal["x"] = "x"


class Kitten(pydantic.BaseModel):
    kind: Literal["kitten"]


class Puppy(pydantic.BaseModel):
    kind: Literal["puppy"]
    owner: Annotated[str, pydantic.Field(min_length=1)] = "nobody"


def strict(type_: type) -> dict[str, Any]:
    return strict_schema(object_schema(type_), type_.__name__)


def schemas_in(node: Any) -> Iterator[dict[str, Any]]:
    """All schemas in one, itself included."""
    yield node
    for child in (*node.get("properties", {}).values(), *node.get("$defs", {}).values(), *node.get("anyOf", ())):
        yield from schemas_in(child)
    if "items" in node:
        yield from schemas_in(node["items"])


@pytest.mark.parametrize("type_", [Point, Everything, Nested, Deep])
def test_every_demand_is_met_all_the_way_down(type_: type) -> None:
    for schema in schemas_in(strict(type_)):
        if "$ref" in schema:
            assert set(schema) == {"$ref"}
            continue
        assert "type" in schema or "anyOf" in schema
        assert not {"default", "oneOf", "allOf", "discriminator", "minLength", "maxLength"} & schema.keys()
        if schema.get("type") == "object":
            assert schema["additionalProperties"] is False
            assert schema["required"] == list(schema["properties"])


def test_what_can_be_said_is_kept() -> None:
    properties = strict(Everything)["properties"]
    assert properties["described"]["description"] == "where"
    assert properties["described"]["properties"] == {"x": {"type": "integer"}, "y": {"type": "integer"}}
    assert properties["plain"] == {"$ref": "#/$defs/Point"}
    assert properties["word"] == {"type": "string", "enum": ["a", "b"]}
    assert properties["mixed"]["anyOf"] == [
        {"anyOf": [{"type": "integer", "enum": [1]}, {"type": "string", "enum": ["x"]}]},
        {"type": "null"},
    ]
    assert properties["day"] == {"type": "string", "format": "date"}
    assert properties["amount"] == {"type": "string"}
    assert properties["key"] == {"type": "string", "format": "uuid"}
    assert properties["data"] == {"type": "string"}
    assert properties["short"] == {"type": "string", "pattern": "^a"}
    assert properties["few"] == {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2}
    assert properties["positive"] == {"type": "integer", "exclusiveMinimum": 0}
    assert properties["pet"] == {"anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]}
    assert properties["left_out"] == {"type": "integer"}
    assert properties["me"] == {"anyOf": [{"$ref": "#/$defs/Everything"}, {"type": "null"}]}


def test_pydantics_words_for_the_same_are_translated() -> None:
    made = strict(Deep)
    pet = made["properties"]["pet"]
    assert pet["anyOf"] == [{"$ref": "#/$defs/Kitten"}, {"$ref": "#/$defs/Puppy"}]
    assert made["properties"]["size"] == {
        "description": "cm",
        "exclusiveMinimum": 0,
        "title": "Size",
        "type": "number",
    }
    assert made["properties"]["one"] == {"const": "x", "title": "One", "type": "string"}


def test_a_description_beside_a_reference_to_itself_ends() -> None:
    inside = strict(Nested)["properties"]["inside"]["items"]
    assert inside == {"anyOf": [{"$ref": "#/$defs/Nested"}], "description": "one"}


def test_the_schema_given_is_not_changed() -> None:
    schema = object_schema(Everything)
    before = copy.deepcopy(schema)
    strict_schema(schema, "Everything")
    assert schema == before


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"allOf": [{"type": "integer"}], "description": "d"}, {"type": "integer", "description": "d"}),
        ({"const": 1.5}, {"type": "number", "const": 1.5}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({"enum": [True, False]}, {"type": "boolean", "enum": [True, False]}),
    ],
)
def test_what_others_write(given: dict[str, object], made: dict[str, object]) -> None:
    schema: dict[str, object] = {"type": "object", "properties": {"a": given}}
    assert strict_schema(schema, "T")["properties"] == {"a": made}


@pytest.mark.parametrize(
    ("given", "path", "what"),
    [
        (
            {"type": "object", "additionalProperties": {"type": "integer"}},
            "$.a",
            "an object whose fields are not named",
        ),
        ({"type": "object", "properties": {}, "additionalProperties": True}, "$.a", "an object whose fields are not"),
        ({"type": "object"}, "$.a", "an object whose fields are not named"),
        ({"type": "array", "items": {}}, "$.a[…]", "anything"),
        ({"type": "array"}, "$.a[…]", "anything"),
        ({"description": "d"}, "$.a", "anything"),
        ({"type": "array", "prefixItems": [{"type": "integer"}]}, "$.a", "a tuple whose items differ"),
        ({"allOf": [{"type": "integer"}, {"minimum": 1}]}, "$.a", "more than one schema at a time"),
        ({"type": "object", "patternProperties": {}}, "$.a", "an object whose fields are not named"),
        ({"anyOf": [{"type": "integer"}, {"not": {"type": "string"}}]}, "$.a", "what something is not"),
    ],
)
def test_what_can_not_be_said_is_refused_with_its_place(given: dict[str, object], path: str, what: str) -> None:
    schema: dict[str, object] = {"type": "object", "properties": {"a": given}}
    with pytest.raises(ConfigurationError) as caught:
        strict_schema(schema, "T")
    assert message_of(caught.value).startswith(f"T has no strict JSON schema: at `{path}` it allows {what}")
    assert "hint: declare it more narrowly, or make the schema yourself with strict=False" in message_of(caught.value)
