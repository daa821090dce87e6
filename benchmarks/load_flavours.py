"""What a chunk costs in the flavour of each well-known server: bytes to chunks, folded; no HTTP, no socket."""

import json
from itertools import cycle, islice

import msgspec

from benchmarks.flavours import FLAVOURS, UNLIMITED
from benchmarks.load_core import READ_BYTES, through_core
from benchmarks.material import DONE, WORDS, cut, event
from benchmarks.report import Row, Scale, at_most, best, cpu_s, microseconds

LIMIT = 5.0

_decode = msgspec.json.Decoder().decode


def run(scale: Scale) -> list[Row]:
    count = scale.pick(5_000, 1_000)
    return [
        row
        for name, made in FLAVOURS.items()
        for row in _rows(name, [event(made(word)) for word in islice(cycle(WORDS), count)], scale)
    ]


def _rows(name: str, events: list[bytes], scale: Scale) -> list[Row]:
    pieces, few = cut(b"".join(events) + DONE, READ_BYTES), [event[6:-2] for event in events[:100]]
    figures = best(
        scale.pick(15, 5),
        {
            "floor": lambda: cpu_s(lambda: _split_and_decode(pieces)) / len(events),
            "core": lambda: cpu_s(lambda: through_core(pieces, len(events))) / len(events),
            "openai": lambda: cpu_s(lambda: _as_openai_does(few)) / len(few),
        },
        scale.once,
    )
    floor, core, openai = figures["floor"], figures["core"], figures["openai"]
    ours = microseconds(core), core / floor
    return [
        Row(f"{name}: floor, plain dicts", microseconds(floor), 1.0),
        Row(f"{name}: firsttoken", *ours) if name in UNLIMITED else at_most(f"{name}: firsttoken", *ours, LIMIT),
        Row(f"{name}: openai, one decode", microseconds(openai), openai / floor),
    ]


def _split_and_decode(pieces: list[bytes]) -> None:
    """The least that keeps every field: split on blank lines, and one untyped decode of each event."""
    held = b""
    for piece in pieces:
        *blocks, held = (held + piece).split(b"\n\n")
        for block in blocks:
            if block != DONE[:-2]:
                _decode(block[6:])


def _as_openai_does(payloads: list[bytes]) -> None:
    """What the official client makes of the data of events: its chunks, not validated, and not folded."""
    from openai.types.chat import ChatCompletionChunk

    for payload in payloads:
        ChatCompletionChunk.construct(**json.loads(payload))
