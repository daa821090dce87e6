"""`ui_message_stream`: the events of the AI SDK's protocol, and which of them an answer ends with."""

from typing import Any

import pytest

from firsttoken import chat_completion_request
from firsttoken.errors import ChatCompletionError, ConfigurationError, RefusalError
from firsttoken.testing import (
    ScriptedServer,
    chunk,
    close,
    delta,
    done,
    error,
    event,
    finish,
    reasoning,
    refusal,
    reply,
    role,
    text,
    tool_call,
    usage,
)
from firsttoken.web import ui_message_event, ui_message_stream
from tests.support.web import REQUEST, Kind, client, events_of, relayed

STEP = [{"type": "start"}, {"type": "start-step"}]


def told(kind: Kind, *script: Any, **options: Any) -> list[Any]:
    """The events of a message, without those that every one begins and ends with."""
    events = events_of(relayed(kind, ui_message_stream, *script, **options))
    assert (events[:2], events[-1]) == (STEP, "[DONE]")
    return events[2:-1]


def types(events: list[Any]) -> list[str]:
    return [event["type"] for event in events]


def finished(reason: str, **metadata: object) -> list[Any]:
    end = {"type": "finish", "finishReason": reason, "messageMetadata": {"finishReason": reason, **metadata}}
    return [{"type": "finish-step"}, end]


def test_text(kind: Kind) -> None:
    counts = {"inputTokens": 9, "outputTokens": 2, "totalTokens": 11}
    assert told(kind, reply("Hello you")) == [
        {"type": "text-start", "id": "text-1"},
        {"type": "text-delta", "id": "text-1", "delta": "Hello"},
        {"type": "text-delta", "id": "text-1", "delta": " you"},
        {"type": "text-end", "id": "text-1"},
        *finished("stop", usage=counts),
    ]


def test_reasoning_and_text_are_parts_of_their_own(kind: Kind) -> None:
    script = [
        reasoning("hm"),
        reasoning(", so", name="reasoning"),
        "Be",
        "cause",
        reasoning("wait"),
        "…",
        finish(),
        done(),
    ]
    parts = told(kind, script)
    assert [(it["type"], it["id"], it.get("delta")) for it in parts[:-2]] == [
        ("reasoning-start", "reasoning-1", None),
        ("reasoning-delta", "reasoning-1", "hm"),
        ("reasoning-delta", "reasoning-1", ", so"),
        ("reasoning-end", "reasoning-1", None),
        ("text-start", "text-2", None),
        ("text-delta", "text-2", "Be"),
        ("text-delta", "text-2", "cause"),
        ("text-end", "text-2", None),
        ("reasoning-start", "reasoning-3", None),
        ("reasoning-delta", "reasoning-3", "wait"),
        ("reasoning-end", "reasoning-3", None),
        ("text-start", "text-4", None),
        ("text-delta", "text-4", "…"),
        ("text-end", "text-4", None),
    ]


def test_a_tool_call(kind: Kind) -> None:
    script = ["Let me look.", tool_call("weather", {"city": "Paris"}, call_id="call_7"), finish("tool_calls"), done()]
    assert told(kind, script)[2:] == [
        {"type": "text-end", "id": "text-1"},
        {"type": "tool-input-start", "toolCallId": "call_7", "toolName": "weather"},
        {"type": "tool-input-delta", "toolCallId": "call_7", "inputTextDelta": '{"city'},
        {"type": "tool-input-delta", "toolCallId": "call_7", "inputTextDelta": '": "Pa'},
        {"type": "tool-input-delta", "toolCallId": "call_7", "inputTextDelta": 'ris"}'},
        {"type": "tool-input-available", "toolCallId": "call_7", "toolName": "weather", "input": {"city": "Paris"}},
        *finished("tool-calls"),
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {"type": "tool-input-available", "input": {}}),
        ('{"city": ', {"type": "tool-input-error", "input": '{"city": '}),
        ('["Paris"]', {"type": "tool-input-error", "input": '["Paris"]'}),
        ('{"n": NaN}', {"type": "tool-input-error", "input": '{"n": NaN}'}),
        ("[" * 100_000, {"type": "tool-input-error", "input": "[" * 100_000}),
    ],
    ids=["none", "cut", "list", "NaN", "deep"],
)
def test_what_a_call_is_given(kind: Kind, arguments: str, expected: dict[str, str]) -> None:
    script = [tool_call("weather", arguments), finish("tool_calls"), done()]
    (call,) = [it for it in told(kind, script) if it["type"] in ("tool-input-available", "tool-input-error")]
    assert {name: call[name] for name in expected} == expected
    if call["type"] == "tool-input-error":
        assert call["errorText"] == "invalid tool input: expected a JSON object"


def test_calls_without_ids_get_some(kind: Kind) -> None:
    calls = [{"index": index, "function": {"name": "f", "arguments": "{}"}} for index in range(2)]
    events = told(kind, [*(delta({"tool_calls": [call]}) for call in calls), finish("tool_calls"), done()])
    started, fed, available = (
        [it["toolCallId"] for it in events if it["type"] == name]
        for name in ("tool-input-start", "tool-input-delta", "tool-input-available")
    )
    assert started == fed == available
    assert len(set(started) - {""}) == 2


def test_a_custom_tools_input_is_text(kind: Kind) -> None:
    call = {"index": 0, "id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    events = told(kind, [delta({"tool_calls": [call]}), finish("tool_calls"), done()])
    assert events[2] == {"type": "tool-input-available", "toolCallId": "c", "toolName": "sql", "input": "select 1"}


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_a_call_of_an_answer_that_was_cut_never_becomes_available(kind: Kind, reason: str) -> None:
    events = told(kind, [tool_call("weather", {"city": "Paris"}), finish(reason), done()])
    assert types(events) == ["tool-input-start", *["tool-input-delta"] * 3, "finish-step", "finish"]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (["Hel", close()], "The answer broke off before it was complete."),
        ([tool_call("f", {"a": 1}), close()], "The answer broke off before it was complete."),
        (["Hel", event({"error": {"message": "boom"}})], "The model's server reported an error."),
        (error(429), "The model is busy. Try again later."),
    ],
    ids=["cut", "cut in a call", "in the stream", "429"],
)
def test_a_failed_answer_ends_in_an_error_and_is_never_finished(kind: Kind, script: object, expected: str) -> None:
    events = told(kind, script)
    assert events[-1] == {"type": "error", "errorText": expected}
    assert not {"finish", "finish-step", "abort", "text-end", "tool-input-available"} & set(types(events))


def test_a_refusal_is_told_and_ends_in_an_error(kind: Kind) -> None:
    script = [role(), refusal("I can't "), refusal("do that."), finish(), done()]
    part = {"type": "text-start", "id": "refusal-1", "providerMetadata": {"firsttoken": {"refusal": True}}}
    assert told(kind, script) == [
        part,
        {"type": "text-delta", "id": "refusal-1", "delta": "I can't "},
        {"type": "text-delta", "id": "refusal-1", "delta": "do that."},
        {"type": "text-end", "id": "refusal-1"},
        {"type": "error", "errorText": "The model refused to answer."},
    ]

    def text_of(failure: ChatCompletionError | ConfigurationError) -> str:
        assert isinstance(failure, RefusalError)
        return f"refused: {failure.refusal}"

    assert told(kind, script, error_text=text_of)[-1]["errorText"] == "refused: I can't do that."


def test_a_stopped_answer_ends_in_an_abort() -> None:
    with ScriptedServer(reply("a b c")) as server, client(server) as asking:
        stream = asking.chat_completion_stream(REQUEST)
        stream.close()
        assert events_of(b"".join(ui_message_stream(stream))) == [*STEP, {"type": "abort"}, "[DONE]"]


CITED = {"url": "https://a.example/1", "title": "One"}


@pytest.mark.parametrize(
    "fields",
    [
        {"choices": [{"index": 0, "delta": {"annotations": [{"type": "url_citation", "url_citation": CITED}]}}]},
        {"choices": [{"index": 0, "delta": {"context": {"citations": [CITED]}}}]},
        {"search_results": [CITED], "citations": ["https://a.example/1", "javascript:alert(1)"]},
    ],
    ids=["annotations", "context", "beside the choices"],
)
def test_sources(kind: Kind, fields: dict[str, object]) -> None:
    source = {"type": "source-url", "sourceId": CITED["url"], **CITED}
    assert told(kind, ["a", chunk(fields), finish(), done()])[-3:] == [source, *finished("stop")]
    assert source in told(kind, ["a", chunk(fields), close()])


@pytest.mark.parametrize(
    ("word", "expected"),
    [("stop", "stop"), ("eos", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "content-filter"), ("whatever", "other")],
)
def test_finish_reasons_in_the_sdks_words(kind: Kind, word: str, expected: str) -> None:
    assert told(kind, ["a", finish(word), done()])[-2:] == finished(expected)


def test_usage_in_full(kind: Kind) -> None:
    counts = {
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    end = told(kind, ["a", finish(), chunk({"choices": [], "usage": counts}), done()])[-1]
    assert end["messageMetadata"]["usage"] == {
        "inputTokens": 5,
        "outputTokens": 7,
        "totalTokens": 12,
        "reasoningTokens": 2,
        "cachedInputTokens": 3,
    }


def test_other_choices_are_left_out(kind: Kind) -> None:
    script = ["a", text("x", index=1), tool_call("f", {}, index=1), finish(), finish(index=1), usage(), done()]
    events = told(kind, script, request=chat_completion_request("test-model", "Why?", n=2))
    assert [it.get("delta") for it in events if it["type"] == "text-delta"] == ["a"]


def test_half_a_surrogate_pair_does_not_break_the_stream(kind: Kind) -> None:
    part = b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"},"finish_reason":"stop"}]}\n\n'
    events = told(kind, [part, done()])
    assert events[1]["delta"] == "\ud83d"


def test_several_steps_of_one_message(kind: Kind) -> None:
    """The first answer is left open for the tool's result, the second one goes on with the message."""
    calls = [tool_call("dice", {}, call_id="c"), finish("tool_calls"), done()]
    first = relayed(kind, ui_message_stream, calls, message_id="m1", end_after_tool_calls=False)
    result = ui_message_event({"type": "tool-output-available", "toolCallId": "c", "output": 12})
    second = relayed(kind, ui_message_stream, reply("b"), send_start=False, end_after_tool_calls=False)
    events = events_of(first + result + second)
    assert events[0] == {"type": "start", "messageId": "m1"}
    assert types(events[:-1]) == [
        *("start", "start-step", "tool-input-start", *["tool-input-delta"] * 2, "tool-input-available", "finish-step"),
        *("tool-output-available", "start-step", "text-start", "text-delta", "text-end", "finish-step", "finish"),
    ]
