"""pydantic's types: alone, within others, with validators of the user's own; and numbers that are complete."""

import datetime as dt
import json
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pydantic
import pytest
from pydantic.dataclasses import dataclass as pydantic_dataclass

from firsttoken.errors import ConfigurationError, ResponseFormatError
from firsttoken.types import ChatCompletion, ChatCompletionMessage, Choice, json_schema_format


def parsed(value: Any, into: Any) -> Any:
    message = ChatCompletionMessage(content=value if isinstance(value, str) else json.dumps(value))
    return ChatCompletion(choices=[Choice(message=message, finish_reason="stop")]).parse(into)


class Everything(pydantic.BaseModel):
    when: dt.date
    price: Decimal
    pair: tuple[int, str]
    tags: set[str]
    data: bytes
    id: uuid.UUID

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def look(cls, value: Any) -> Any:
        return value


class Wrapped(Everything):
    @pydantic.model_validator(mode="wrap")
    @classmethod
    def wrap(cls, value: Any, handler: Any) -> Any:
        return handler(value)


VALUE: dict[str, Any] = {
    "when": "2026-01-02",
    "price": "1.50",
    "pair": [1, "x"],
    "tags": ["a"],
    "data": "x",
    "id": "12345678-1234-5678-1234-567812345678",
}


@pytest.mark.parametrize("model", [Everything, Wrapped])
def test_behind_a_validator_of_the_users_own_the_right_answer_is_taken(model: type[Everything]) -> None:
    found = parsed(VALUE, model)
    assert (found.when, found.price, found.pair, found.tags, found.data) == (
        *(dt.date(2026, 1, 2), Decimal("1.50"), (1, "x"), {"a"}, b"x"),
    )


@pytest.mark.parametrize(
    ("field", "value", "place"),
    [("when", 5, "$.when"), ("pair", ["1", "x"], "$.pair"), ("tags", "a", "$.tags"), ("data", 5, "$.data")],
)
def test_and_the_wrong_one_is_still_refused(field: str, value: Any, place: str) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        parsed(VALUE | {field: value}, Everything)
    assert f"at `{place}`" in str(caught.value)


class Lax(pydantic.BaseModel):
    n: Annotated[int, pydantic.Field(strict=False)]
    m: int = 0


def test_a_field_that_the_user_declared_lax_is_lax() -> None:
    assert parsed({"n": "3"}, Lax) == Lax(n=3)
    with pytest.raises(ResponseFormatError, match=r"Input should be a valid integer.*at `\$\.m`"):
        parsed({"n": "3", "m": "4"}, Lax)


@pydantic_dataclass
class Sized:
    size: int = pydantic.Field(default=1, ge=1)


class Model(pydantic.BaseModel):
    x: int


class Holder(msgspec.Struct):
    model: Model
    models: list[Model]


class SizedHolder(msgspec.Struct):
    sized: list[Sized]


@dataclass
class PlainHolder:
    model: Model | None = None


def test_pydantics_dataclasses_are_validated_by_pydantic() -> None:
    assert parsed({}, Sized).size == 1
    with pytest.raises(ResponseFormatError, match=r"greater than or equal to 1 - at `\$\.size`"):
        parsed({"size": 0}, Sized)
    schema: Any = json_schema_format(Sized)["json_schema"]
    assert schema["schema"]["properties"]["size"]["minimum"] == 1


def test_structs_and_dataclasses_may_hold_models() -> None:
    value = {"model": {"x": 1}, "models": [{"x": 2}]}
    assert parsed(value, Holder) == Holder(Model(x=1), [Model(x=2)])
    assert parsed({"model": {"x": 1}}, PlainHolder) == PlainHolder(Model(x=1))
    schema: Any = json_schema_format(Holder, strict=False)["json_schema"]
    assert schema["schema"]["properties"]["model"]["properties"]["x"]["type"] == "integer"
    with pytest.raises(ResponseFormatError, match="can't be read as Holder"):
        parsed(value | {"model": {"x": "1"}}, Holder)


def test_a_dataclass_of_pydantics_in_a_struct_is_refused_with_a_hint() -> None:
    for use in (lambda: parsed({"sized": [{}]}, SizedHolder), lambda: json_schema_format(SizedHolder)):
        with pytest.raises(ConfigurationError) as caught:
            use()
        assert str(caught.value) == "SizedHolder holds Sized, a pydantic dataclass, but is not a pydantic type itself"
        assert caught.value.hint == "make Sized a pydantic.BaseModel, or make all of them pydantic types"


class Counted(msgspec.Struct):
    n: int
    x: float = 0.0
    items: list[int] = []


class CountedModel(pydantic.BaseModel):
    n: int


def test_a_complete_number_is_an_integer_however_it_is_written() -> None:
    """JSON Schema, "integer": any number with a zero fractional part."""
    assert parsed('{"n": 3.0, "x": 1, "items": [1e2]}', Counted) == Counted(3, 1.0, [100])
    assert parsed('{"n": 3.0}', CountedModel) == CountedModel(n=3)
    for model in (Counted, CountedModel):
        with pytest.raises(ResponseFormatError):
            parsed('{"n": 3.5}', model)


def test_models_in_models_do_not_multiply() -> None:
    kinds: list[Any] = [Model]
    for number in range(6):
        fields: dict[str, Any] = {
            f"f{place}": (kinds[-1], pydantic.Field(description=f"the {place}")) for place in range(4)
        }
        kinds.append(pydantic.create_model(f"M{number}", **fields))
    assert len(json.dumps(json_schema_format(kinds[-1]))) < 10_000


def test_look_around_is_left_out_of_the_strict_schema() -> None:
    strong = pydantic.create_model("Strong", word=(Annotated[str, pydantic.Field(pattern="^[a-z]+$")], ...))
    schema: Any = json_schema_format(strong)["json_schema"]
    assert schema["schema"]["properties"]["word"]["pattern"] == "^[a-z]+$"

    class Looking(msgspec.Struct):
        word: Annotated[str, msgspec.Meta(pattern=r"^(?=.*\d)\w+$")]

    schema = json_schema_format(Looking)["json_schema"]
    assert "pattern" not in schema["schema"]["properties"]["word"]
