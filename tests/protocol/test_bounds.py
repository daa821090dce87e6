"""Bounds on what one event makes: indexes, choices and calls, objects and arrays."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from firsttoken._json import MAX_CONTAINERS, has_too_many_values
from firsttoken._models.base import MAX_INDEX, MAX_ITEMS
from firsttoken._protocol.decode import decode_completion
from firsttoken.errors import ResponseFormatError
from firsttoken.sansio import Accumulator, StreamParser
from firsttoken.types import ChatCompletionChunk
from tests.support.core import drive, run
from tests.support.server import event


def failure_of(value: Any) -> str:
    return str(run(event(value)).failure)


@pytest.mark.parametrize("index", [MAX_INDEX + 1, 2**61 - 1, (2**61 - 1) * 3, -1, -(2**63), "4096", 10**17])
@pytest.mark.parametrize("own", [{}, {"own": 1}])
def test_an_index_of_a_choice_is_bounded(index: Any, own: dict[str, Any]) -> None:
    value = {"choices": [{"index": index, "delta": {"content": "x"}}], **own}
    assert failure_of(value).startswith("an index must be 0 to 4095, not ")
    with pytest.raises(ResponseFormatError):
        decode_completion(json.dumps(value).encode())


@pytest.mark.parametrize("index", [MAX_INDEX + 1, 2**61 - 1, -2, "99999"])
@pytest.mark.parametrize("own", [{}, {"own": 1}])
def test_an_index_of_a_tool_call_is_bounded(index: Any, own: dict[str, Any]) -> None:
    value = {"choices": [{"delta": {"tool_calls": [{"index": index, "id": "a"}]}}], **own}
    assert failure_of(value).startswith("an index must be -1 to 4095, not ")


@pytest.mark.parametrize("index", [0, MAX_INDEX])
def test_an_index_within_the_bounds(index: int) -> None:
    call = {"index": index, "function": {"name": "f"}}
    outcome = run(event({"choices": [{"index": index, "delta": {"tool_calls": [call]}}]}))
    assert [choice.index for choice in outcome.completion.choices] == [index]


def test_the_number_of_choices_and_calls_in_an_odd_event_is_bounded() -> None:
    many = [{"index": 0}] * (MAX_ITEMS + 1)
    for value in ({"choices": many, "own": 1}, {"choices": [{"delta": {"tool_calls": many}}], "own": 1}):
        assert failure_of(value).startswith(f"too many choices or tool calls ({MAX_ITEMS + 1} of {MAX_ITEMS}): ")


@pytest.mark.parametrize(
    ("item", "around"),
    [
        ("[]", '{"choices":[],"x":[%s]}'),
        ('{"a":1}', '{"choices":[],"x":[%s]}'),
        ('{"index":0}', '{"choices":[%s]}'),
        ("{}", '{"choices":[{"delta":{"reasoning_details":[%s]}}]}'),
        ("{}", '{"choices":[{"delta":{"content":[%s]}}]}'),
    ],
)
def test_the_number_of_objects_and_arrays_is_bounded(item: str, around: str) -> None:
    data = (around % ",".join([item] * (MAX_CONTAINERS + 1))).encode()
    for body in (b"data: " + data + b"\n\n", b"data:" + data + b"\n\n"):
        assert str(run(body).failure).startswith("too many objects and arrays (more than 500000): ")
    with pytest.raises(ResponseFormatError):
        decode_completion(data)


def test_brackets_in_a_text_are_no_objects() -> None:
    data = json.dumps({"choices": [{"delta": {"content": '{[\\"{[' * 200_000}}]}).encode()
    assert not has_too_many_values(data)
    assert len(run(b"data: " + data + b"\n\n").completion.text) == 1_200_000


@pytest.mark.parametrize("own", [{}, {"own": 1}, {"own": {}}])
def test_the_number_of_choices_and_calls_in_any_event_is_bounded(own: dict[str, Any]) -> None:
    def failure_after(count: int, part: str) -> str:
        calls = [{"id": f"c{number}", "function": {"name": "f"}} for number in range(count)]
        choices: list[Any] = [{"index": number % 4096, "delta": {}} for number in range(count)]
        value: dict[str, Any] = {
            "choices": choices if part == "choices" else [{"index": 0, "delta": {"tool_calls": calls}}]
        }
        learned_from = event({"choices": [{"index": 0, "delta": {}}]} | own) * 3
        return str(run([learned_from, event(value | own)]).failure)

    for part in ("choices", "calls"):
        assert "too many choices or tool calls (4097 of 4096)" in failure_after(4097, part)
        assert "too many" not in failure_after(4096, part)


def test_the_number_of_choices_and_calls_of_a_blocking_answer_is_bounded() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    many = [{"index": 0, "message": {"content": "x"}}] * (MAX_ITEMS + 1)
    for choices in (many, [{"index": 0, "message": {"tool_calls": [call] * (MAX_ITEMS + 1)}}]):
        with pytest.raises(ResponseFormatError, match="too many choices or tool calls"):
            decode_completion(json.dumps({"choices": choices}).encode())


NUMBERS = 10_000
COLLIDING = [(2**61 - 1) * (number % 4) for number in range(NUMBERS)]


def numbered_choices(numbers: Iterable[int], finish: str | None = None) -> list[bytes]:
    return [
        event({"choices": [{"index": number, "delta": {"content": "x"}, "finish_reason": finish}]})
        for number in numbers
    ]


def numbered_calls(numbers: Iterable[int], **fields: Any) -> list[bytes]:
    pieces = [{"index": number, "function": {"arguments": "x"}} | fields for number in numbers]
    return [event({"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]}) for piece in pieces]


FIRST_CALL = numbered_calls([0], id="a", type="function", function={"name": "f", "arguments": '["'})
NUMBERED = {
    "choices": [*numbered_choices(range(NUMBERS)), *numbered_choices([NUMBERS], "stop")],
    "choices, each with the finish reason": numbered_choices(range(NUMBERS + 1), "stop"),
    "choices, and the last number again": [
        *numbered_choices(range(NUMBERS + 1)),
        event({"choices": [{"index": NUMBERS, "delta": {}, "finish_reason": "stop"}]}),
        event({"choices": [{"index": NUMBERS, "delta": {}}], "usage": {"prompt_tokens": 1}}),
    ],
    "choices, and usage under one more number": [
        *numbered_choices(range(NUMBERS)),
        *numbered_choices([NUMBERS], "stop"),
        event({"choices": [{"index": NUMBERS + 1, "delta": {}}], "usage": {"prompt_tokens": 1}}),
    ],
    "pieces of a call": [*FIRST_CALL, *numbered_calls(range(1, NUMBERS)), *numbered_choices([0], "tool_calls")],
    "pieces of a call with its id": [
        *FIRST_CALL,
        *numbered_calls(range(1, NUMBERS), id="a"),
        *numbered_choices([0], "tool_calls"),
    ],
}


@pytest.mark.parametrize("name", NUMBERED)
def test_more_pieces_may_be_numbered_than_there_may_be_items(name: str) -> None:
    for pieces in (NUMBERED[name], [b"".join(NUMBERED[name])]):
        outcome = drive(StreamParser(expected_choices=1), pieces)
        assert (outcome.failure, outcome.complete) == (None, True)
        assert [choice.index for choice in outcome.completion.choices] == [0]
        calls = outcome.completion.choices[0].message.tool_calls or []
        assert [call.arguments for call in calls] == ['["' + "x" * (NUMBERS - 1)] * ("call" in name)
        assert outcome.completion.text == "x" * (1 if calls else NUMBERS + 1)


@pytest.mark.parametrize(
    ("expected_choices", "pieces", "low"),
    [
        (1, numbered_choices(COLLIDING), 0),
        (2, numbered_choices(range(NUMBERS)), 0),
        (None, numbered_choices(range(NUMBERS)), 0),
        (1, [*numbered_choices([0, 0]), *numbered_choices([0], "stop"), *numbered_choices([5000])], 0),
        (1, [event({"choices": [{"index": index} for index in COLLIDING[:4]]})], 0),
        (1, numbered_calls(COLLIDING, function={"name": "f"}), -1),
        (1, [*FIRST_CALL, *numbered_calls([5000], id="b", function={"name": "f"})], -1),
        (1, [*FIRST_CALL, *numbered_calls([5000], id="b")], -1),
    ],
)
def test_nothing_is_kept_under_a_number_out_of_bounds(
    expected_choices: int | None, pieces: list[bytes], low: int
) -> None:
    for parts in (pieces, [b"".join(pieces)]):
        failure = drive(StreamParser(expected_choices=expected_choices), parts).failure
        assert str(failure).startswith(f"an index must be {low} to 4095, not ")


def test_an_accumulator_keeps_nothing_under_a_number_out_of_bounds() -> None:
    accumulator = Accumulator()
    with pytest.raises(ResponseFormatError, match=r"^an index must be 0 to 4095, not 4096"):
        accumulator.add(ChatCompletionChunk.from_dict({"choices": [{"index": 4096, "delta": {"content": "x"}}]}))
    assert accumulator.completion.choices == []


def call_piece(**fields: Any) -> dict[str, Any]:
    return {"tool_calls": [fields]}


ARGUMENTS = {"name": "f", "arguments": '{"a"'}
GROWING: dict[str, list[dict[str, Any]]] = {
    "a call by its index": [
        call_piece(index=0, id="a", function={"name": "f"}),
        call_piece(index=0, function={"arguments": "{}"}),
    ],
    "a call that repeats its id and name": [call_piece(index=0, id="a", function=ARGUMENTS)],
    "a call that repeats its name": [call_piece(index=0, id="", function=ARGUMENTS)],
    "a call without index and id": [call_piece(function={"name": "f"}), call_piece(function={"arguments": "{}"})],
    "a call whose id comes late": [call_piece(index=0, function={"name": "f"}), call_piece(index=0, id="late")],
    "text in parts": [{"content": [{"type": "text", "text": "x"}]}],
    "thinking in parts": [{"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "x"}]}]}],
    "reasoning": [{"reasoning_details": [{"type": "reasoning.text", "text": "x", "index": 0, "id": "r"}]}],
    "thinking blocks": [{"thinking_blocks": [{"type": "thinking", "thinking": "x"}]}],
    "Portkey's blocks": [{"content_blocks": [{"index": 0, "delta": {"thinking": "x"}}]}],
    "a list of another kind": [{"images": [{"url": "u"}]}],
}


@pytest.mark.parametrize("name", GROWING)
def test_pieces_of_one_item_may_be_more_than_there_may_be_items(name: str) -> None:
    first, *rest = [event({"choices": [{"index": 0, "delta": delta}]}) for delta in GROWING[name]]
    finish = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    outcome = run([first, (rest or [first])[0] * (MAX_ITEMS + 1), finish])
    assert (outcome.failure, outcome.complete) == (None, True)


def test_an_error_is_given_its_partial_once() -> None:
    """Asking for more after the end costs nothing: the choices are not copied again."""
    core = StreamParser()
    core.receive_data(event({"choices": [{"index": 0, "delta": {"content": "x"}}]}) + event({"choices": 5}))
    assert core.next_chunk() is not None
    assert core.next_chunk() is None
    assert core.failure is not None
    partial = core.failure.partial
    assert partial is not None
    assert core.next_chunk() is None
    assert core.failure.partial is partial


@pytest.mark.parametrize("value", [5, [], {"type": "thinking"}])
def test_a_field_of_blocks_that_is_no_list_counts_nothing(value: Any) -> None:
    deltas = [{"thinking_blocks": value}] * (MAX_ITEMS + 1)
    chunks = [event({"choices": [{"index": 0, "delta": delta}]}) for delta in deltas]
    outcome = run([*chunks, event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}), event("[DONE]")])
    assert outcome.failure is None


@pytest.mark.parametrize(
    ("value", "is_too_many"), [([{"type": "thinking"}] * (MAX_ITEMS + 1), True), ({"a": 1}, False)]
)
def test_the_blocks_of_an_answer_that_is_not_streamed_are_bounded(value: object, is_too_many: bool) -> None:
    message = {"content": "Hi", "thinking_blocks": value}
    body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
    if is_too_many:
        with pytest.raises(ResponseFormatError, match="too many content parts"):
            decode_completion(body)
    else:
        assert decode_completion(body).choices[0].message.extra == {"thinking_blocks": value}
