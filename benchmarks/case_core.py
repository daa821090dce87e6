"""The protocol layer alone: bytes of a body in, chunks yielded and accumulated; no HTTP, no socket."""

from benchmarks.baseline import split_and_decode
from benchmarks.payloads import DONE, cut, events
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
            "baseline": lambda: cpu_s(lambda: split_and_decode(known)) / count,
            "core": lambda: cpu_s(lambda: parse(known, count)) / count,
            "own baseline": lambda: cpu_s(lambda: split_and_decode(own)) / count,
            "own core": lambda: cpu_s(lambda: parse(own, count)) / count,
        },
    )
    return [
        Row("baseline: split and decode", microseconds(figures["baseline"]), 1.0),
        at_most("firsttoken", microseconds(figures["core"]), figures["core"] / figures["baseline"], LIMIT),
        Row("baseline, unknown fields in each chunk", microseconds(figures["own baseline"]), 1.0),
        Row(
            "firsttoken, unknown fields in each chunk",
            microseconds(figures["own core"]),
            figures["own core"] / figures["own baseline"],
        ),
    ]


def parse(pieces: list[bytes], count: int) -> None:
    """Yield the chunks of a body and accumulate them.

    Raises:
        RuntimeError: there are not `count` of them.
    """
    parser = StreamParser()
    for piece in pieces:
        parser.receive_data(piece)
        while parser.next_chunk() is not None:
            pass
    if parser.chunks_yielded != count or not parser.completion.choices:
        raise RuntimeError(f"expected {count} chunks, got {parser.chunks_yielded}: {parser.failure}")
