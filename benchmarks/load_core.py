"""The core alone: bytes of a body in, chunks handed out and folded; no HTTP, no socket."""

from benchmarks.floor import split_and_decode
from benchmarks.material import DONE, cut, events
from benchmarks.report import Row, Scale, at_most, best, cpu_s, microseconds
from firsttoken.sansio import StreamParser

LIMIT = 2.0
READ_BYTES = 65536


def run(scale: Scale) -> list[Row]:
    count = scale.pick(20_000, 5_000)
    known = cut(b"".join(events(count)) + DONE, READ_BYTES)
    # As OpenRouter does it: fields of its own in every chunk and in every choice.
    own = cut(b"".join(events(count, {"provider": "Somewhere", "native_finish_reason": None})) + DONE, READ_BYTES)
    figures = best(
        scale.pick(15, 5),
        {
            "floor": lambda: cpu_s(lambda: split_and_decode(known)) / count,
            "core": lambda: cpu_s(lambda: through_core(known, count)) / count,
            "own floor": lambda: cpu_s(lambda: split_and_decode(own)) / count,
            "own core": lambda: cpu_s(lambda: through_core(own, count)) / count,
        },
    )
    return [
        Row("floor: split and decode", microseconds(figures["floor"]), 1.0),
        at_most("firsttoken", microseconds(figures["core"]), figures["core"] / figures["floor"], LIMIT),
        Row("floor, unknown fields in each chunk", microseconds(figures["own floor"]), 1.0),
        Row(
            "firsttoken, unknown fields in each chunk",
            microseconds(figures["own core"]),
            figures["own core"] / figures["own floor"],
        ),
    ]


def through_core(pieces: list[bytes], count: int) -> None:
    """Hand out the chunks of a body and fold them; there must be so many."""
    core = StreamParser()
    for piece in pieces:
        core.receive_data(piece)
        while core.next_chunk() is not None:
            pass
    if core.chunks_yielded != count or not core.completion.choices:
        raise RuntimeError(f"the core gave {core.chunks_yielded} chunks of {count}: {core.failure}")
