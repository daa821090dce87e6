"""What is learned of a server's own fields, and that a chunk decoded with it is the one that it should be."""

import json
from typing import Any

import msgspec
import pytest

from firsttoken._protocol.learned_fields import MAX_LEARNED, LearnedFields, build_decoder
from firsttoken.types import ChatCompletionChunk, ChoiceDelta, ChunkChoice, CompletionUsage
from tests.support.server import chunk

FILTERED = {"hate": {"filtered": False}}


def learned(*values: dict[str, Any]) -> LearnedFields:
    fields = LearnedFields()
    for value in values:
        fields = fields.merged_with(value)
    return fields


def with_delta(delta: Any, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, **fields}]}


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        (chunk("Hello"), LearnedFields()),
        ({"provider": "x", "p": 1}, LearnedFields(chunk=("provider", "p"))),
        (with_delta({}, stop_reason=None), LearnedFields(choice=("stop_reason",))),
        (with_delta({"channel": "analysis"}), LearnedFields(delta=("channel",))),
        ({"usage": {"cost": 0.5}}, LearnedFields(usage=("cost",))),
        ({"x_groq": {}}, LearnedFields(chunk=("x_groq",), nested=True)),
        (with_delta({"content": [{"text": "a"}]}), LearnedFields(delta=("content",), nested=True)),
        ({"usage": {"completion_tokens": None}}, LearnedFields(usage=("completion_tokens",))),
        (with_delta({"content": 5}), LearnedFields()),
        ({"created": "x", "choices": 5, "usage": 7}, LearnedFields()),
        ({"$firsttoken.raw": 1, 'a"b': 2, "": 3, "ü": 4, "a b": 5, "x" * 65: 6}, LearnedFields()),
    ],
)
def test_what_a_chunk_teaches(value: dict[str, Any], fields: LearnedFields) -> None:
    assert learned(value) == fields


def test_names_are_added_in_the_order_in_which_they_come() -> None:
    assert learned({"b": 1, "a": 1}, {"c": [], "a": 1}, {"d": 1}) == LearnedFields(
        chunk=("b", "a", "c", "d"), nested=True
    )


def test_a_server_that_makes_names_up_is_not_followed() -> None:
    first = learned({"a": 1})
    assert first.merged_with({f"name{number}": 1 for number in range(MAX_LEARNED)}) is first
    assert len(first.merged_with({f"name{number}": 1 for number in range(MAX_LEARNED - 1)}).chunk) == MAX_LEARNED


def decoded(value: dict[str, Any], *lessons: dict[str, Any]) -> ChatCompletionChunk:
    return build_decoder(learned(value, *lessons))(json.dumps(value).encode())


def test_a_chunk_is_put_together_as_its_public_types() -> None:
    counts = {"prompt_tokens": 3, "completion_tokens": None, "total_tokens": None, "cost": 1}
    value = with_delta({"content": "a", "channel": "c"}, stop_reason=None) | {"p": FILTERED, "usage": counts}
    made = decoded(value)
    assert made == ChatCompletionChunk(
        choices=[ChunkChoice(delta=ChoiceDelta(content="a", extra={"channel": "c"}), extra={"stop_reason": None})],
        usage=CompletionUsage(prompt_tokens=3, extra={"cost": 1}),
        extra={"p": FILTERED},
    )
    parts = [made, *made.choices, made.choices[0].delta, made.usage]
    assert [type(part) for part in parts] == [ChatCompletionChunk, ChunkChoice, ChoiceDelta, CompletionUsage]


def test_content_as_a_list_of_parts_is_text_and_thinking() -> None:
    parts: list[object] = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
        {"type": "text", "text": "Hi"},
    ]
    assert decoded(with_delta({"content": parts})).choices[0].delta == ChoiceDelta(content="Hi", content_parts=parts)
    assert decoded(with_delta({"content": [], "thinking": "Hm"})).choices[0].delta == ChoiceDelta(thinking="Hm")


LESSONS: list[dict[str, Any]] = [
    {"own": 1},
    with_delta({}, own=1),
    with_delta({"own": 1}),
    with_delta({"content": []}),
    {"usage": {"own": 1}},
]


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_chunk_without_the_fields_is_the_chunk_that_it_was(lesson: dict[str, Any]) -> None:
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    delta = {"role": "assistant", "content": "a", "refusal": "b", "reasoning": "c", "tool_calls": [call]}
    logprobs = {"content": [{"token": "a", "logprob": -1}]}
    value = chunk(usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}, service_tier="x")
    value["choices"] = [{"index": 1, "delta": delta, "finish_reason": "stop", "logprobs": logprobs}]
    made = decoded(value, lesson)
    assert made == msgspec.json.decode(json.dumps(value), type=ChatCompletionChunk)
    holders = (made, made.choices[0], made.choices[0].delta, made.usage)
    assert [holder.extra for holder in holders if holder] == [{}] * 4


def test_every_field_of_the_public_types_comes_through() -> None:
    """Also one that the types get some day."""
    texts = ("reasoning_content", "reasoning", "thinking", "role", "content", "refusal")
    delta: dict[str, Any] = {name: name for name in texts}
    delta |= {"tool_calls": [], "reasoning_details": [], "annotations": [], "function_call": {}, "audio": {}}
    assert {*delta, "extra", "content_parts"} == set(ChoiceDelta.__struct_fields__)
    value = with_delta(delta)
    made = decoded(value, {"own": 1}, with_delta({"own": 1}, own=1))
    assert made == msgspec.json.decode(json.dumps(value), type=ChatCompletionChunk)


REFUSED: list[dict[str, Any]] = [
    {"p": "a", "new": 1},
    {"p": ["now a list"]},
    {"p": "a", "error": {"message": "no"}},
    {"p": "a", "object": "error"},
    {"p": "a", "choices": [{"delta": {}, "finish_reason": "error"}]},
    {"p": "a", "choices": [{"delta": {}, "text": "a"}]},
    {"p": "a", "created": 1.5},
]


@pytest.mark.parametrize("refused", REFUSED)
def test_what_was_not_learned_is_refused(refused: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\$|unknown|Expected|Invalid"):
        build_decoder(learned({"p": "a"}))(json.dumps(refused).encode())


def test_an_error_is_never_taken_for_a_field_of_the_servers_own() -> None:
    decode = build_decoder(learned({"error": None}, with_delta({}, error=None)))
    assert decode(b'{"error":null,"choices":[{"delta":{},"error":null}]}').extra == {"error": None}
    for event in (b'{"error":"no"}', b'{"choices":[{"delta":{},"error":{"message":"no"}}]}'):
        with pytest.raises(ValueError, match="Expected `null`"):
            decode(event)


@pytest.mark.parametrize("choice", [{"message": {"content": "a"}}, {"text": "a"}])
def test_a_choice_without_a_delta_is_refused(choice: dict[str, Any]) -> None:
    """Its content is in a field that was learned as one of the server's own."""
    decode = build_decoder(learned(with_delta({}, **choice)))
    with pytest.raises(ValueError, match="missing required field `delta`"):
        decode(json.dumps({"choices": [choice]}).encode())


def test_nesting_that_may_be_too_deep_is_refused() -> None:
    decode = build_decoder(learned({"x": []}))
    assert decode(b'{"x":' + b"[" * 99 + b"]" * 99 + b"}").extra["x"]
    with pytest.raises(ValueError, match="it may be nested too deeply"):
        decode(b'{"x":' + b"[" * 100 + b"]" * 100 + b"}")


def test_a_decoder_is_made_once() -> None:
    assert build_decoder(learned({"a": 1})) is build_decoder(learned({"a": 2}))
