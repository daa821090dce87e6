"""firsttoken._protocol.split_pairs: characters whose two halves come in two chunks."""

import json
from typing import Any

import pytest

from firsttoken.sansio import StreamParser
from firsttoken.types import ChoiceDelta
from tests.support.core import drive
from tests.support.server import DONE, chunk

HIGH, LOW, BOTH = "\ud83d", "\ude00", "\U0001f600"


def deltas_of(*choices: dict[str, Any]) -> list[ChoiceDelta]:
    """The deltas of a stream whose events are in ASCII, so that half a character is an escape."""
    events = [b"data: " + json.dumps(chunk(choices=[choice])).encode() + b"\n\n" for choice in choices]
    outcome = drive(StreamParser(), [*events, DONE])
    assert outcome.failure is None
    return [choice.delta for received in outcome.chunks for choice in received.choices]


def text(piece: str, finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": {"content": piece}, "finish_reason": finish}


def call(piece: str, finish: str | None = None, *, custom: bool = False) -> dict[str, Any]:
    part = {"custom": {"input": piece}} if custom else {"function": {"arguments": piece}}
    return {"index": 0, "delta": {"tool_calls": [{"index": 0, **part}]}, "finish_reason": finish}


@pytest.mark.parametrize("name", ["content", "refusal", "reasoning_content", "reasoning", "thinking"])
def test_the_halves_of_a_text_are_joined(name: str) -> None:
    pieces = deltas_of(*({"index": 0, "delta": {name: piece}} for piece in ("a" + HIGH, LOW + "b")), text("", "stop"))
    assert [getattr(delta, name) for delta in pieces[:2]] == ["a", BOTH + "b"]


@pytest.mark.parametrize("custom", [False, True])
def test_the_halves_of_a_call_are_joined(custom: bool) -> None:
    pieces = deltas_of(call("a" + HIGH, custom=custom), call(LOW, "tool_calls", custom=custom))
    calls = [calls[0] for delta in pieces if (calls := delta.tool_calls)]
    parts = [(part.custom and part.custom.input, part.function and part.function.arguments) for part in calls]
    expected = [("a", None), (BOTH, None)] if custom else [(None, "a"), (None, BOTH)]
    assert parts == expected


@pytest.mark.parametrize("custom", [False, True])
def test_a_half_of_a_call_that_no_other_follows_comes_with_the_finish_reason(custom: bool) -> None:
    pieces = deltas_of(call(HIGH, custom=custom), text("", "tool_calls"))
    (part,) = pieces[1].tool_calls or []
    assert (part.index, part.custom and part.custom.input, part.function and part.function.arguments) == (
        (0, HIGH, None) if custom else (0, None, HIGH)
    )


def test_a_half_of_a_text_that_no_other_follows_comes_with_the_finish_reason() -> None:
    assert [delta.content for delta in deltas_of(text("a" + HIGH), text("b" + HIGH, "stop"))] == [
        "a",
        HIGH + "b" + HIGH,
    ]


def test_choices_do_not_share_halves() -> None:
    choices = [{"index": index, "delta": {"content": piece}} for index, piece in ((0, HIGH), (1, "x"), (0, LOW))]
    empty: dict[str, Any] = {}
    ends = [{"index": index, "delta": empty, "finish_reason": "stop"} for index in (0, 1)]
    assert [delta.content for delta in deltas_of(*choices, *ends)][:3] == ["", "x", BOTH]


def test_a_message_that_replaces_the_deltas_has_no_halves_of_theirs() -> None:
    message = {"index": 0, "message": {"content": "a" + BOTH}, "finish_reason": "stop"}
    chunks = [chunk(choices=[choice]) for choice in (text("a" + HIGH), text(LOW), message)]
    chunks[-1]["object"] = "chat.completion"
    parser = StreamParser()
    outcome = drive(parser, [*(b"data: " + json.dumps(value).encode() + b"\n\n" for value in chunks), DONE])
    assert (outcome.failure, parser.completion.text) == (None, "a" + BOTH)
