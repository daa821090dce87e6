"""Size: a very long stream, and a very large event."""

from benchmarks.payloads import DONE, chunk, cut, event
from benchmarks.processes import read_streams, stream_server
from benchmarks.report import Row, Scale, at_most, best, cpu_s, mebibytes, microseconds, milliseconds
from firsttoken.sansio import StreamParser

LONG_COST_LIMIT = 1.3
TEXT_COPIES = 3.0
"""How much memory a long stream may take, in sizes of its text: the pieces, the text joined from them, slack."""

SLACK_BYTES = 4 * 2**20
"""And beside its text: what any stream takes."""

EVENT_LIMIT = 8.0
"""How much more an event of four times the size may cost: 4 is linear, caches add up to half, 16 is quadratic."""

_MIB = 2**20
_CUT_BYTES = 1024


def million(scale: Scale) -> list[Row]:
    long, short = scale.pick(1_000_000, 100_000), 1_000
    with stream_server() as port:
        short_reading = min(
            (read_streams("firsttoken", port, f"bulk:{short}", streams=50) for _ in range(scale.pick(3, 2))),
            key=lambda reading: reading.cpu_s,
        )
        long_reading = min(
            (read_streams("firsttoken", port, f"bulk:{long}") for _ in range(scale.pick(3, 2))),
            key=lambda reading: reading.cpu_s,
        )
    short_s, long_s = short_reading.cpu_per_chunk_s, long_reading.cpu_per_chunk_s
    text, grown = long_reading.characters, long_reading.grown_bytes
    allowed = TEXT_COPIES * text + SLACK_BYTES
    return [
        Row(f"a chunk of {short:,}", microseconds(short_s), 1.0),
        at_most(f"a chunk of {long:,}", microseconds(long_s), long_s / short_s, LONG_COST_LIMIT),
        Row(f"text of {long:,} chunks", mebibytes(text), 1.0),
        Row("growth of peak memory", mebibytes(grown), grown / text, f"<= {mebibytes(allowed)}", grown / allowed),
    ]


def large_event(scale: Scale) -> list[Row]:
    sizes = {size: cut(event(chunk("x" * size * _MIB)) + DONE, _CUT_BYTES) for size in (4, 16)}
    figures = best(
        scale.pick(9, 3),
        {str(size): lambda pieces=pieces: cpu_s(lambda: _parse(pieces)) for size, pieces in sizes.items()},
    )
    small_s, large_s = figures["4"], figures["16"]
    return [
        Row("one event of 4 MiB, cut at every 1 KiB", milliseconds(small_s), 1.0),
        at_most("one event of 16 MiB, cut at every 1 KiB", milliseconds(large_s), large_s / small_s, EVENT_LIMIT),
    ]


def _parse(pieces: list[bytes]) -> None:
    parser = StreamParser()
    for piece in pieces:
        parser.receive_data(piece)
    if parser.next_chunk() is None:
        raise RuntimeError(f"expected a chunk: {parser.failure}")
