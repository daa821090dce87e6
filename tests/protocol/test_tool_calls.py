"""firsttoken._protocol.tool_calls: which call a piece belongs to, rule by rule."""

from typing import Any

import msgspec
import pytest

from firsttoken._protocol.tool_calls import ToolCalls
from firsttoken.types import CustomToolCall, FunctionCall, ToolCall, ToolCallDelta


def piece(
    index: int | None = None, call_id: str | None = None, name: str | None = None, arguments: str | None = None
) -> ToolCallDelta:
    function = {"name": name, "arguments": arguments}
    return msgspec.convert({"index": index, "id": call_id, "function": function}, ToolCallDelta)


def accumulated(*pieces: ToolCallDelta) -> list[tuple[str, str | None, str | None]]:
    calls = ToolCalls()
    for delta in pieces:
        calls.add(delta)
    return [
        (call.id, call.function and call.function.name, call.function and call.function.arguments)
        for call in calls.snapshot()
    ]


RULES: dict[str, tuple[list[ToolCallDelta], list[tuple[str, str, str]]]] = {
    "an index that is known is that call": (
        [piece(0, "a", "f", "{"), piece(1, "b", "g", "["), piece(0, arguments="}"), piece(1, arguments="]")],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "an id seen before is that call, whatever the index": (
        [piece(0, "a", "f", "{"), piece(1, "b", "g", "["), piece(1, "a", arguments="}"), piece(0, "b", arguments="]")],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "one id for all calls, each with an index and a name of its own (LocalAI)": (
        [piece(0, "a", "f"), piece(0, "a", None, "{}"), piece(1, "a", "g"), piece(1, "a", None, "[]"), piece(2, "a")],
        [("a", "f", "{}"), ("a", "g", "[]")],
    ),
    "an id that is repeated with a name under a number of the piece": (
        [piece(0, "a", "f", "{"), piece(1, "a", "f", "}"), piece(5000, "a", "f", " ")],
        [("a", "f", "{} ")],
    ),
    "an id and a name repeated with every piece (TGI, Baseten)": (
        [piece(0, "a", "f", "{"), piece(0, "a", "f", "}")],
        [("a", "f", "{}")],
    ),
    "a new id with a name opens a call at a known index (Gemini through OpenRouter)": (
        [piece(0, "a", "f", "{}"), piece(0, "b", "g", "[]"), piece(0, arguments=" ")],
        [("a", "f", "{}"), ("b", "g", "[] ")],
    ),
    "a new id without a name is the call of a known index": (
        [piece(0, "a", "f", "{"), piece(0, "other", arguments="}"), piece(5, "other", arguments=" ")],
        [("a", "f", "{} ")],
    ),
    "a new id without a name opens a call at an unseen index": (
        [piece(0, "a", "f", "{}"), piece(1, "b"), piece(1, name="g", arguments="[]")],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "an id that comes later than its call": (
        [piece(0, None, "f", "{"), piece(0, "a", None, "}")],
        [("a", "f", "{}")],
    ),
    "a blank id is none (Qwen, GLM)": (
        [piece(0, "a", "f", "{"), piece(0, "", "", "}"), piece(1, " ", "g", "[]")],
        [("a", "f", "{}"), ("", "g", "[]")],
    ),
    "an index of -1 (z.ai)": ([piece(-1, "a", "f", "{"), piece(-1, None, None, "}")], [("a", "f", "{}")]),
    "the first index is 1 (Anthropic's layer)": (
        [piece(1, "a", "f", "{"), piece(1, arguments="}")],
        [("a", "f", "{}")],
    ),
    "ids without an index (Mistral)": (
        [piece(None, "a", "f", "{}"), piece(None, "b", "g", "["), piece(None, "b", None, "]")],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "an id without index and name opens a call": (
        [piece(None, "a", "f", "{}"), piece(None, "b", None, "[]")],
        [("a", "f", "{}"), ("b", "", "[]")],
    ),
    "a name without id and index opens a call, the rest is of the last": (
        [piece(name="f", arguments="{"), piece(arguments="}"), piece(name="g"), piece(name=" ", arguments="[]")],
        [("", "f", "{}"), ("", "g", "[]")],
    ),
    "the first piece opens a call in any case": ([piece(arguments="{"), piece(arguments="}")], [("", "", "{}")]),
    "id and name are set once": (
        [piece(0, "a", "f", "{"), piece(0, None, "other", '"x":'), piece(0, None, "f", "1}")],
        [("a", "f", '{"x":1}')],
    ),
    "a blank id and one index, but a name each (Gemini)": (
        [piece(0, "", "f", "{}"), piece(0, "", "f", '{"x":1}'), piece(0, "", "g", " [1]"), piece(0, "", "", "")],
        [("", "f", "{}"), ("", "f", '{"x":1}'), ("", "g", " [1]")],
    ),
    "another call begins after complete arguments, in pieces": (
        [
            piece(0, None, "f", '{"x":'),
            piece(0, None, None, "1} "),
            piece(0, None, "f", ""),
            piece(0, None, None, "{}"),
        ],
        [("", "f", '{"x":1} '), ("", "f", "{}")],
    ),
    "a name that is repeated within the arguments is the same call's": (
        [piece(0, "", "f", '{"x":'), piece(0, "", "f", '{"y":1}'), piece(0, "", "f", "}")],
        [("", "f", '{"x":{"y":1}}')],
    ),
    "without id and name an unseen index counts the pieces of the last call": (
        [piece(0, "a", "f", "{"), piece(1, arguments="}"), piece(2, "b", "g", "["), piece(9000, "", "", "]")],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "a name in pieces": (
        [piece(0, "a", "get_"), piece(0, None, "weather"), piece(0, None, None, "{}")],
        [("a", "get_weather", "{}")],
    ),
    "a name in pieces, with the id each time": (
        [piece(0, "a", "get_"), piece(0, "a", "weather", ""), piece(0, "a", None, "{}")],
        [("a", "get_weather", "{}")],
    ),
    "a name as far as it has come": (
        [piece(0, "a", "get_"), piece(0, "a", "get_weather"), piece(0, "a", "get_weather", "{}")],
        [("a", "get_weather", "{}")],
    ),
    "arguments are never repaired": ([piece(0, "a", "f", '{"a": '), piece(0)], [("a", "f", '{"a": ')]),
    "arguments may be null or absent": ([piece(0, "a", "f", None), piece(0, None, None, "")], [("a", "f", "")]),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_rule(rule: str) -> None:
    pieces, calls = RULES[rule]
    assert accumulated(*pieces) == calls


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (["function", None], "function"),
        ([None, None], "function"),
        (["", "function"], "function"),
        (["custom", "x"], "custom"),
    ],
)
def test_the_type_is_set_once(types: list[str | None], expected: str) -> None:
    calls = ToolCalls()
    for kind in types:
        calls.add(ToolCallDelta(index=0, type=kind))
    assert [call.type for call in calls.snapshot()] == [expected]


def test_a_custom_call() -> None:
    calls = ToolCalls()
    for custom in ({"name": "shell", "input": "l"}, {"input": "s"}, {"name": "other", "input": None, "x": 1}):
        extra = {"$firsttoken.extra": {"x": custom.pop("x")}} if "x" in custom else {}
        calls.add(msgspec.convert({"index": 0, "id": "a", "custom": {**custom, **extra}}, ToolCallDelta))
    assert calls.snapshot() == [
        ToolCall(id="a", type="custom", custom=CustomToolCall(name="shell", input="ls", extra={"x": 1}))
    ]


def test_unknown_fields_are_folded_and_the_last_value_wins() -> None:
    calls = ToolCalls()
    for number in (1, 2):
        node: dict[str, Any] = {"function": {"name": "f", "$firsttoken.extra": {"in": number}}}
        calls.add(msgspec.convert({**node, "$firsttoken.extra": {"out": number}}, ToolCallDelta))
    calls.add(ToolCallDelta())
    assert calls.snapshot() == [
        ToolCall(function=FunctionCall(name="f", extra={"in": 1}), extra={"out": 1}),
        ToolCall(function=FunctionCall(name="f", extra={"in": 2}), extra={"out": 2}),
    ]


def test_what_was_given_does_not_change_later() -> None:
    calls = ToolCalls()
    calls.add(piece(0, "a", "f", "{"))
    before = calls.snapshot()
    calls.add(piece(0, arguments="}"))
    assert before[0].function == FunctionCall(name="f", arguments="{")
