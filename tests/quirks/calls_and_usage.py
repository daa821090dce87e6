"""Deviations of tool calls and of usage."""

from typing import Any

from tests.quirks.example import END, HEL, HELLO, LO, Call, Example, Json, Seen, call, delta, stream, usage


def _called(*calls: Call) -> Seen:
    return Seen("", calls=calls, finish="tool_calls")


def _function(arguments: Any = ..., **fields: Any) -> dict[str, Any]:
    return {"function": fields if arguments is ... else {**fields, "arguments": arguments}}


_A, _B = ("a", "f", '{"x":1}'), ("b", "g", "{}")
_LAST = delta("tool_calls")

TOOL_CALLS = {
    "id-blank-two-calls": Example(
        stream(*(call(index=0, id="", **_function("{}", name=name)) for name in ("f", "f")), _LAST),
        _called(("", "f", "{}"), ("", "f", "{}")),
    ),
    "name-pieces": Example(
        stream(
            call(index=0, id="a", **_function("", name="get_")),
            call(index=0, **_function("", name="time")),
            call(index=0, **_function("{}")),
            _LAST,
        ),
        _called(("a", "get_time", "{}")),
    ),
    "index-negative": Example(
        stream(call("tool_calls", index=-1, id="a", **_function('{"x":1}', name="f"))), _called(_A)
    ),
    "index-reused": Example(
        stream(
            call(index=0, id="a", **_function('{"x":1}', name="f")),
            call(index=0, id="b", **_function("{}", name="g")),
            _LAST,
        ),
        _called(_A, _B),
    ),
    "id-shared": Example(
        stream(
            call(index=0, id="a", **_function("", name="f")),
            call(index=0, id="a", **_function('{"x":1}')),
            call(index=1, id="a", **_function("", name="g")),
            call(index=1, id="a", **_function("{}")),
            _LAST,
        ),
        _called(_A, ("a", "g", "{}")),
    ),
    "index-counts": Example(
        stream(
            call(index=0, id="a", **_function('{"x"', name="f")),
            call(index=1, **_function(":1")),
            call(index=2, **_function("}")),
            call(index=3, id="b", **_function("{", name="g")),
            call(index=4, **_function("}")),
            _LAST,
        ),
        _called(_A, _B),
    ),
    "index-absent": Example(
        stream(
            call(id="a", **_function('{"x"', name="f")),
            call(index=None, **_function(":1}")),
            call(id="b", **_function("{}", name="g")),
            _LAST,
        ),
        _called(_A, _B),
    ),
    "index-from-one": Example(
        stream(call(index=1, id="a", **_function("", name="f")), call(index=1, **_function('{"x":1}')), _LAST),
        _called(_A),
    ),
    "index-text": Example(
        stream(
            call(index="0", id="a", **_function('{"x"', name="f")),
            call(index="1", id="b", **_function("{}", name="g")),
            call(index="0", **_function(":1}")),
            _LAST,
        ),
        _called(_A, _B),
    ),
    "id-repeated": Example(
        stream(
            call(index=0, id="a", type="function", **_function('{"x"', name="f")),
            call(index=0, id="a", type="function", **_function(":1}", name="f")),
            _LAST,
        ),
        _called(_A),
    ),
    "id-blank": Example(
        stream(
            call(index=0, id="a", type="function", **_function('{"x"', name="f")),
            call(index=0, id="", type="", **_function(":", name="")),
            call(index=0, id=None, type=None, **_function("1}", name=None)),
            _LAST,
        ),
        _called(_A),
    ),
    "call-id-number": Example(
        stream(call("tool_calls", index=0, id=7, **_function("{}", name="f"))), _called(("7", "f", "{}"))
    ),
    "type-absent": Example(
        stream(
            call(index=0, id="a", **_function('{"x":1}', name="f")),
            call(index=1, id="b", type=None, **_function("{}", name="g")),
            _LAST,
        ),
        _called(_A, _B),
    ),
    "whole-at-once": Example(
        stream(call("tool_calls", index=0, id="a", type="function", **_function('{"x":1}', name="f")), done=False),
        _called(_A),
    ),
    "two-in-one-delta": Example(
        stream(
            delta(
                "tool_calls",
                tool_calls=[{"id": "a", **_function('{"x":1}', name="f")}, {"id": "b", **_function("{}", name="g")}],
            )
        ),
        _called(_A, _B),
    ),
    "arguments-absent": Example(
        stream(
            call(index=0, id="a", **_function(name="f")),
            call(index=0, **_function(None)),
            call(index=0, **_function('{"x":1}')),
            _LAST,
        ),
        _called(_A),
    ),
    "arguments-object": Example(
        stream(call("tool_calls", index=0, id="a", **_function({"x": 1}, name="f"))), _called(("a", "f", '{"x": 1}'))
    ),
    "null-items": Example(
        stream(
            delta(tool_calls=None),
            delta(tool_calls=[None, {"index": 0, "id": "a", **_function('{"x":1}', name="f")}]),
            delta(tool_calls=[]),
            _LAST,
        ),
        _called(_A),
    ),
}

_EMPTY: Json = {"choices": []}
_NULLS = {"prompt_tokens": 3, "completion_tokens": None, "total_tokens": None}

USAGE = {
    "usage-in-own-chunk": Example(stream(*HELLO, {"choices": [], **usage(1, 2)}), Seen(usage=(1, 2))),
    "usage-with-finish": Example(stream(HEL, LO, {**END, **usage(1, 2)}, done=False), Seen(usage=(1, 2))),
    "usage-with-choice": Example(stream(*HELLO, {**delta("stop"), **usage(1, 2)}), Seen(usage=(1, 2))),
    "usage-in-each-chunk": Example(
        stream({**HEL, **usage(1, 1)}, {**LO, **usage(1, 2)}, {**END, **usage(1, 3)}), Seen(usage=(1, 3))
    ),
    "usage-twice": Example(
        stream(*HELLO[:2], {**END, "x_groq": {"id": "r", **usage(1, 2)}}, {"choices": [], **usage(1, 2)}),
        Seen(usage=(1, 2), extra={"x_groq": {"id": "r", **usage(1, 2)}}),
    ),
    "null-counts": Example(
        stream(*({**part, "usage": _NULLS} for part in HELLO), {"choices": [], **usage(3, 2)}, done=False),
        Seen(usage=(3, 2)),
    ),
    "null-details": Example(
        stream(
            *HELLO,
            {
                "choices": [],
                **usage(1, 2, prompt_tokens_details=None, completion_tokens_details={"audio_tokens": None}),
            },
        ),
        Seen(usage=(1, 2)),
    ),
    "own-figures": Example(
        stream(*({**part, **usage(1, n, cost=0.5 * n, tier="a")} for n, part in enumerate((*HELLO, _EMPTY)))),
        Seen(usage=(1, 3), extra={"usage.cost": 1.5, "usage.tier": "a"}),
    ),
    "counts-odd": Example(
        stream(*HELLO, {"choices": [], "usage": {"prompt_tokens": 1.0, "completion_tokens": "2", "total_tokens": 3.0}}),
        Seen(usage=(1, 2)),
    ),
    "usage-in-choice": Example(
        stream(*HELLO[:2], {"choices": [{**END["choices"][0], **usage(1, 2)}]}), Seen(usage=(1, 2))
    ),
    "usage-wiped": Example(
        stream(
            {**HEL, **usage(1, 1)},
            {**LO, **usage(1, 2)},
            {**END, "usage": {}},
            {"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}},
            {"choices": [], "usage": {"total_tokens": 3}},
        ),
        Seen(usage=(1, 2)),
    ),
    "total-absent": Example(
        stream(*HELLO, {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}), Seen(usage=(1, 2))
    ),
    "usage-odd": Example(stream({**HEL, "usage": []}, {**LO, "usage": "2"}, END), Seen(extra={"usage": "2"})),
}
