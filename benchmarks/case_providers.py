"""What a chunk of each well-known provider costs, from bytes to the accumulated completion; no HTTP, no socket."""

import json
from itertools import cycle, islice

import msgspec

from benchmarks.case_core import READ_BYTES, parse
from benchmarks.payloads import DONE, WORDS, cut, event
from benchmarks.providers import PROVIDERS, UNLIMITED, WITH_BLOCKS
from benchmarks.report import Row, Scale, at_most, best, cpu_s, microseconds

LIMIT = 5.0
BLOCKS_LIMIT = 9.0
"""Where each chunk has a piece of a structured block: it is joined to its block, and counted."""

_decode = msgspec.json.Decoder().decode


def run(scale: Scale) -> list[Row]:
    count = scale.pick(5_000, 1_000)
    return [
        row
        for name, made in PROVIDERS.items()
        for row in _rows(name, [event(made(word)) for word in islice(cycle(WORDS), count)], scale)
    ]


def _rows(name: str, events: list[bytes], scale: Scale) -> list[Row]:
    pieces, few = cut(b"".join(events) + DONE, READ_BYTES), [event[6:-2] for event in events[:100]]
    figures = best(
        scale.pick(15, 5),
        {
            "baseline": lambda: cpu_s(lambda: _split_and_decode(pieces)) / len(events),
            "core": lambda: cpu_s(lambda: parse(pieces, len(events))) / len(events),
            "openai": lambda: cpu_s(lambda: _as_openai_does(few)) / len(few),
        },
        scale.once,
    )
    baseline, core, openai = figures["baseline"], figures["core"], figures["openai"]
    ours, limit = (microseconds(core), core / baseline), BLOCKS_LIMIT if name in WITH_BLOCKS else LIMIT
    return [
        Row(f"{name}: baseline, plain dicts", microseconds(baseline), 1.0),
        Row(f"{name}: firsttoken", *ours) if name in UNLIMITED else at_most(f"{name}: firsttoken", *ours, limit),
        Row(f"{name}: openai, one decode", microseconds(openai), openai / baseline),
    ]


def _split_and_decode(pieces: list[bytes]) -> None:
    """The least that keeps every field: split on blank lines, and one untyped decode of each event."""
    buffer = b""
    for piece in pieces:
        *blocks, buffer = (buffer + piece).split(b"\n\n")
        for block in blocks:
            if block != DONE[:-2]:
                _decode(block[6:])


def _as_openai_does(payloads: list[bytes]) -> None:
    """What the official client makes of the data of events: its chunks, neither validated nor accumulated."""
    from openai.types.chat import ChatCompletionChunk

    for payload in payloads:
        ChatCompletionChunk.construct(**json.loads(payload))
