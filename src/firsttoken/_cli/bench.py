"""`firsttoken bench`: options to a configuration, a run to its table and its files."""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from firsttoken._cli.status import Status
from firsttoken._cli.target import resolve_target
from firsttoken._cli.terminal import CommandError, log_stderr
from firsttoken.bench.config import Config, Level, parse_levels, parse_slo
from firsttoken.bench.prompts import Prompts
from firsttoken.bench.report import header, row, write_html
from firsttoken.bench.runner import Report, WorkerError, merge, run
from firsttoken.errors import ConfigurationError

__all__ = ["Options", "bench", "merge_files"]


class Options(NamedTuple):
    """What the command line said."""

    model: str | None
    base_url: str | None
    concurrency: str | None
    rate: str | None
    arrival: str
    duration_s: float
    requests: int | None
    warmup: int | None
    data: str
    slo: str
    workers: int
    seed: int
    salt: bool
    output: str | None
    html: str | None
    start_at: float | None


def bench(options: Options) -> int:
    """Measure, with a row on stdout for each level, and write the files.

    Returns:
        0 where requests were completed, 5 where all failed, else the status of what was wrong.
    """
    try:
        levels, slo = parse_levels(options.concurrency, options.rate), parse_slo(options.slo)
        Prompts(options.data, seed=options.seed, salt=options.salt)
    except ConfigurationError as error:
        raise CommandError(str(error), Status.USAGE) from error
    try:
        with resolve_target(options.base_url, options.model) as target:
            config = Config(
                model=target.model,
                base_url=target.base_url,
                levels=levels,
                arrival=options.arrival,
                duration_s=options.duration_s,
                requests=options.requests,
                warmup=options.warmup,
                data=options.data,
                slo=slo,
                workers=options.workers,
                seed=options.seed,
                salt=options.salt,
                max_tokens_field=target.max_tokens_field,
                start_at=options.start_at,
                proxy=target.proxy,
            )
            report = _run(config)
    except WorkerError as error:
        raise CommandError(str(error), Status.NO_OUTPUT) from error
    status = _write(report, options.output, options.html)
    if status is Status.OK and report.get("interrupted"):
        return 130
    if status is Status.OK and not any(level["completed"] for level in report["levels"]):
        return Status.OVERLOADED
    return status


def merge_files(files: tuple[str, ...], output: str | None, html: str | None) -> int:
    """Merge the reports of several machines, print their table and write the files."""
    reports: list[Report] = []
    for file in files:
        try:
            report = json.loads(Path(file).read_text(encoding="utf-8"))
            reports.append({"levels": report["levels"], **report})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{file} is not a report of bench: {error}", Status.USAGE) from error
    try:
        merged = merge(reports)
    except ConfigurationError as error:
        raise CommandError(str(error), Status.USAGE) from error
    goodput = bool(merged["config"]["slo"])
    print(header(goodput=goodput))
    for level in merged["levels"]:
        print(row(level, goodput=goodput))
    return _write(merged, output, html)


def _run(config: Config) -> Report:
    goodput = bool(config.slo)
    print(header(goodput=goodput), flush=True)
    live = _Live(sys.stderr.isatty())

    def on_level(level: dict[str, Any]) -> None:
        live.clear()
        print(row(level, goodput=goodput), flush=True)

    return run(config, on_progress=live.show, on_level=on_level)


class _Live:
    """The line of a running level, on a terminal."""

    def __init__(self, is_terminal: bool) -> None:
        self._is_terminal = is_terminal
        self._width = 0

    def show(self, level: Level, done: int, failed: int, running: int) -> None:
        if self._is_terminal:
            line = f"{level}: {done} done, {failed} failed, {running} running"
            sys.stderr.write(f"\r{line:<{self._width}}")
            sys.stderr.flush()
            self._width = len(line)

    def clear(self) -> None:
        if self._width:
            sys.stderr.write(f"\r{'':<{self._width}}\r")
            sys.stderr.flush()
            self._width = 0


def _write(report: Report, output: str | None, html: str | None) -> Status:
    try:
        if output is not None:
            Path(output).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        if html is not None:
            write_html(report, html)
    except OSError as error:
        log_stderr(f"firsttoken: can't write the report: {error}")
        return Status.NO_OUTPUT
    return Status.OK
