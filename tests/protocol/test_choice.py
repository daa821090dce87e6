"""firsttoken._protocol.choice: one choice, field by field."""

import base64
from typing import Any

import msgspec
import pytest

from firsttoken._protocol.choice import ChoiceAccumulator
from firsttoken.types import (
    Audio,
    ChatCompletionMessage,
    Choice,
    ChoiceLogprobs,
    ChunkChoice,
    FunctionCall,
    TokenLogprob,
)
from tests.support.lenient_helpers import read_delta

EXTRA = "$firsttoken.extra"


def accumulate(*choices: dict[str, Any]) -> Choice:
    parts = ChoiceAccumulator(0)
    for choice in choices:
        parts.add(msgspec.convert(choice, ChunkChoice))
    parts.compact()
    return parts.snapshot()


def message(*deltas: dict[str, Any]) -> ChatCompletionMessage:
    return accumulate(*({"delta": delta} for delta in deltas)).message


@pytest.mark.parametrize("name", ["content", "refusal", "reasoning_content", "reasoning", "thinking"])
def test_text_grows(name: str) -> None:
    assert getattr(message({}, {name: None}), name) is None
    assert getattr(message({name: ""}, {}), name) == ""
    assert getattr(message({name: "a"}, {name: None}, {name: "b"}, {"role": "assistant"}), name) == "ab"


@pytest.mark.parametrize(
    ("deltas", "text"),
    [
        ([{"reasoning_content": "a", "reasoning": "a"}, {"reasoning_content": "b", "reasoning": "b"}], "ab"),
        ([{"reasoning": "a", "reasoning_details": [{"type": "reasoning.text", "text": "a"}]}], "a"),
        ([{"thinking": "a"}], "a"),
        ([{"content": "a"}], ""),
    ],
)
def test_reasoning_has_one_accessor_and_keeps_its_names(deltas: list[dict[str, Any]], text: str) -> None:
    made = message(*deltas)
    assert made.reasoning_text == text
    assert (made.reasoning is None) == ("reasoning" not in deltas[0])
    assert (made.reasoning_content is None) == ("reasoning_content" not in deltas[0])


def test_the_role_is_set_once() -> None:
    assert message({"role": None}, {"role": " "}, {"role": "tool"}, {"role": "assistant"}).role == "tool"
    assert message({"content": "x"}).role == "assistant"


def test_the_last_finish_reason_wins() -> None:
    reasons = [None, "tool_calls", "stop", "", None]
    assert accumulate(*({"finish_reason": reason} for reason in reasons)).finish_reason == "stop"


def test_lists_are_joined() -> None:
    made = message({"annotations": [1]}, {"annotations": None}, {"annotations": [2]}, {"reasoning_details": [{"a": 1}]})
    assert made.annotations == [1, 2]
    assert made.reasoning_details == [{"a": 1}]
    assert message({"refusal": "x"}).annotations is None


def test_logprobs_are_joined() -> None:
    token = {"token": "a", "logprob": -1.0}
    made = accumulate(
        {"logprobs": {"content": [token], EXTRA: {"x": 1}}},
        {"logprobs": None},
        {"logprobs": {"content": [token], "refusal": [token], EXTRA: {"x": 2}}},
    )
    one = TokenLogprob(token="a", logprob=-1.0)
    assert made.logprobs == ChoiceLogprobs(content=[one, one], refusal=[one], extra={"x": 2})


def test_a_legacy_function_call() -> None:
    deltas = [
        {"name": "f", "arguments": "{"},
        {"name": "other", "arguments": "}"},
        {"arguments": None, EXTRA: {"x": 1}},
    ]
    assert message(*({"function_call": call} for call in deltas)).function_call == FunctionCall(
        name="f", arguments="{}", extra={"x": 1}
    )


def heard(*pieces: str) -> str | None:
    audio = message(*({"audio": {"data": piece}} for piece in pieces)).audio
    assert audio is not None
    return audio.data


@pytest.mark.parametrize("sizes", [(1, 2, 3, 4), (4, 4), (1,), (2, 6, 1), (0, 1, 0, 1, 0)])
def test_audio_that_is_padded_piece_by_piece_is_padded_once(sizes: tuple[int, ...]) -> None:
    pieces = [bytes(range(number, number + size)) for number, size in enumerate(sizes)]
    whole = heard(*(base64.b64encode(piece).decode() for piece in pieces))
    assert whole is not None
    assert base64.b64decode(whole, validate=True) == b"".join(pieces)


def test_audio_that_is_cut_anywhere_is_joined_as_it_came() -> None:
    data = base64.b64encode(bytes(range(50))).decode()
    assert heard(*data) == data
    assert data[-1] == "="


@pytest.mark.parametrize("pieces", [("ab=c", "d"), ("a=", "b"), ("=", "=", "a"), ("YQ==", "no base64!")])
def test_audio_that_is_no_base64_is_joined_as_it_came(pieces: tuple[str, ...]) -> None:
    assert heard(*pieces) == "".join(pieces)


def test_audio() -> None:
    pieces: list[dict[str, Any]] = [
        {"id": "a", "data": "AA", "transcript": "He"},
        {"data": "BB", "transcript": "llo", EXTRA: {"x": 1}},
        {"expires_at": 5},
        {"expires_at": None, "id": ""},
    ]
    assert message(*({"audio": piece} for piece in pieces)).audio == Audio(
        id="a", data="AABB", transcript="Hello", expires_at=5, extra={"x": 1}
    )
    assert message({"audio": {}}).audio == Audio()


def test_tool_calls() -> None:
    made = message({"tool_calls": []}, {"tool_calls": [{"index": 0, "id": "a"}, {"index": 1, "id": "b"}]})
    assert made.tool_calls
    assert [call.id for call in made.tool_calls] == ["a", "b"]
    assert message({"tool_calls": []}).tool_calls is None


def test_unknown_fields_are_folded_and_the_last_value_wins() -> None:
    made = accumulate(
        {EXTRA: {"a": 1}, "delta": {EXTRA: {"b": 1}}}, {EXTRA: {"a": 2}, "delta": {EXTRA: {"b": 2, "c": 3}}}
    )
    assert made.extra == {"a": 2}
    assert made.message.extra == {"b": 2, "c": 3}


def test_what_was_given_does_not_change_later() -> None:
    parts = ChoiceAccumulator(0)
    token = {"token": "a"}
    step = msgspec.convert({"delta": {"annotations": [1]}, "logprobs": {"content": [token]}}, ChunkChoice)
    parts.add(step)
    before = parts.snapshot()
    parts.add(step)
    assert before.message.annotations == [1]
    assert before.logprobs == ChoiceLogprobs(content=[TokenLogprob(token="a")])
    assert parts.snapshot().message.annotations == [1, 1]
    assert step.delta.annotations == [1]


PART = {"type": "text", "text": "Hel"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}


@pytest.mark.parametrize(
    ("deltas", "parts"),
    [
        ([{"content": [PART]}, {"content": "lo"}], [{"type": "text", "text": "Hello"}]),
        ([{"content": "Oh, "}, {"content": [PART]}], [{"type": "text", "text": "Oh, "}, PART]),
        ([{"content": [PART, IMAGE]}, {"content": "lo"}], [PART, IMAGE, {"type": "text", "text": "lo"}]),
        (
            [{"content": [PART]}, {"content": "lo"}, {"content": [IMAGE]}, {"content": [PART]}],
            [IMAGE, {"type": "text", "text": "HelloHel"}],
        ),
    ],
)
def test_text_beside_content_parts_is_kept_in_them(deltas: list[dict[str, Any]], parts: list[object]) -> None:
    accumulator = ChoiceAccumulator(0)
    for delta in deltas:
        accumulator.add(ChunkChoice(index=0, delta=read_delta(**delta)))
    assert accumulator.snapshot().message.content_parts == parts


def test_a_complete_message_in_place_of_the_deltas_keeps_what_it_lacks() -> None:
    parts = ChoiceAccumulator(0)
    parts.add(ChunkChoice(delta=read_delta(refusal="No", annotations=[{"a": 1}], content="dra")))
    parts.add(ChunkChoice(finish_reason="stop", replacement=read_delta(content="draft", refusal="No.")))
    message = parts.snapshot().message
    assert (message.content, message.refusal, message.annotations) == ("draft", "No.", [{"a": 1}])
