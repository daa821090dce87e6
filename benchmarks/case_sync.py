"""The sync client over loopback: chunks as fast as they are sent or one by one, short streams, and an observer."""

import dataclasses
from collections.abc import Collection

from benchmarks.processes import read_streams, stream_server
from benchmarks.report import Row, Scale, at_most, best, microseconds

BULK_LIMIT = 2.0
SINGLE_CHUNK_LIMIT = 2.0
OBSERVER_LIMIT = 1.03


def bulk(scale: Scale) -> list[Row]:
    return _beside_baseline("bulk:20000", scale.pick(4, 1), scale.pick(5, 2), scale.once, BULK_LIMIT)


def single_chunk(scale: Scale) -> list[Row]:
    """Once with a CPU that idles between chunks, as a client's does, and once with a warm one: see `cpus`."""
    streams, repetitions = scale.pick(12, 2), scale.pick(5, 2)
    rows = _beside_baseline("single-chunk:500", streams, repetitions, scale.once, SINGLE_CHUNK_LIMIT)
    warm = _beside_baseline("warm:500", streams, repetitions, scale.once, None)
    return rows + [dataclasses.replace(row, what=f"{row.what}, warm") for row in warm]


def opening(scale: Scale) -> list[Row]:
    """A stream of a single chunk on a connection that is kept alive: nearly all of it is opening and closing."""
    streams = scale.pick(500, 100)
    rows = _beside_baseline("bulk:1", streams, scale.pick(5, 2), scale.once, None)
    return [dataclasses.replace(row, what=f"{row.what}, a stream of one chunk") for row in rows]


def observer(scale: Scale) -> list[Row]:
    """An observer that does nothing, in bulk and with each chunk alone."""
    rows: list[Row] = []
    for what, model in (("bulk", "bulk:20000"), ("each chunk alone", "warm:500")):
        with stream_server() as port:

            def cost_s(kind: str, model: str = model, port: int = port) -> float:
                return read_streams(kind, port, model, scale.pick(12, 2)).cpu_per_chunk_s

            figures = best(
                scale.pick(8, 2),
                {"without": lambda: cost_s("firsttoken"), "with": lambda: cost_s("firsttoken+observer")},
            )
        ratio = figures["with"] / figures["without"]
        rows.append(Row(f"{what}, no observer", microseconds(figures["without"]), 1.0))
        rows.append(at_most(f"{what}, one that does nothing", microseconds(figures["with"]), ratio, OBSERVER_LIMIT))
    return rows


def _beside_baseline(
    model: str, streams: int, repetitions: int, once: Collection[str], limit: float | None
) -> list[Row]:
    """Read short streams rather than one that is long: some of them escape what else the machine does."""
    with stream_server() as port:

        def cost_s(kind: str) -> float:
            return read_streams(kind, port, model, streams).cpu_per_chunk_s

        figures = best(
            repetitions,
            {
                "baseline": lambda: cost_s("baseline"),
                "firsttoken": lambda: cost_s("firsttoken"),
                "openai": lambda: cost_s("openai"),
            },
            once,
        )
    baseline_s, ours_s = figures["baseline"], figures["firsttoken"]
    ours = Row("firsttoken", microseconds(ours_s), ours_s / baseline_s)
    return [
        Row("baseline: bare socket, split and decode", microseconds(baseline_s), 1.0),
        ours if limit is None else at_most(ours.what, ours.measured, ours_s / baseline_s, limit),
        Row("openai", microseconds(figures["openai"]), figures["openai"] / baseline_s),
    ]
