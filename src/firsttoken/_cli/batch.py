"""`firsttoken batch`: a file of prompts to a file of answers."""

import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final, NamedTuple

from firsttoken import AsyncClient, Limiter
from firsttoken._cli.status import EXPECTED_ERRORS, Status, status_of
from firsttoken._cli.target import Target, resolve_target
from firsttoken._cli.terminal import CommandError, LiveLine, is_terminal, log_stderr, message_of
from firsttoken.batch import AdaptiveLimiter, InputError, Results, Summary
from firsttoken.batch._job import Job, Plan, Selection
from firsttoken.batch._results import Meter, Prices, dollars, progress_line, summary_lines
from firsttoken.batch._rows import RowReader
from firsttoken.errors import ChatCompletionError

_LINE_EVERY_S: Final = 10.0
"""Between two lines of progress where stderr is not a terminal."""

_BYTES_PER_TOKEN: Final = 4


class BatchOptions(NamedTuple):
    """What the command line says."""

    input: str
    output: str
    model: str | None
    base_url: str | None
    system: str | None
    template: str | None
    max_tokens: int | None
    temperature: float | None
    concurrency: int | None
    max_concurrency: int
    rpm: float | None
    tpm: float | None
    retry_errors: bool
    ordered: bool
    shard: tuple[int, int] | None
    limit: int | None
    dry_run: bool
    prices: bool


def batch(options: BatchOptions) -> Status:
    """Sends the rows of the input, writes the results to the output, and progress to stderr; gives the exit status."""
    try:
        with _input_path(options.input) as path:
            if options.dry_run:
                return _Batch(options, path, Target(options.base_url, options.model or "", None, "max_tokens")).check()
            with resolve_target(options.base_url, options.model) as target:
                return _Batch(options, path, target).run()
    except InputError as error:
        raise CommandError(message_of(error), Status.USAGE) from error
    except EXPECTED_ERRORS:  # of which some are an OSError
        raise
    except OSError as error:
        name = error.filename or options.output
        status = Status.USAGE if name == options.input else Status.NO_OUTPUT
        raise CommandError(f"{name}: {error.strerror or error}", status) from error


@contextlib.contextmanager
def _input_path(name: str) -> Generator[Path]:
    """The input's path; of standard input a copy, since an input is read twice."""
    if name != "-":
        yield Path(name)
        return
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield Path(copy.name)


class _Batch:
    """One run of the command."""

    def __init__(self, options: BatchOptions, path: Path, target: Target) -> None:
        self._options = options
        self._target = target
        self._prices = Prices(target.base_url) if options.prices else None
        self._reader = RowReader(
            model=options.model,
            default_model=target.model or "default",
            template=options.template,
            system=options.system,
            defaults={
                name: value
                for name, value in ((target.max_tokens_field, options.max_tokens), ("temperature", options.temperature))
                if value is not None
            },
        )
        self._job = Job(
            path,
            options.output,
            self._reader,
            selection=Selection(options.shard, options.limit),
            retry_errors=options.retry_errors,
            ordered=options.ordered,
        )
        self._display = _Display()

    def check(self) -> Status:
        """Says what there is to do."""
        plan = self._job.inspect()
        log_stderr(f"firsttoken: {_plan_line(plan)}")
        self._note_ignored()
        tokens = sum(plan.models.values()) // _BYTES_PER_TOKEN
        cost = ""
        if self._prices is not None:
            prices = [self._prices.estimate_usd(model, size // _BYTES_PER_TOKEN) for model, size in plan.models.items()]
            known = [price for price in prices if price is not None]
            unknown = f" ({len(prices) - len(known)} models of unknown price)" if len(known) < len(prices) else ""
            cost = f", {dollars(sum(known))} for them alone{unknown}"
        log_stderr(f"firsttoken: about {tokens:,} prompt tokens{cost}; nothing was sent")
        return Status.OK

    def run(self) -> Status:
        """Sends what is not finished."""
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            summary = asyncio.run(self._send())
        except asyncio.CancelledError:
            return self._interrupted()
        finally:
            self._display.clear()
            for number, handler in handlers.items():
                signal.signal(number, handler)
        self._report(summary)
        if summary.reason is not None:
            log_stderr(f"firsttoken: stopped: {message_of(summary.reason)}\nhint: run the same command again to go on")
            return status_of(summary.reason)
        if summary.stopped:
            return self._interrupted()
        return _status(summary)

    async def _send(self) -> Summary:
        options = self._options
        if options.concurrency is None:
            limiter: Limiter = AdaptiveLimiter(options.max_concurrency, options.rpm, options.tpm)
        else:
            limiter = Limiter(options.concurrency, options.rpm, options.tpm)
        async with AsyncClient(base_url=self._target.base_url, proxy=self._target.proxy) as client:
            return await self._job.run(
                client, limiter, prices=self._prices, on_start=self._on_start, on_tick=self._display.show
            )

    def _on_start(self, results: Results) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checkers
        self._note_ignored()

        def on_signal(*_: object) -> None:
            loop.call_soon_threadsafe(interrupt)  # which also wakes the loop

        def interrupt() -> None:
            if results.summary.stopped:
                task.cancel()
                return
            results.stop()
            self._display.clear()
            if results.in_flight:
                log_stderr(f"firsttoken: finishing {results.in_flight} requests in flight; Ctrl-C again drops them")

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, on_signal)

    def _interrupted(self) -> Status:
        log_stderr("firsttoken: interrupted\nhint: run the same command again to go on")
        return Status.INTERRUPTED

    def _report(self, summary: Summary) -> None:
        for line in summary_lines(summary):
            log_stderr(f"firsttoken: {line}")
        if summary.failed and not summary.stopped:
            log_stderr("hint: --retry-errors sends rows again that failed")

    def _note_ignored(self) -> None:
        if self._reader.ignored and self._options.template is None:
            names = ", ".join(self._reader.ignored)
            log_stderr(
                f'firsttoken: fields that are not sent: {names}\nhint: a server\'s own fields go into "extra": {{…}}'
            )


class _Display:
    """Progress on stderr: a line that is redrawn on a terminal, else one now and then."""

    def __init__(self) -> None:
        self._meter = Meter()
        self._line = LiveLine()
        self._is_terminal = is_terminal(sys.stderr)
        self._written_at = time.monotonic()

    def show(self, results: Results) -> None:
        now = time.monotonic()
        self._meter.update(results.summary, now)
        if not self._is_terminal and now - self._written_at < _LINE_EVERY_S:
            return
        self._written_at = now
        line = f"firsttoken: {progress_line(results.summary, self._meter, results.in_flight)}"
        if self._is_terminal:
            self._line.show(line)
        else:
            log_stderr(line)

    def clear(self) -> None:
        self._line.clear()


def _plan_line(plan: Plan) -> str:
    rows = plan.rows or 0
    to_send = rows - plan.duplicates - plan.finished - plan.invalid
    parts = [f"{rows:,} rows: {to_send:,} to send"]
    for count, words in (
        (plan.finished, "finished before"),
        (plan.duplicates, "duplicates"),
        (plan.invalid, "that can't be sent"),
    ):
        if count:
            parts.append(f"{count:,} {words}")
    return ", ".join(parts)


def _status(summary: Summary) -> Status:
    """Of several kinds of failures that of the most rows counts."""
    if not summary.failures:
        return Status.OK
    ((kind, _),) = summary.failures.most_common(1)
    error = summary.examples[kind]
    return status_of(error) if isinstance(error, ChatCompletionError) else Status.USAGE
