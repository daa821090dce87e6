"""The asyncio client over loopback: one stream as fast as it comes, and many streams at once."""

from collections.abc import Callable, Collection

from benchmarks.concurrent import ConcurrentReading
from benchmarks.processes import read_concurrent, read_streams, stream_server
from benchmarks.report import (
    Row,
    Scale,
    at_most,
    best,
    kibibytes,
    mebibytes,
    microseconds,
    milliseconds,
    seconds,
    within,
)

BULK_LIMIT = 2.0
MANY_LIMIT = 1.8
OPENING_LIMIT = 1.7
LATE_S = 1.0
STREAM_LIMIT_BYTES = 40 * 1024

BASELINE = "baseline"
OURS = "firsttoken"
KINDS = (BASELINE, OURS, "openai", "openai+aiohttp")
QUICK_KINDS = KINDS[:3]
NAMES = {BASELINE: "baseline: bare protocol, split and decode"}


def bulk(scale: Scale) -> list[Row]:
    chunks, streams = scale.pick(20_000, 10_000), scale.pick(4, 1)
    with stream_server() as port:

        def cost_s(kind: str) -> float:
            return read_streams(kind, port, f"bulk:{chunks}", streams, module="async_client").cpu_per_chunk_s

        figures = best(scale.pick(5, 2), {kind: lambda kind=kind: cost_s(kind) for kind in _kinds(scale)}, scale.once)
    return _costs(figures, BULK_LIMIT)


def many(scale: Scale) -> list[Row]:
    """200 streams of 50 chunks a second."""
    streams, gap_s = 200, 0.02
    readings = best_concurrent(_kinds(scale), streams, scale.pick(150, 25), gap_s, scale.pick(5, 2), scale.once)
    rows = _costs({kind: reading.cpu_per_chunk_s for kind, reading in readings.items()}, MANY_LIMIT)
    rows += _beside_baseline(
        "opening a stream", readings, lambda it: it.opening_cpu_s / it.streams, microseconds, OPENING_LIMIT
    )
    rows += _beside_baseline("wall time", readings, lambda it: it.wall_s, seconds)
    rows += _latest(readings)
    rows += [Row(f"{kind}, growth of memory", mebibytes(it.grown_bytes)) for kind, it in readings.items()]
    return rows


def thousand(scale: Scale) -> list[Row]:
    """1,000 streams of 10 chunks a second."""
    kinds = (OURS,) if scale.quick else KINDS
    readings = best_concurrent(kinds, 1000, scale.pick(50, 10), 0.1, scale.pick(3, 1))
    rows = _latest(readings)
    for kind, it in readings.items():
        each = it.grown_bytes / it.streams
        budget = STREAM_LIMIT_BYTES if kind == OURS else None
        rows.append(within(f"{kind}, memory of a stream", kibibytes(each), each, budget, kibibytes))
    rows += [Row(f"{kind}, cost of a chunk", microseconds(it.cpu_per_chunk_s)) for kind, it in readings.items()]
    return rows


def best_concurrent(
    kinds: tuple[str, ...], streams: int, chunks: int, gap_s: float, repetitions: int, once: Collection[str] = ()
) -> dict[str, ConcurrentReading]:
    """Measure kinds in turn, time and again, some of them but once; of each figure the least."""
    readings: dict[str, list[ConcurrentReading]] = {kind: [] for kind in kinds}
    with stream_server("concurrent_server") as port:
        for number in range(repetitions):
            for kind in kinds:
                if number == 0 or kind not in once:
                    readings[kind].append(read_concurrent(kind, port, streams, chunks, gap_s))
    return {kind: least(of_kind) for kind, of_kind in readings.items()}


def least(readings: list[ConcurrentReading]) -> ConcurrentReading:
    """The least of each figure; but the most memory, which noise does not add to."""
    return ConcurrentReading(
        streams=readings[0].streams,
        chunks=readings[0].chunks,
        opening_cpu_s=min(reading.opening_cpu_s for reading in readings),
        cpu_s=min(reading.cpu_s for reading in readings),
        wall_s=min(reading.wall_s for reading in readings),
        latest_s=min(reading.latest_s for reading in readings),
        grown_bytes=max(reading.grown_bytes for reading in readings),
    )


def _kinds(scale: Scale) -> tuple[str, ...]:
    return QUICK_KINDS if scale.quick else KINDS


def _costs(figures: dict[str, float], limit: float) -> list[Row]:
    rows: list[Row] = []
    for kind, cost_s in figures.items():
        ratio = cost_s / figures[BASELINE]
        name = NAMES.get(kind, kind)
        if kind == OURS:
            rows.append(at_most(name, microseconds(cost_s), ratio, limit))
        else:
            rows.append(Row(name, microseconds(cost_s), ratio))
    return rows


def _beside_baseline(
    what: str,
    readings: dict[str, ConcurrentReading],
    figure: Callable[[ConcurrentReading], float],
    words: Callable[[float], str],
    limit: float | None = None,
) -> list[Row]:
    baseline = figure(readings[BASELINE])
    rows = {kind: Row(f"{kind}, {what}", words(figure(it)), figure(it) / baseline) for kind, it in readings.items()}
    if limit is not None:
        ours = rows[OURS]
        rows[OURS] = at_most(ours.what, ours.measured, figure(readings[OURS]) / baseline, limit)
    return list(rows.values())


def _latest(readings: dict[str, ConcurrentReading]) -> list[Row]:
    return [
        within(
            f"{kind}, latest chunk is late by",
            milliseconds(it.latest_s),
            it.latest_s,
            LATE_S if kind == OURS else None,
            seconds,
        )
        for kind, it in readings.items()
    ]
