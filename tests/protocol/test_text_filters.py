"""firsttoken._protocol.text_filters: halves of characters, and reasoning between tags."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from firsttoken._protocol.decode import decode_completion
from firsttoken._protocol.text_filters import SurrogateJoiner, split_completion
from firsttoken.sansio import StreamParser
from firsttoken.types import ChoiceDelta
from tests.support.core import Outcome, drive, every_split
from tests.support.server import DONE, chunk, completion, event


def test_halves_of_a_surrogate_pair_are_joined_across_pieces() -> None:
    joiner = SurrogateJoiner()
    assert [joiner.feed(piece) for piece in ("a\ud83d", "", "\ude00b", "\ud83d", "\ud83d", "c")] == [
        *("a", "", "\U0001f600b", "", "\ud83d", "\ud83dc")
    ]
    assert not joiner.is_holding
    assert joiner.feed("\ud83d") == ""
    assert joiner.is_holding
    assert (joiner.flush(), joiner.flush()) == ("\ud83d", "")


@pytest.mark.parametrize("piece", ["", "x", "é", "\u00e9\U0001f600"])
def test_text_without_halves_is_passed_on(piece: str) -> None:
    joiner = SurrogateJoiner()
    assert (joiner.feed(piece), joiner.is_holding) == (piece, False)


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


TAGS = ("<think>", "</think>")
TEXTS = [
    ("<think>Hm.</think>Hi", "Hi", "Hm."),
    ("\n<think>\nHm.\n</think>\n\nHi", "\n\n\nHi", "\nHm.\n"),
    ("Hi", "Hi", None),
    ("<think></think>Hi", "Hi", None),
    ("<think>Hm.</think>", None, "Hm."),
    ("<think>Hm.", None, "Hm."),
    ("<think>Hm.</thi", None, "Hm.</thi"),
    ("a<think>b</think>c<think>d</think>e", "ace", "bd"),
    ("1 < 2, <thin ice, <<think>x<</think>>", "1 < 2, <thin ice, <>", "x<"),
    ("Hm.</think>Hi", "Hm.</think>Hi", None),
    ("<think>a<think>b</think>c", "c", "a<think>b"),
    ("So <thi", "So <thi", None),
    ("<", "<", None),
    ("<Think>Hm.</Think>", "<Think>Hm.</Think>", None),
]


def outcome(pieces: Iterable[str], *rest: Any, tags: tuple[str, str] | None = TAGS) -> Outcome:
    events = [event(chunk(piece)) for piece in pieces]
    return drive(StreamParser(reasoning_tags=tags), [*events, *map(event, rest or [chunk(finish="stop"), "[DONE]"])])


@pytest.mark.parametrize(("text", "content", "reasoning"), TEXTS)
def test_the_text_between_the_tags_is_reasoning_wherever_it_is_cut(
    text: str, content: str | None, reasoning: str | None
) -> None:
    for pieces in every_split(text.encode()):
        made = outcome(piece.decode() for piece in pieces)
        message = made.completion.choices[0].message
        assert (message.content, message.reasoning_content) == (content, reasoning)
        assert made.complete
        assert "".join(chunk.text for chunk in made.chunks) == (content or "")
        assert "".join(chunk.choices[0].delta.reasoning_text for chunk in made.chunks) == (reasoning or "")


def test_without_tags_the_content_is_left_alone() -> None:
    assert outcome(["<think>Hm.</think>Hi"], tags=None).completion.text == "<think>Hm.</think>Hi"


def test_other_tags() -> None:
    made = outcome(["[THI", "NK]Hm.[/TH", "INK]Hi"], tags=("[THINK]", "[/THINK]")).completion
    assert (made.message.content, made.message.reasoning_content) == ("Hi", "Hm.")


def test_each_choice_has_tags_of_its_own() -> None:
    pieces = [[(0, "<think>a"), (1, "<thi")], [(1, "nk>b"), (0, "</think>x")], [(1, "</think>y")]]
    chunks = [
        chunk(choices=[{"index": index, "delta": {"content": text}} for index, text in piece]) for piece in pieces
    ]
    ends = chunk(choices=[{"index": index, "delta": {}, "finish_reason": "stop"} for index in (0, 1)])
    made = outcome([], *chunks, ends, "[DONE]").completion
    assert [(choice.message.reasoning_content, choice.message.content) for choice in made.choices] == [
        ("a", "x"),
        ("b", "y"),
    ]


@pytest.mark.parametrize(
    "end",
    [
        [],  # the body ends: truncated
        [{"error": {"message": "overloaded"}}],
        [{"choices": 5}],
        ["[DONE]"],
    ],
)
def test_what_waits_for_the_rest_of_a_tag_is_not_lost_when_the_stream_fails(end: list[Any]) -> None:
    made = drive(StreamParser(reasoning_tags=TAGS), [event(chunk("Hi <th")), *map(event, end)])
    assert made.failure is not None
    assert made.failure.partial is not None
    assert made.failure.partial.text == made.completion.text == "Hi <th"
    assert made.failure.chunks_received == len(made.chunks) == 2
    assert made.chunks[1].id == made.chunks[0].id


def test_a_finish_reason_beside_the_last_piece() -> None:
    made = outcome(["<think>Hm.</think"], chunk(">Hi <", "stop"), "[DONE]").completion
    assert (made.message.content, made.message.reasoning_content) == ("Hi <", "Hm.")


def test_reasoning_in_a_field_stays_beside_that_in_tags() -> None:
    piece = chunk(choices=[{"index": 0, "delta": {"reasoning_content": "A", "content": "<think>B</think>C"}}])
    made = outcome([], piece, chunk(finish="stop"), "[DONE]").completion
    assert (made.message.content, made.message.reasoning_content) == ("C", "AB")


def test_content_in_parts_is_left_alone() -> None:
    parts = [{"type": "text", "text": "<think>a</think>b"}]
    made = outcome([], chunk(choices=[{"index": 0, "delta": {"content": parts}}]), chunk(finish="stop"), "[DONE]")
    assert made.completion.text == "<think>a</think>b"


def test_a_complete_message_at_the_end_is_split_too() -> None:
    last = completion("<think>Hm.</think>Hi")
    made = outcome(["<think>Hm.</th", "ink>Hi"], last, "[DONE]").completion
    assert (made.message.content, made.message.reasoning_content) == ("Hi", "Hm.")
    alone = drive(StreamParser(reasoning_tags=TAGS), [event(last) + DONE]).completion
    assert (alone.message.content, alone.message.reasoning_content) == ("Hi", "Hm.")


@pytest.mark.parametrize(
    ("content", "text", "reasoning"),
    [("<think>Hm.</think>Hi", "Hi", "Hm."), ("Hi", "Hi", None), ("<think>Hm", None, "Hm"), ("<thi", "<thi", None)],
)
def test_the_completion_of_a_blocking_call(content: str, text: str | None, reasoning: str | None) -> None:
    made = decode_completion(json.dumps(completion(content)).encode())
    split_completion(made, ("<think>", "</think>"))
    assert (made.message.content, made.message.reasoning_content) == (text, reasoning)


@pytest.mark.parametrize("content", [None, "", [{"type": "text", "text": "<think>Hm.</think>Hi"}]])
def test_a_message_without_content_of_text_is_left_as_it_is(content: Any) -> None:
    body = json.dumps({"choices": [{"index": 0, "message": {"content": content}, "finish_reason": "stop"}]}).encode()
    made = decode_completion(body)
    split_completion(made, TAGS)
    assert made == decode_completion(body)
