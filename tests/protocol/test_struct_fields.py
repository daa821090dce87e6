"""firsttoken._protocol.struct_fields: what does not fit a struct is moved to its extra."""

from typing import Any

import msgspec
import pytest

from firsttoken._models.base import EXTRA_NAME, ResponseObject
from firsttoken._protocol.struct_fields import StructFields, move_mistyped_to_extra, move_unknown_to_extra, objects
from firsttoken.types import ChatCompletion, ChatCompletionChunk


class Inner(ResponseObject):
    word: str = ""


class Outer(ResponseObject):
    number: int = 0
    one: Inner | None = None
    many: list[Inner] = []  # noqa: RUF012 - msgspec gives each its own
    maybe: list[Inner] | None = None


SHAPE = StructFields.of(Outer)


def test_the_shape_of_a_struct() -> None:
    assert SHAPE.names == {"number", "one", "many", "maybe"}
    assert SHAPE.plain == {"number": (int, frozenset({int}))}
    assert set(SHAPE.nested) == {"one", "many", "maybe"}
    assert SHAPE.lists == {"many", "maybe"}
    assert SHAPE.nested["one"] == StructFields(frozenset({"word"}), {"word": (str, frozenset({str}))}, {}, frozenset())


@pytest.mark.parametrize("struct", [ChatCompletionChunk, ChatCompletion])
def test_fields_of_our_own_are_in_no_shape(struct: type[ResponseObject]) -> None:
    shapes = [StructFields.of(struct)]
    for shape in shapes:
        shapes += shape.nested.values()
        assert not any(name.startswith("$") for name in shape.names)


MISTYPED: list[tuple[Any, Any]] = [
    ({}, {}),
    ({"number": 1, "x": 2, "y": 3}, {"number": 1, EXTRA_NAME: {"x": 2, "y": 3}}),
    ({"one": {"x": 1}}, {"one": {EXTRA_NAME: {"x": 1}}}),
    ({"one": [{"x": 1}]}, {"one": [{"x": 1}]}),
    ({"many": [{"x": 1}, 5, {"word": "a"}]}, {"many": [{EXTRA_NAME: {"x": 1}}, 5, {"word": "a"}]}),
    ({"many": {"x": 1}}, {"many": {"x": 1}}),
    ({EXTRA_NAME: 1}, {EXTRA_NAME: {EXTRA_NAME: 1}}),
]


@pytest.mark.parametrize(
    ("node", "unknown"),
    MISTYPED,
)
def test_unknown_fields_move_to_extra(node: Any, unknown: Any) -> None:
    move_unknown_to_extra(node, SHAPE)
    assert node == unknown


@pytest.mark.parametrize(
    ("node", "unknown"),
    [
        ({"number": 5, "one": {"word": "a"}, "many": []}, {"number": 5, "one": {"word": "a"}, "many": []}),
        ({"number": "x"}, {EXTRA_NAME: {"number": "x"}}),
        ({"number": None, "one": None, "many": None}, {}),
        ({"number": "x", EXTRA_NAME: {"y": 1}}, {EXTRA_NAME: {"y": 1, "number": "x"}}),
        ({"one": 5}, {EXTRA_NAME: {"one": 5}}),
        ({"one": []}, {EXTRA_NAME: {"one": []}}),
        ({"one": [{"word": "a"}]}, {EXTRA_NAME: {"one": [{"word": "a"}]}}),
        ({"one": {"word": 5}}, {"one": {EXTRA_NAME: {"word": 5}}}),
        ({"many": {"word": "a"}}, {EXTRA_NAME: {"many": {"word": "a"}}}),
        ({"many": [1, 2]}, {EXTRA_NAME: {"many": [1, 2]}}),
        ({"maybe": [1, {"word": 5}]}, {"maybe": [{EXTRA_NAME: {"word": 5}}]}),
        ({"one": {"word": "\ud800"}}, {"one": {"word": "\ud800"}}),
    ],
)
def test_mistyped_fields_move_to_extra(node: Any, unknown: Any) -> None:
    move_mistyped_to_extra(node, SHAPE)
    assert node == unknown
    msgspec.convert(node, Outer)


def test_objects() -> None:
    mixed: list[object] = [{"a": 1}, None, 5, [], {}]
    assert objects(mixed) == [{"a": 1}, {}]
    assert objects({"a": 1}) == objects(None) == []
