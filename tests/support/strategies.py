"""Completions of any kind, as servers send them, and random ways to cut them into the chunks of a stream."""

import itertools
import json
import random
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tests.support.server import DONE

JSON = dict[str, Any]

_texts = st.text(max_size=12)
_words = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=8)
_counts = st.integers(0, 10**6)
_scalars = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | _texts
json_values: st.SearchStrategy[Any] = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3), max_leaves=5
)
_extras = st.dictionaries(st.sampled_from(["raw", "extra", "x_server", "größe", "provider"]), json_values, max_size=2)


def _merged(fields: JSON, extra: JSON) -> JSON:
    return fields | extra


def _with_role(fields: JSON, extra: JSON) -> JSON:
    return {"role": "assistant"} | fields | extra


def _reasoning_blocks(texts: list[str]) -> list[JSON]:
    return [{"type": "reasoning.text", "index": index, "text": text} for index, text in enumerate(texts)]


def _optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[JSON]:
    return st.fixed_dictionaries({}, optional=fields)


def _sometimes(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.none() | values


_usages: st.SearchStrategy[JSON] = st.builds(
    _merged,
    st.fixed_dictionaries(
        {"completion_tokens": _counts, "prompt_tokens": _counts, "total_tokens": _counts},
        optional={
            "prompt_tokens_details": st.none() | _optional(cached_tokens=_counts, audio_tokens=_counts),
            "completion_tokens_details": st.none() | _optional(reasoning_tokens=_counts, audio_tokens=_counts),
        },
    ),
    _extras,
)
_logprob: JSON = {"token": _texts, "logprob": st.floats(-100, 0), "bytes": st.none() | st.lists(st.integers(0, 255))}
_tokens = st.lists(
    st.fixed_dictionaries(_logprob | {"top_logprobs": st.lists(st.fixed_dictionaries(_logprob), max_size=1)}),
    min_size=1,
    max_size=3,
)
_function_calls = st.fixed_dictionaries({"name": _words, "arguments": _texts})
_calls: st.SearchStrategy[JSON] = st.builds(
    _merged,
    st.fixed_dictionaries({"type": st.just("function"), "function": _function_calls})
    | st.fixed_dictionaries(
        {"type": st.just("custom"), "custom": st.fixed_dictionaries({"name": _words, "input": _texts})}
    ),
    _extras,
)
_audio = st.fixed_dictionaries({"id": _words, "data": _texts, "transcript": _texts, "expires_at": _counts})
_messages: st.SearchStrategy[JSON] = st.builds(
    _with_role,
    st.fixed_dictionaries(
        {
            "content": st.none() | _texts,
            "refusal": _sometimes(_texts),
            "reasoning_content": _sometimes(_texts),
            "reasoning": _sometimes(_texts),
            "tool_calls": _sometimes(st.lists(_calls, min_size=1, max_size=3)),
            "function_call": _sometimes(_function_calls),
            "audio": _sometimes(_audio),
            "annotations": _sometimes(st.lists(st.dictionaries(_texts, _scalars, max_size=1), max_size=2)),
            "reasoning_details": _sometimes(st.lists(_texts, min_size=1, max_size=2).map(_reasoning_blocks)),
        }
    ),
    _extras,
)
_choices: st.SearchStrategy[JSON] = st.builds(
    _merged,
    st.fixed_dictionaries(
        {
            "message": _messages,
            "finish_reason": st.sampled_from(["stop", "length", "tool_calls", "content_filter", "eos", "größe"]),
            "logprobs": _sometimes(st.fixed_dictionaries({"content": _tokens, "refusal": _sometimes(_tokens)})),
        }
    ),
    _extras,
)


@st.composite
def completions(draw: st.DrawFn) -> JSON:
    """A complete completion, as the blocking call gets it."""
    choices = draw(st.lists(_choices, min_size=1, max_size=3))
    for index, choice in enumerate(choices):
        choice["index"] = index
        for number, call in enumerate(choice["message"]["tool_calls"] or ()):
            call["id"] = f"call_{index}_{number}"
    head = {"id": draw(_words), "object": "chat.completion", "created": draw(st.integers(1, 2**40))}
    rest = {
        "model": draw(_words),
        "choices": choices,
        "usage": draw(st.none() | _usages),
        "service_tier": draw(_sometimes(_words)),
        "system_fingerprint": draw(_sometimes(_words)),
        "moderation": draw(_sometimes(st.dictionaries(_texts, _scalars, max_size=1))),
        "metadata": draw(_sometimes(st.dictionaries(_texts, _texts, max_size=1))),
    }
    return head | rest | draw(_extras)


def may_be_parts_of_one(completion: JSON) -> bool:
    """Whether a completion's text and calls stand in separate choices, which are read as one."""
    first, *others = completion["choices"]
    return (
        first["finish_reason"] == "tool_calls"
        and not first["message"]["tool_calls"]
        and any(choice["message"]["tool_calls"] for choice in others)
    )


def chunks_of(completion: JSON, rng: random.Random) -> list[JSON]:
    """The chunks of a stream that says the same, cut and interleaved at random."""
    streams = [_choice_pieces(choice, rng) for choice in completion["choices"]]
    choices = _interleaved(streams, rng, in_order=False)
    chunks: list[JSON] = [_chunk(completion, choices=[])] if rng.random() < 0.2 else []
    while choices:
        count = 1 + (rng.random() < 0.2)
        chunks.append(_chunk(completion, choices=choices[:count]))
        del choices[:count]
    if completion["usage"] is not None:
        if rng.random() < 0.5:
            chunks.append(_chunk(completion, choices=[]))
        chunks[-1]["usage"] = completion["usage"]
    known = {"id", "object", "created", "model", "choices", "usage"}
    _scatter({name: value for name, value in completion.items() if name not in known}, chunks, rng)
    return chunks


def events_of(chunks: Sequence[JSON], rng: random.Random) -> list[bytes]:
    """The events of a stream, one for each chunk and then `[DONE]`, framed as any server may frame them."""
    line_end = rng.choice([b"\n", b"\n", b"\r\n", b"\r"])
    colon = rng.choice([b"data: ", b"data:"])
    payloads = [json.dumps(chunk, ensure_ascii=rng.random() < 0.5).encode() for chunk in chunks]
    events = [colon + payload + 2 * line_end for payload in payloads]
    comment = b": ping" + rng.choice([1, 2]) * line_end
    return [comment * (rng.random() < 0.1) + event for event in [*events, DONE]]


def _chunk(completion: JSON, **fields: Any) -> JSON:
    head = {name: completion[name] for name in ("id", "created", "model")}
    return head | {"object": "chat.completion.chunk"} | fields


def _choice_pieces(choice: JSON, rng: random.Random) -> list[JSON]:
    deltas = _message_pieces(choice["message"], rng)
    pieces: list[JSON] = [{"index": choice["index"], "delta": delta, "finish_reason": None} for delta in deltas]
    logprobs: JSON | None = choice["logprobs"]
    if logprobs is not None:
        halves = _split_list(logprobs["content"], rng)
        for piece, half in zip(pieces, halves, strict=False):
            piece["logprobs"] = {"content": half, "refusal": None}
        if len(halves) > len(pieces):
            pieces.append({"index": choice["index"], "delta": {}, "logprobs": {"content": halves[-1]}})
        pieces[-1].setdefault("logprobs", {})["refusal"] = logprobs["refusal"]
    if rng.random() < 0.5:
        pieces.append({"index": choice["index"], "delta": {}})
    pieces[-1]["finish_reason"] = choice["finish_reason"]
    known = {"index", "message", "logprobs", "finish_reason"}
    _scatter({name: value for name, value in choice.items() if name not in known}, pieces, rng)
    return pieces


def _message_pieces(message: JSON, rng: random.Random) -> list[JSON]:
    texts = [name for name in ("content", "refusal", "reasoning_content", "reasoning") if message[name] is not None]
    streams: list[list[JSON]] = [[{name: piece} for piece in _split(message[name], rng)] for name in texts]
    if message["tool_calls"] is not None:
        calls = [_call_pieces(index, call, rng) for index, call in enumerate(message["tool_calls"])]
        streams.append([{"tool_calls": [piece]} for piece in _interleaved(calls, rng, in_order=True)])
    if message["function_call"] is not None:
        name, *arguments = _named_pieces(message["function_call"], "arguments", rng)
        streams.append([{"function_call": piece} for piece in (name, *arguments)])
    if message["audio"] is not None:
        audio = message["audio"]
        grows = [{name: piece} for name in ("data", "transcript") for piece in _split(audio[name], rng)]
        streams.append(
            [{"audio": piece} for piece in ({"id": audio["id"]}, *grows, {"expires_at": audio["expires_at"]})]
        )
    if message["annotations"] is not None:
        streams.append([{"annotations": part} for part in _split_list(message["annotations"], rng)])
    if message["reasoning_details"] is not None:
        pieces = [
            block | {"text": text} for block in message["reasoning_details"] for text in _split(block["text"], rng)
        ]
        streams.append([{"reasoning_details": [piece]} for piece in pieces])
    deltas = [{"role": message["role"]}, *_interleaved(streams, rng, in_order=False)]
    known = {"role", "content", "refusal", "reasoning_content", "reasoning", "tool_calls", "function_call", "audio"}
    rest = {name: value for name, value in message.items() if name not in known | {"annotations", "reasoning_details"}}
    _scatter(rest, deltas, rng)
    return deltas


def _call_pieces(index: int, call: JSON, rng: random.Random) -> list[JSON]:
    kind = call["type"]
    inner = _named_pieces(call[kind], "arguments" if kind == "function" else "input", rng)
    pieces: list[JSON] = [{"index": index, kind: part} for part in inner]
    pieces[0] |= {"id": call["id"], "type": kind}
    if rng.random() < 0.3:
        for piece in pieces:
            piece["id"] = call["id"]
    _scatter({name: value for name, value in call.items() if name not in {"id", "type", kind}}, pieces, rng)
    return pieces


def _named_pieces(part: JSON, grows: str, rng: random.Random) -> list[JSON]:
    first, *rest = [{grows: piece} for piece in _split(part[grows], rng)]
    return [{"name": part["name"]} | first, *rest]


def _split(text: str, rng: random.Random) -> list[str]:
    edges = [0, *sorted(rng.randint(0, len(text)) for _ in range(rng.randint(0, 3))), len(text)]
    return [text[start:stop] for start, stop in itertools.pairwise(edges)]


def _split_list(items: list[Any], rng: random.Random) -> list[list[Any]]:
    middle = rng.randint(0, len(items))
    return [items[:middle], items[middle:]]


def _interleaved(streams: Sequence[Sequence[JSON]], rng: random.Random, *, in_order: bool) -> list[JSON]:
    """All pieces, those of each stream in their order; with `in_order` the streams also begin in theirs."""
    rest = [list(stream) for stream in streams]
    begun = [False] * len(rest)
    merged: list[JSON] = []
    while any(rest):
        may = [number for number, stream in enumerate(rest) if stream]
        if in_order:
            may = [number for number in may if begun[number] or all(begun[:number])]
        number = rng.choice(may)
        begun[number] = True
        merged.append(rest[number].pop(0))
    return merged


def _scatter(fields: JSON, nodes: Sequence[JSON], rng: random.Random) -> None:
    for name, value in fields.items():
        rng.choice(nodes)[name] = value
