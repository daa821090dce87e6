"""`firsttoken bench`: options to a configuration, a run to its table and its files."""

import json
from pathlib import Path
from typing import Any

from firsttoken._cli.status import Status
from firsttoken._cli.target import resolve_target
from firsttoken._cli.terminal import CommandError, LiveLine, log_stderr
from firsttoken.bench.config import Config, Level, parse_levels, parse_slo
from firsttoken.bench.prompts import Prompts
from firsttoken.bench.report import header, row, write_html
from firsttoken.bench.runner import Report, WorkerError, merge, run
from firsttoken.errors import ConfigurationError


def bench(
    *,
    model: str | None,
    base_url: str | None,
    concurrency: str | None,
    rate: str | None,
    slo: str,
    output: str | None,
    html: str | None,
    **settings: Any,
) -> int:
    """Measure, with a row on stdout for each level, and write the files; `settings` are those of `Config`.

    Returns:
        0 where requests were completed, 5 where all failed, else the status of what was wrong.
    """
    try:
        levels, limits = parse_levels(concurrency, rate), parse_slo(slo)
        Prompts(settings["data"], seed=settings["seed"], salt=settings["salt"])
    except ConfigurationError as error:
        raise CommandError(str(error), Status.USAGE) from error
    try:
        with resolve_target(base_url, model) as target:
            config = Config(
                model=target.model,
                base_url=target.base_url,
                levels=levels,
                slo=limits,
                max_tokens_field=target.max_tokens_field,
                proxy=target.proxy,
                **settings,
            )
            report = _run(config)
    except WorkerError as error:
        raise CommandError(str(error), Status.NO_OUTPUT) from error
    status = _write(report, output, html)
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
    live = LiveLine()

    def on_progress(level: Level, done: int, failed: int, running: int) -> None:
        live.show(f"{level}: {done} done, {failed} failed, {running} running")

    def on_level(level: dict[str, Any]) -> None:
        live.clear()
        print(row(level, goodput=goodput), flush=True)

    return run(config, on_progress=on_progress, on_level=on_level)


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
