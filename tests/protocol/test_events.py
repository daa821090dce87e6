"""firsttoken._protocol.events and firsttoken.events: which events the chunks of a stream make."""

import copy
import json
import pickle
import random
import time
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken._protocol.events import EventBuilder
from firsttoken.events import (
    FinishedEvent,
    ReasoningEvent,
    RefusalEvent,
    StreamEvent,
    TextEvent,
    ToolCallArgumentsEvent,
    ToolCallFinishedEvent,
    ToolCallStartedEvent,
    UsageEvent,
)
from firsttoken.sansio import StreamParser
from firsttoken.types import CompletionUsage, CustomToolCall, FunctionCall, ToolCall
from tests.support.core import drive, run
from tests.support.server import DONE, event
from tests.support.strategies import JSON, chunks_of, completions, events_of

randoms = st.integers(0, 2**32).map(random.Random)


def events(*chunks: dict[str, Any]) -> list[StreamEvent]:
    """Those of a complete stream."""
    outcome = drive(StreamParser(require_finish_reason=False), [b"".join(map(event, chunks)) + DONE])
    assert outcome.complete
    maker = EventBuilder()
    for chunk in outcome.chunks:
        maker.add(chunk)
    maker.finish(outcome.completion)
    assert maker.chunks == len(outcome.chunks)
    return list(maker.ready)


def said(index: int = 0, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def called(*pieces: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return said(tool_calls=list(pieces), finish=finish)


def text(delta: str, choice: int = 0) -> TextEvent:
    return TextEvent(choice_index=choice, delta=delta)


def finished(reason: str | None = "stop", choice: int = 0) -> FinishedEvent:
    return FinishedEvent(choice_index=choice, finish_reason=reason)


def test_text_comes_in_pieces_with_what_was_there_before() -> None:
    made = events(said(role="assistant", content=""), said(content="Hel"), said(content="lo"), said(finish="stop"))
    assert made == [text("Hel"), text("lo"), finished()]
    assert [piece.snapshot for piece in made if isinstance(piece, TextEvent)] == ["Hel", "Hello"]


def test_reasoning_and_refusal_have_texts_of_their_own() -> None:
    made = events(
        said(reasoning_content="Well"),
        said(reasoning="?", content="A"),
        said(refusal="No"),
        said(refusal=".", finish="stop"),
    )
    assert made == [
        ReasoningEvent(choice_index=0, delta="Well"),
        ReasoningEvent(choice_index=0, delta="?"),
        text("A"),
        RefusalEvent(choice_index=0, delta="No"),
        RefusalEvent(choice_index=0, delta="."),
        finished(),
    ]
    assert [getattr(piece, "snapshot", None) for piece in made] == ["Well", "Well?", "A", "No", "No.", None]


def test_each_choice_has_its_own_texts_and_its_own_end() -> None:
    made = events(said(1, content="b"), said(0, content="a", finish="length"), said(1, content="B", finish="stop"))
    assert made == [text("b", 1), text("a"), text("B", 1), finished("length"), finished("stop", 1)]
    assert [piece.snapshot for piece in made if isinstance(piece, TextEvent)] == ["b", "a", "bB"]


def test_a_call_starts_grows_and_is_complete_only_at_the_end() -> None:
    made = events(
        called({"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}),
        called({"index": 0, "function": {"arguments": '{"a":'}}),
        called(
            {"index": 1, "id": "c2", "function": {"name": "g", "arguments": "{}"}},
            {"index": 0, "function": {"arguments": "1}"}},
        ),
        said(finish="tool_calls"),
    )
    first: dict[str, Any] = {"choice_index": 0, "call_index": 0, "id": "c1", "name": "f"}
    second: dict[str, Any] = {"choice_index": 0, "call_index": 1, "id": "c2", "name": "g"}
    assert made == [
        ToolCallStartedEvent(**first),
        ToolCallArgumentsEvent(**first, delta='{"a":'),
        ToolCallStartedEvent(**second),
        ToolCallArgumentsEvent(**second, delta="{}"),
        ToolCallArgumentsEvent(**first, delta="1}"),
        ToolCallFinishedEvent(**first, call=ToolCall(id="c1", function=FunctionCall(name="f", arguments='{"a":1}'))),
        ToolCallFinishedEvent(**second, call=ToolCall(id="c2", function=FunctionCall(name="g", arguments="{}"))),
        finished("tool_calls"),
    ]
    snapshots = [piece.snapshot for piece in made if isinstance(piece, ToolCallArgumentsEvent)]
    assert snapshots == ['{"a":', "{}", '{"a":1}']


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_the_calls_of_a_choice_that_was_cut_off_are_never_complete(reason: str) -> None:
    made = events(called({"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a'}}), said(finish=reason))
    assert [piece.type for piece in made] == ["tool_call_started", "tool_call_arguments", "finished"]
    assert made[-1] == finished(reason)


def test_a_call_waits_for_its_name_before_it_starts() -> None:
    made = events(called({"index": 0, "id": "c"}), called({"index": 0, "function": {"name": "f"}}), said(finish="stop"))
    assert [piece.type for piece in made] == ["tool_call_started", "tool_call_finished", "finished"]
    assert made[0] == ToolCallStartedEvent(choice_index=0, call_index=0, id="c", name="f")


def named(index: int, name: str, **fields: Any) -> dict[str, Any]:
    return {"index": index, "function": {"name": name, "arguments": "", **fields}}


@pytest.mark.parametrize(
    "rest",
    [
        [called({"index": 0, "function": {"arguments": "{}"}})],
        [called(named(1, "g", arguments="{}"))],
        [said(finish="stop")],
        [called(named(0, "", arguments="{}"), finish="stop")],
    ],
)
def test_a_call_starts_with_all_of_a_name_that_comes_in_pieces(rest: list[dict[str, Any]]) -> None:
    pieces = [called(named(0, "get_") | {"id": "c"}), called(named(0, "wea")), called(named(0, "ther"))]
    made = events(*pieces, *rest, *[said(finish="stop")] * (rest != [said(finish="stop")]))
    started = [piece for piece in made if isinstance(piece, ToolCallStartedEvent) and piece.call_index == 0]
    assert started == [ToolCallStartedEvent(choice_index=0, call_index=0, id="c", name="get_weather")]
    assert made[0] == started[0]
    assert {getattr(piece, "name", "") for piece in made} <= {"", "get_weather", "g"}


def test_calls_of_one_chunk_start_in_order_with_its_finish_reason() -> None:
    made = events(called(named(0, "f"), named(1, "g"), finish="tool_calls"))
    assert [(piece.type, getattr(piece, "name", "")) for piece in made[:2]] == [
        ("tool_call_started", "f"),
        ("tool_call_started", "g"),
    ]


def test_a_call_without_a_name_starts_with_its_arguments_or_at_the_end() -> None:
    made = events(
        called({"index": 0, "id": "c", "function": {"arguments": "{}"}}), called({"index": 1, "id": "d"}, finish="stop")
    )
    assert [(piece.type, getattr(piece, "id", None)) for piece in made] == [
        ("tool_call_started", "c"),
        ("tool_call_arguments", "c"),
        ("tool_call_finished", "c"),
        ("tool_call_started", "d"),
        ("tool_call_finished", "d"),
        ("finished", None),
    ]


def test_a_custom_tool_gets_its_input() -> None:
    made = events(
        called({"index": 0, "id": "c", "type": "custom", "custom": {"name": "sh", "input": "l"}}),
        called({"index": 0, "custom": {"input": "s"}}, finish="tool_calls"),
    )
    assert [piece.snapshot for piece in made if isinstance(piece, ToolCallArgumentsEvent)] == ["l", "ls"]
    call = ToolCall(id="c", type="custom", custom=CustomToolCall(name="sh", input="ls"))
    assert made[-2] == ToolCallFinishedEvent(choice_index=0, call_index=0, id="c", name="sh", call=call)


def test_usage_comes_once_and_before_the_end() -> None:
    usages: list[dict[str, Any]] = [{"completion_tokens": n, "prompt_tokens": 1, "total_tokens": n + 1} for n in (1, 2)]
    made = events({**said(content="a"), "usage": usages[0]}, {**said(finish="stop"), "usage": usages[1]})
    assert made == [
        text("a"),
        UsageEvent(usage=CompletionUsage(completion_tokens=2, prompt_tokens=1, total_tokens=3)),
        finished(),
    ]


def test_a_choice_that_gave_no_finish_reason_ends_without_one() -> None:
    assert events(said(content="a")) == [text("a"), finished(None)]


def test_a_choice_whose_chunks_came_before_has_no_events() -> None:
    outcome = run(event(said(content="a", finish="stop")) + event(said(1, content="b", finish="stop")) + DONE)
    builder = EventBuilder()
    builder.add(outcome.chunks[1])
    builder.finish(outcome.completion)
    assert list(builder.ready) == [text("b", 1), finished(choice=1)]


def test_an_event_shows_compares_and_encodes_what_it_says_alone() -> None:
    first, second, _ = events(said(content="Hel"), said(content="lo", finish="stop"))
    assert repr(second) == "TextEvent(choice_index=0, delta='lo')"
    assert msgspec.json.encode(second) == b'{"type":"text","choice_index":0,"delta":"lo"}'
    assert msgspec.json.decode(msgspec.json.encode(second), type=StreamEvent) == second
    assert isinstance(first, TextEvent)
    with pytest.raises(AttributeError, match="immutable type: 'TextEvent'"):
        first.delta = "x"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_an_event_made_by_hand_is_the_first_of_its_text() -> None:
    assert text("Hi").snapshot == "Hi"


def test_a_copy_has_the_snapshot_too() -> None:
    _, second, *_ = events(said(content="Hel"), said(content="lo"), said(content="!", finish="stop"))
    for twin in (copy.copy(second), copy.deepcopy(second), pickle.loads(pickle.dumps(second))):
        assert isinstance(twin, TextEvent)
        assert twin == second
        assert twin.snapshot == "Hello"


def test_every_event_says_its_type_as_its_json_does() -> None:
    made = events(
        said(reasoning="r", content="t", refusal="x"),
        called({"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}),
        {**said(finish="tool_calls"), "usage": {"completion_tokens": 1, "prompt_tokens": 1, "total_tokens": 2}},
    )
    types = [json.loads(msgspec.json.encode(piece))["type"] for piece in made]
    assert [piece.type for piece in made] == types
    assert len(set(types)) == 8


def test_making_events_costs_the_same_for_each_chunk_however_many_there_are() -> None:
    pieces = [{"index": 0, "id": "c", "function": {"name": "f", "arguments": '"ab'}}]
    chunks = run(event(said(content="word ", tool_calls=pieces)) * 40_000 + DONE).chunks

    def cpu_s(count: int) -> float:
        maker, started = EventBuilder(), time.process_time()
        for chunk in chunks[:count]:
            maker.add(chunk)
        return time.process_time() - started

    assert cpu_s(40_000) < 100 * cpu_s(2_000) + 0.05
    maker = EventBuilder()
    for chunk in chunks:
        maker.add(chunk)
    assert isinstance(maker.ready[0], TextEvent)
    assert maker.ready[0].snapshot == "word "
    last = maker.ready[-1]
    assert isinstance(last, ToolCallArgumentsEvent)
    assert last.snapshot == '"ab' * 40_000


@given(completions(), randoms)
def test_the_events_of_any_completion_say_what_it_says(completion: JSON, rng: random.Random) -> None:
    outcome = run(b"".join(events_of(chunks_of(completion, rng), rng)))
    maker = EventBuilder()
    for chunk in outcome.chunks:
        maker.add(chunk)
    maker.finish(outcome.completion)
    made = list(maker.ready)
    for choice in outcome.completion.choices:
        message, mine = (
            choice.message,
            [piece for piece in made if getattr(piece, "choice_index", None) == choice.index],
        )
        for kind, whole in ((TextEvent, message.content), (RefusalEvent, message.refusal)):
            pieces = [piece for piece in mine if isinstance(piece, kind)]
            assert "".join(piece.delta for piece in pieces) == (whole or "")
            assert not pieces or pieces[-1].snapshot == whole
        calls = [piece.call for piece in mine if isinstance(piece, ToolCallFinishedEvent)]
        cut_off = choice.finish_reason in ("length", "content_filter")
        assert calls == ([] if cut_off else message.tool_calls or [])
        for position, call in enumerate(message.tool_calls or ()):
            whole = call.function.arguments if call.function else call.custom.input if call.custom else ""
            said = [piece for piece in mine if isinstance(piece, ToolCallArgumentsEvent)]
            pieces = [piece for piece in said if piece.call_index == position]
            assert "".join(piece.delta for piece in pieces) == whole
        assert mine[-1] == finished(choice.finish_reason, choice.index)


CALLS = [
    {"index": number, "id": f"c{number}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    for number in (0, 1)
]


@pytest.mark.parametrize("streamed", [0, 1, 2])
def test_calls_that_come_with_a_last_message_alone_are_events_too(streamed: int) -> None:
    """Some servers stream the text, and repeat it in a message that has the calls besides."""
    message = {"role": "assistant", "content": "Hello", "tool_calls": CALLS, "refusal": None}
    last = {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    chunks = [said(content="Hello"), *(called(call) for call in CALLS[:streamed]), last]
    made = events(*chunks)
    assert [made_.delta for made_ in made if isinstance(made_, TextEvent)] == ["Hello"]
    started = [(made_.call_index, made_.id) for made_ in made if isinstance(made_, ToolCallStartedEvent)]
    assert started == [(0, "c0"), (1, "c1")]
    calls = [made_.call for made_ in made if isinstance(made_, ToolCallFinishedEvent)]
    assert [(call.id, call.arguments) for call in calls] == [("c0", "{}"), ("c1", "{}")]


@pytest.mark.parametrize(
    ("streamed", "message", "left"),
    [
        ({"content": "Hi"}, {"reasoning": "Hm.", "refusal": "No."}, {"reasoning": "Hm.", "refusal": "No."}),
        ({"reasoning": "Hm."}, {"content": "Hi", "reasoning_content": "Hm."}, {"content": "Hi"}),
        (
            {"content": "Hi"},
            {"annotations": [{"a": 1}], "audio": {"id": "x"}},
            {"annotations": [{"a": 1}], "audio": {"id": "x"}},
        ),
        ({"content": "Hi"}, {"content": "Hi!"}, {}),
    ],
)
def test_of_a_message_at_the_end_the_chunk_has_what_was_not_streamed(
    streamed: dict[str, Any], message: dict[str, Any], left: dict[str, Any]
) -> None:
    last = {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    outcome = run([event(said(**streamed)), event(last), DONE])
    assert outcome.failure is None
    assert outcome.chunks[-1].choices[0].delta.to_dict() == left
    shown = outcome.completion.choices[0].message.to_dict()
    assert {name: shown[name] for name in message} == message


@pytest.mark.parametrize(
    "streamed",
    [
        {"refusal": "No."},
        {"thinking": "Hm."},
        {"tool_calls": CALLS},
        {"function_call": {"name": "f", "arguments": "{}"}},
        {"audio": {"id": "x", "data": "AA=="}},
        {"annotations": [{"a": 1}]},
        {"reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]},
        {"content": [{"type": "text", "text": "Hi"}]},
    ],
    ids=lambda streamed: next(iter(streamed)),
)
def test_what_an_earlier_read_brought_does_not_come_again_with_the_message(streamed: dict[str, Any]) -> None:
    last = {"object": "chat.completion", "choices": [{"index": 0, "message": streamed, "finish_reason": "stop"}]}
    outcome = run([event(said(**streamed)), event(last), DONE])
    assert outcome.failure is None
    assert outcome.chunks[-1].choices[0].delta.to_dict() == {}
    shown = cast("dict[str, Any]", outcome.completion.choices[0].message.to_dict())
    assert {name: len(shown[name]) for name in streamed} == {name: len(value) for name, value in streamed.items()}
