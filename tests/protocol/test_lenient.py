"""firsttoken._protocol.lenient: everything unknown is kept, and nothing breaks that has a shape left."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from firsttoken._json import MAX_NESTING, objects
from firsttoken._models.base import EXTRA_NAME, ResponseObject
from firsttoken._protocol.decode import decode_completion
from firsttoken._protocol.lenient import StructFields, move_mistyped_to_extra, move_unknown_to_extra
from firsttoken.errors import ResponseFormatError
from firsttoken.types import ChatCompletion, ChatCompletionChunk, ChatCompletionMessage, Choice, ChoiceLogprobs
from tests.support.core import run
from tests.support.lenient_helpers import read, read_delta
from tests.support.server import DONE, chunk, event


def test_a_chunk_of_the_schema_is_read_as_the_typed_path_reads_it() -> None:
    value = chunk("Hello", usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}, obfuscation="ab")
    assert read(value) == msgspec.json.decode(json.dumps(value), type=ChatCompletionChunk)


# Nothing is lost


def test_unknown_fields_are_kept_on_every_level() -> None:
    call = {"index": 0, "x": 4, "function": {"name": "f", "arguments": "", "x": 5}}
    token = {"token": "a", "logprob": -1, "x": 7, "top_logprobs": [{"token": "b", "logprob": -2, "x": 8}]}
    choice = {
        "x": 2,
        "delta": {"x": 3, "tool_calls": [call], "audio": {"x": 6}},
        "logprobs": {"content": [token], "x": 9},
    }
    made = read({"x": 1, "choices": [choice], "usage": {"x": 10, "prompt_tokens_details": {"x": 11}}})
    delta, logprobs, usage = made.choices[0].delta, made.choices[0].logprobs, made.usage
    assert delta.tool_calls
    assert delta.tool_calls[0].function
    assert delta.audio
    assert logprobs
    assert logprobs.content
    assert usage
    assert usage.prompt_tokens_details
    holders = [
        *(made, made.choices[0], delta, delta.tool_calls[0], delta.tool_calls[0].function, delta.audio),
        *(logprobs.content[0], logprobs.content[0].top_logprobs[0], logprobs, usage, usage.prompt_tokens_details),
    ]
    assert [holder.extra for holder in holders] == [{"x": number} for number in range(1, 12)]


def test_fields_that_are_named_as_ours_are_kept() -> None:
    ours = {"raw": 1, "extra": {"a": 2}, "$firsttoken.extra": {"b": 3}, "$firsttoken.raw": "eA=="}
    made = run(event({**ours, "choices": [{"index": 0, "delta": {"raw": 4, "extra": 5}}]})).chunks[0]
    assert made.extra == ours
    assert made.choices[0].delta.extra == {"raw": 4, "extra": 5}
    assert made.raw.startswith(b'{"raw":1,')


def test_the_order_of_unknown_fields_is_kept() -> None:
    names = [f"field{number}" for number in range(30)]
    assert list(read(dict.fromkeys(names, 0)).extra) == names


@pytest.mark.parametrize(
    ("where", "field", "value"),
    [
        ("chunk", "id", {"a": 1}),
        ("chunk", "object", "something.else"),
        ("chunk", "object", "\ud800"),
        ("chunk", "created", "yesterday"),
        ("chunk", "created", {"a": [1]}),
        ("chunk", "model", ["m"]),
        ("chunk", "usage", "12"),
        ("chunk", "usage", []),
        ("chunk", "usage", [{"a": 1}]),
        ("chunk", "service_tier", 1),
        ("choice", "index", "first"),
        ("choice", "index", 1.5),
        ("choice", "finish_reason", 3),
        ("choice", "finish_reason", {"type": "stop"}),
        ("choice", "logprobs", -1.5),
        ("choice", "logprobs", [1]),
        ("delta", "role", 1),
        ("delta", "content", 5),
        ("delta", "refusal", False),
        ("delta", "reasoning_content", ["x"]),
        ("delta", "reasoning_details", "x"),
        ("delta", "tool_calls", "none"),
        ("delta", "tool_calls", [1, "x"]),
        ("delta", "function_call", "auto"),
        ("delta", "audio", "base64"),
        ("delta", "audio", []),
        ("delta", "annotations", {"a": 1}),
    ],
)
def test_a_field_of_a_type_that_nobody_knows_is_moved_to_extra(where: str, field: str, value: Any) -> None:
    node = chunk("ok" if field != "content" else None)
    holder = {"chunk": node, "choice": node["choices"][0], "delta": node["choices"][0]["delta"]}[where]
    holder[field] = value
    made = read(node)
    found = {"chunk": made, "choice": made.choices[0], "delta": made.choices[0].delta}[where]
    assert found.extra == {field: value}
    assert made.text == ("" if field == "content" else "ok")


@pytest.mark.parametrize(
    "field", ["id", "object", "created", "model", "choices", "usage", "service_tier", "obfuscation"]
)
def test_null_is_as_good_as_absent_in_a_chunk(field: str) -> None:
    made = read({**chunk("ok"), field: None})
    absent = chunk("ok")
    absent.pop(field, None)
    assert made == read(absent)
    assert made.extra == {}


@pytest.mark.parametrize("field", ["index", "delta", "finish_reason", "logprobs"])
def test_null_is_as_good_as_absent_in_a_choice(field: str) -> None:
    assert read({"choices": [{field: None}]}) == read({"choices": [{}]})


@pytest.mark.parametrize("field", ["index", "id", "type", "function", "custom"])
def test_null_is_as_good_as_absent_in_a_tool_call(field: str) -> None:
    delta = read_delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f"}, field: None}])
    assert delta.tool_calls
    assert getattr(delta.tool_calls[0], field) is None
    assert delta.tool_calls[0].extra == {}


def test_items_that_are_no_objects_do_not_hide_the_others() -> None:
    delta = read_delta(tool_calls=[None, {"index": 0, "id": "a"}, "x"])
    assert delta.tool_calls
    assert [call.id for call in delta.tool_calls] == ["a"]


def test_an_empty_list_stays_one() -> None:
    made = read({"created": "x", "choices": [{"delta": {"tool_calls": []}, "logprobs": {"content": []}}]})
    assert made.choices[0].delta.tool_calls == []
    assert made.choices[0].logprobs
    assert made.choices[0].logprobs.content == []


def test_a_list_of_tokens_that_is_an_object_is_moved_to_extra() -> None:
    made = read({"choices": [{"logprobs": {"content": {"tokens": ["a"]}, "refusal": None}}]})
    assert made.choices[0].logprobs
    assert made.choices[0].logprobs.extra == {"content": {"tokens": ["a"]}}


# Where no shape is left


def test_delta_goes_before_message_and_the_message_is_kept() -> None:
    made = read({"choices": [{"delta": {"content": "a"}, "message": {"content": "abc"}}]})
    assert made.text == "a"
    assert made.choices[0].extra == {"message": {"content": "abc"}}


def test_a_complete_answer_with_deviations() -> None:
    body = {"created": 1.5, "choices": [{"index": "0", "message": {"content": [{"type": "text", "text": "Hi"}]}}]}
    assert decode_completion(json.dumps(body).encode()) == ChatCompletion(
        created=1,
        choices=[
            Choice(message=ChatCompletionMessage(content="Hi", content_parts=[{"type": "text", "text": "Hi"}])),
        ],
    )


def test_lone_surrogates_and_nan_pass() -> None:
    body = b'data: {"choices":[{"delta":{"content":"\\ud83d"}}],"x":NaN}\n\n'
    outcome = run(body + body.replace(b"d83d", b"de00") + DONE)
    assert outcome.completion.text == "\N{GRINNING FACE}"
    assert str(outcome.completion.extra["x"]) == "nan"


def test_a_single_tool_call_with_a_field_of_its_own() -> None:
    """What one deviation puts into shape is looked through for unknown fields as well."""
    call = {"id": "a", "score": 1, "function": {"name": "f", "hint": 2}}
    made = read({"choices": [{"index": 0, "delta": {"tool_calls": call}, "own": 3}]})
    assert made.choices[0].extra == {"own": 3}
    calls = made.choices[0].delta.tool_calls
    assert calls is not None
    assert (calls[0].id, calls[0].extra) == ("a", {"score": 1})
    assert calls[0].function is not None
    assert (calls[0].function.name, calls[0].function.extra) == ("f", {"hint": 2})


def test_a_servers_field_of_our_wire_name_is_kept() -> None:
    made = read({"choices": [], "created": "now", "$firsttoken.extra": {"a": 1}})
    assert made.extra == {"created": "now", "$firsttoken.extra": {"a": 1}}


def test_text_goes_for_a_delta_where_there_is_neither_delta_nor_message() -> None:
    made = read({"choices": [{"text": "a"}, {"index": 1, "text": "b", "delta": {}}, {"index": 2, "text": 5}]})
    assert [choice.delta.content for choice in made.choices] == ["a", None, None]
    assert [choice.extra for choice in made.choices] == [{}, {"text": "b"}, {"text": 5}]


# How deep JSON may be, whichever path it takes


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


LESSONS: list[list[bytes]] = [[], [event(chunk("x", own=1))] * 3, [event(chunk("x", own=[1]))] * 3]
PLACES: dict[str, tuple[int, Callable[[Any], dict[str, Any]]]] = {
    "reasoning_details": (5, lambda value: {"choices": [{"delta": {"reasoning_details": [value]}}]}),
    "annotations": (5, lambda value: {"choices": [{"delta": {"annotations": [value]}}]}),
    "moderation": (2, lambda value: {"moderation": {"x": value}, "choices": [{"delta": {}}]}),
    "metadata": (2, lambda value: {"metadata": {"x": value}, "choices": [{"delta": {}}]}),
    "a field of the server's": (1, lambda value: {"x": value, "choices": [{"delta": {}}]}),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("learned", LESSONS, ids=["typed", "learned", "learned nested"])
def test_json_may_be_as_deep_in_any_field_on_any_path(learned: list[bytes], place: str) -> None:
    around, make = PLACES[place]
    for depth in (1, 3, 4, 5, MAX_NESTING - around):
        outcome = run([*learned, event(make(nested(depth))), event(chunk("", "stop"))])
        assert outcome.failure is None
        found = outcome.chunks[len(learned)]
        holders = [found, found.choices[0].delta]
        values = [getattr(holder, place, None) or holder.extra.get("x") for holder in holders]
        wrapped: dict[int, Any] = {5: [nested(depth)], 2: {"x": nested(depth)}, 1: nested(depth)}
        assert wrapped[around] in values
        assert found.to_dict() == make(nested(depth)) == type(found).from_dict(found.to_dict()).to_dict()
    outcome = run([*learned, event(make(nested(MAX_NESTING - around + 1)))])
    assert str(outcome.failure).startswith("the server sent JSON that is nested too deeply: ")


@pytest.mark.parametrize("depth", [1, 4, 5, 90, MAX_NESTING - 5])
def test_a_deep_value_of_a_complete_answer_stays_in_its_field(depth: int) -> None:
    details = [nested(depth)]
    body: dict[str, Any] = {"choices": [{"message": {"reasoning_details": details}}], "metadata": {"x": nested(depth)}}
    made = decode_completion(json.dumps(body).encode())
    assert (made.choices[0].message.reasoning_details, made.metadata) == (details, {"x": nested(depth)})
    for part in (made, made.choices[0], made.choices[0].message):
        assert type(part).from_dict(part.to_dict()) == part
    with pytest.raises(ResponseFormatError, match="nested too deeply"):
        decode_completion(json.dumps({"choices": [{"message": {"annotations": nested(MAX_NESTING)}}]}).encode())


def test_the_names_of_fields_that_hold_any_json_are_unknown_elsewhere() -> None:
    value = {"annotations": [1], "choices": [{"delta": {"metadata": {"a": 1}}}], "reasoning_details": [2]}
    made = read(value)
    assert made.extra == {"annotations": [1], "reasoning_details": [2]}
    assert made.choices[0].delta.extra == {"metadata": {"a": 1}}


def test_content_in_parts_is_read_in_a_choice_by_itself() -> None:
    parts = [{"type": "text", "text": "Hi"}]
    made = Choice.from_dict({"index": 0, "message": {"role": "assistant", "content": parts}})
    assert (made.message.content, made.message.content_parts) == ("Hi", parts)
    assert Choice.from_dict(made.to_dict()) == made


def test_of_a_usage_in_a_choice_and_one_beside_the_choices_the_latter_counts() -> None:
    made = read({"choices": [{"delta": {}, "usage": {"total_tokens": 5}}], "usage": {"total_tokens": 7}})
    assert made.usage
    assert made.usage.total_tokens == 7


def test_a_part_that_does_not_fit_is_kept_beside_those_that_do() -> None:
    made = ChoiceLogprobs.from_dict({"content": [{"token": "a", "logprob": "low"}]})
    assert made.content
    assert made.content[0].token == "a"
    assert made.content[0].extra == {"logprob": "low"}


def test_counts_in_the_details_of_a_usage_may_be_floats_or_text() -> None:
    counts = {"prompt_tokens": 5.0, "prompt_tokens_details": {"cached_tokens": "2"}, "own_details": 1}
    usage = read({"usage": counts}).usage
    assert usage
    assert usage.prompt_tokens_details
    assert (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens) == (5, 2)


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
