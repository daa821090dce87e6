"""Levels one after the other, each by all workers at once."""

import multiprocessing
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any, cast

import msgspec

from firsttoken import __version__
from firsttoken.bench.config import Config, Level
from firsttoken.bench.level import LevelStats, figures
from firsttoken.bench.worker import Share, work
from firsttoken.errors import ConfigurationError

VERSION = 1
"""Of the JSON file's schema."""

_START_AFTER_S = 0.2

Report = dict[str, Any]
"""A run as the JSON file has it."""

Progress = Callable[[Level, int, int, int], None]
"""Told of a running level how many requests are done, have failed and are under way."""


class WorkerError(Exception):
    """A worker process ended before its level did."""


def run(
    config: Config, *, on_progress: Progress | None = None, on_level: Callable[[dict[str, object]], None] | None = None
) -> Report:
    """Measure every level of a configuration.

    Ctrl-C ends the running level: what was counted of it, and the levels before, are in the report, which then has
    `"interrupted": true`.

    Args:
        config: what to measure.
        on_progress: called a few times a second.
        on_level: called with the figures of each level that has ended.

    Raises:
        ConfigurationError: the configuration is invalid.
        WorkerError: a worker died.
    """
    if not config.levels:
        raise ConfigurationError("no level to measure", hint="levels=[Level(concurrency=1)]")
    report = _new_report(config)
    with _workers(config) as connections:
        for position, level in enumerate(config.levels):
            start_at = config.start_at if position == 0 else None
            stats, interrupted = _measure(connections, level, start_at, on_progress)
            levels = cast("list[dict[str, object]]", report["levels"])
            levels.append(figures(level, stats, levels[-1] if levels else None))
            if on_level is not None:
                on_level(levels[-1])
            if interrupted:
                report["interrupted"] = True
                break
    return report


def merge(reports: Sequence[Report]) -> Report:
    """The report of several machines that measured one server at the same time: counts are added, rates too.

    Raises:
        ConfigurationError: they are not reports of the same levels.
    """
    shapes = {tuple((level["concurrency"], level["rate"]) for level in report["levels"]) for report in reports}
    if len(shapes) != 1:
        raise ConfigurationError("the reports have different levels", hint="run all with the same -c or --rate")
    merged: Report = {**reports[0], "levels": list[dict[str, object]](), "merged": len(reports)}
    for rows in zip(*(report["levels"] for report in reports), strict=True):
        stats = LevelStats()
        for row in rows:
            stats.merge(LevelStats.from_dict(row["counted"]))
        machines = len(rows)
        level = Level(
            concurrency=None if rows[0]["concurrency"] is None else rows[0]["concurrency"] * machines,
            rate=None if rows[0]["rate"] is None else rows[0]["rate"] * machines,
        )
        merged["levels"].append(figures(level, stats, merged["levels"][-1] if merged["levels"] else None))
    return merged


def _new_report(config: Config) -> Report:
    settings = cast("dict[str, object]", msgspec.to_builtins(config))
    return {"version": VERSION, "firsttoken": __version__, "at": time.time(), "config": settings, "levels": []}


@contextmanager
def _workers(config: Config) -> Generator[list[Connection]]:
    """A connection to each worker process; at the end they are stopped, and joined."""
    context = multiprocessing.get_context("spawn")
    encoded = msgspec.json.encode(config)
    processes: list[Any] = []
    connections: list[Connection] = []
    try:
        for index in range(config.workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(theirs, encoded, Share(index, config.workers)), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            connections.append(ours)
        yield connections
        for connection in connections:
            connection.send(None)
        for process in processes:
            process.join(5)
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
            process.join()


def _measure(
    connections: list[Connection], level: Level, start_at: float | None, on_progress: Progress | None
) -> tuple[LevelStats, bool]:
    """One level by all workers; and whether Ctrl-C ended it."""
    for connection in connections:
        connection.send(level)
    for connection in connections:
        _next(connection, "ready")
    delay_s = max(_START_AFTER_S, (start_at or 0.0) - time.time())
    begin_at = time.monotonic() + delay_s  # one clock for all processes of a machine
    for connection in connections:
        connection.send(begin_at)
    stats, interrupted = LevelStats(), False
    counts: dict[Connection, tuple[int, int, int]] = {}
    running = list(connections)
    while running:
        try:
            for connection in cast("list[Connection]", wait(running, 1.0)):
                kind, value = _receive(connection)
                if kind == "done":
                    stats.merge(LevelStats.from_dict(value))
                    running.remove(connection)
                else:
                    counts[connection] = value
            if on_progress is not None and counts:
                done, failed, under_way = (sum(column) for column in zip(*counts.values(), strict=True))
                on_progress(level, done, failed, under_way)
        except KeyboardInterrupt:
            if interrupted:
                raise
            interrupted = True
            for connection in running:
                connection.send("stop")
    return stats, interrupted


def _next(connection: Connection, wanted: str) -> None:
    while _receive(connection)[0] != wanted:
        pass


def _receive(connection: Connection) -> tuple[str, Any]:
    try:
        received: tuple[str, Any] = connection.recv()
    except EOFError as error:
        raise WorkerError("a worker process ended before its level did; its traceback is above") from error
    return received
