"""The sweep over numbers of streams: `python -m benchmarks.sweep` makes `docs/benchmarks/sweep.json`, and its chart.

Every stream has 10 chunks a second for 5 seconds.
"""

import argparse
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import msgspec

from benchmarks.case_async import KINDS, OURS, least
from benchmarks.chart import Line, Panel, draw
from benchmarks.concurrent import ConcurrentReading
from benchmarks.processes import bytecode_kept, read_concurrent, stream_server
from benchmarks.report import PACKAGES, as_json

STREAMS = (1, 10, 100, 500, 1000)
CHUNKS = 50
GAP_S = 0.1
COMMAND = "python -m benchmarks.sweep"
FOLDER = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"
JSON = FOLDER / "sweep.json"


class Figures(msgspec.Struct):
    """What `sweep.json` holds: how it was made, and the readings of each kind, by the number of streams."""

    command: str
    python: str
    machine: str
    versions: dict[str, str]
    repetitions: int
    chunks_a_stream: int
    seconds_between_chunks: float
    readings: dict[str, list[ConcurrentReading]]


def measure(repetitions: int) -> Figures:
    """Measure all kinds in turn, time and again; the least of each figure."""
    readings: dict[str, list[ConcurrentReading]] = {kind: [] for kind in KINDS}
    with bytecode_kept(), stream_server("concurrent_server") as port:
        for streams in STREAMS:
            rounds: dict[str, list[ConcurrentReading]] = {kind: [] for kind in KINDS}
            for _ in range(repetitions):
                for kind in KINDS:
                    rounds[kind].append(read_concurrent(kind, port, streams, CHUNKS, GAP_S))
            for kind in KINDS:
                readings[kind].append(least(rounds[kind]))
                print(_row(kind, readings[kind][-1]), flush=True)
    return Figures(
        command=COMMAND,
        python=platform.python_version(),
        machine=f"{platform.system()}, {platform.machine()}, {os.cpu_count()} CPUs",
        versions={name: version(name) for name in PACKAGES},
        repetitions=repetitions,
        chunks_a_stream=CHUNKS,
        seconds_between_chunks=GAP_S,
        readings=readings,
    )


def table(figures: Figures) -> str:
    """The figures as a table: by the number of streams, and of each the kinds."""
    rows = [_row(kind, readings[place]) for place in range(len(STREAMS)) for kind, readings in figures.readings.items()]
    return "\n".join([_header(), *rows])


def _header() -> str:
    titles = (
        "streams",
        "client",
        "CPU per chunk",
        "CPU to open a stream",
        "latest chunk is late by",
        "memory a stream",
    )
    return f"| {' | '.join(titles)} |\n|--:|---|--:|--:|--:|--:|"


def _row(kind: str, reading: ConcurrentReading) -> str:
    each_bytes = reading.grown_bytes / reading.streams
    memory = f"{each_bytes / 1024:.0f} KiB" if reading.streams >= 100 else "-"
    return (
        f"| {reading.streams:,} | {kind} | {reading.cpu_per_chunk_s * 1e6:.1f} us |"
        f" {reading.opening_cpu_s / reading.streams * 1e6:.0f} us | {reading.latest_s * 1e3:.1f} ms | {memory} |"
    )


def chart(figures: Figures) -> str:
    """The figures as SVG."""
    rate = 1 / figures.seconds_between_chunks
    costs = [
        Line(kind, [(it.streams, it.cpu_per_chunk_s * 1e6) for it in readings], kind == OURS)
        for kind, readings in figures.readings.items()
    ]
    delays = [
        Line(kind, [(it.streams, it.latest_s * 1e3) for it in readings], kind == OURS)
        for kind, readings in figures.readings.items()
    ]
    versions = ", ".join(f"{name} {number}" for name, number in figures.versions.items() if name != "httptools")
    return draw(
        f"Streams at once, each of {rate:g} chunks a second",
        [f"{versions}.", f"Python {figures.python}, {figures.machine}. Baseline: a bare asyncio protocol, msgspec."],
        [
            Panel("CPU time per chunk", "µs", "streams at once", costs),
            Panel("Delay of the latest chunk", "ms", "streams at once", delays),
        ],
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog=COMMAND, description="Measure 1 to 1,000 streams at once, and draw a chart.")
    parser.add_argument("--repetitions", type=int, default=3, help="of each measurement, 3 by default")
    arguments = parser.parse_args()
    print(_header(), flush=True)
    JSON.write_bytes(as_json(measure(arguments.repetitions)))
    from benchmarks import pages  # which imports this module

    pages.write()
    print("docs/benchmarks/sweep.json and sweep.svg are made, and the table in benchmarks/README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
