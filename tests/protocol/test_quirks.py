"""firsttoken._protocol.quirks: what the rows that normalize something do; `tests/quirks` has an example of each row."""

from typing import Any

import pytest

from firsttoken.types import ChunkChoice
from tests.support.core import run
from tests.support.lenient_helpers import read, read_delta
from tests.support.server import chunk, event


@pytest.mark.parametrize(("created", "read_as"), [(12.0, 12), (12.7, 12), (-1.5, -1), ("17", 17), ("007", 7)])
def test_created_as_a_float_or_in_digits(created: object, read_as: int) -> None:
    made = read({"created": created})
    assert made.created == read_as
    assert made.extra == {}


@pytest.mark.parametrize("created", [1e300, float("inf")])
def test_created_beyond_any_clock(created: float) -> None:
    assert read({"created": created}).extra == {"created": created}


@pytest.mark.parametrize(("index", "read_as"), [("1", 1), ("007", 7)])
def test_a_choice_numbered_in_text(index: str, read_as: int) -> None:
    assert read({"choices": [{"index": index}]}).choices[0] == ChunkChoice(index=read_as)


@pytest.mark.parametrize("index", ["", "-1", "x", "²", "9" * 30])
def test_a_choice_numbered_in_other_words_is_the_first(index: str) -> None:
    assert read({"choices": [{"index": index}]}).choices[0] == ChunkChoice(extra={"index": index})


PARTS: list[tuple[list[Any], str | None, str | None]] = [
    ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab", None),
    ([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}], None, "hm"),
    ([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}], "a", "hm"),
    (["a", {"text": "b"}], "ab", None),
    ([], None, None),
    ([{"type": "image_url", "image_url": {}}, None, 5, {"type": "text"}], None, None),
    ([{"type": "thinking", "thinking": [{"type": "reference"}, 5]}], None, None),
]


@pytest.mark.parametrize(
    ("parts", "content", "thinking"),
    PARTS,
)
def test_content_as_a_list_of_parts(parts: list[Any], content: str | None, thinking: str | None) -> None:
    delta = read_delta(content=parts)
    assert (delta.content, delta.thinking, delta.content_parts) == (content, None, parts or None)
    assert delta.reasoning_text == (thinking or "")


def test_content_may_turn_from_parts_into_text() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "He"}]
    body = event({"choices": [{"delta": {"content": parts}}]}) + event(chunk("llo", finish="stop"))
    message = run(body).completion.choices[0].message
    assert (message.content, message.reasoning_text) == ("Hello", "hm")
    assert message.to_dict()["content"] == [parts[0], {"type": "text", "text": "Hello"}]


@pytest.mark.parametrize(
    ("arguments", "written"), [({"a": "é"}, '{"a": "é"}'), ([1], "[1]"), (5, "5"), (None, None), ("{", "{")]
)
def test_arguments_as_an_object(arguments: Any, written: str | None) -> None:
    delta = read_delta(role=1, tool_calls=[{"index": 0, "function": {"arguments": arguments}}, {"function": 1}])
    assert delta.tool_calls
    assert delta.tool_calls[0].function
    assert delta.tool_calls[0].function.arguments == written
    assert delta.tool_calls[1].extra == {"function": 1}


def test_null_counts_until_the_last_chunk() -> None:
    usage = read({"usage": {"prompt_tokens": 5, "completion_tokens": None, "total_tokens": None}}).usage
    assert usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (5, 0, 0)
    assert usage.extra == {}


@pytest.mark.parametrize(("given", "read_as"), [(7, "7"), (0, "0"), (10**20, str(10**20))])
def test_ids_as_numbers(given: int, read_as: str) -> None:
    made = read({"id": given, "choices": [{"delta": {"tool_calls": [{"index": 0, "id": given}]}}]})
    assert made.id == read_as
    assert made.choices[0].delta.tool_calls
    assert made.choices[0].delta.tool_calls[0].id == read_as


def test_true_is_no_id() -> None:
    assert read({"id": True}).extra == {"id": True}


def test_a_call_numbered_in_text() -> None:
    delta = read_delta(tool_calls=[{"index": "1", "id": "a"}, {"index": "x", "id": "b"}])
    assert delta.tool_calls
    assert [call.index for call in delta.tool_calls] == [1, None]
    assert delta.tool_calls[1].extra == {"index": "x"}
