"""Bounds on what one event makes: indexes, choices and calls, objects and arrays."""

import json
from typing import Any

import pytest

from firsttoken._json import MAX_CONTAINERS, has_too_many_values
from firsttoken._models.base import MAX_INDEX, MAX_ITEMS
from firsttoken._protocol.decode import ChunkDecoder, decode_completion
from firsttoken._protocol.sse import ServerSentEvent
from firsttoken.errors import ResponseFormatError
from tests.support.core import run
from tests.support.server import event


def failure_of(value: Any) -> str:
    decoded = ChunkDecoder().decode_events([ServerSentEvent("message", json.dumps(value).encode())])
    return str(decoded.failure)


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
