"""A batch from an input to an output file: checked first, then sent, and resumed where it was interrupted."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from firsttoken import AsyncClient, Limiter
from firsttoken.batch._files import read_file
from firsttoken.batch._ids import DONE, SEEN, STARTED, IdTable, shard_of
from firsttoken.batch._output import Found, Output, scan
from firsttoken.batch._results import Prices, Summary
from firsttoken.batch._rows import InputError, Row, RowReader, Value, numbered
from firsttoken.batch._runner import Results
from firsttoken.errors import ChatCompletionError, ConfigurationError

SYNC_EVERY_S: Final = 2.0
TICK_S: Final = 0.25
_ROWS_BESIDE: Final = 64
_MAX_CONCURRENCY: Final = 512

_YIELD_EVERY: Final = 256

Input = str | os.PathLike[str] | Iterable[Value]
"""The path of a file, or rows."""


class Selection(NamedTuple):
    """Which rows of an input to take.

    Attributes:
        shard: (i, n): the i-th of n parts, from 1, by the hash of the id; None for all.
        limit: the first so many rows of these; None for all.
    """

    shard: tuple[int, int] | None = None
    limit: int | None = None

    def of(self, rows: Iterator[Row]) -> Iterator[Row]:
        """The rows that are taken."""
        taken = 0
        for row in rows:
            if self.limit is not None and taken >= self.limit:
                return
            if self.shard is None or shard_of(row.id, self.shard[1]) == self.shard[0] - 1:
                taken += 1
                yield row


class Plan(NamedTuple):
    """What a batch has to do.

    Attributes:
        rows: of the input, as far as it was looked through; None where it can be read only once.
        duplicates: how many of them stand there a second time.
        finished: how many the output has.
        invalid: how many can't be sent.
        prompt_bytes: of those that are to be sent.
        models: how many bytes of prompts go to each model.
        found: what the output held.
    """

    rows: int | None
    duplicates: int
    finished: int
    invalid: int
    models: dict[str, int]
    found: Found


class Job:
    """Rows of an input, and the output file for their results.

    Args:
        input: the path of a file, or rows. Of an iterator the rows are checked while they are sent, of anything else
            before.
        output: the path of the output.
        reader: makes rows of what the input holds.
        selection: which of them to take.
        retry_errors: send rows again whose result in the output is an error.
        ordered: put the output into the order of the input at the end.
    """

    def __init__(
        self,
        input: Input,  # noqa: A002 - the word for it
        output: str | os.PathLike[str],
        reader: RowReader,
        *,
        selection: Selection = Selection(),  # noqa: B008 - it is immutable
        retry_errors: bool = False,
        ordered: bool = False,
    ) -> None:
        self._input = input
        self._output = Path(output)
        self._reader = reader
        self._selection = selection
        self._retry_errors = retry_errors
        self._ordered = ordered
        self._is_repeatable = isinstance(input, str | os.PathLike) or iter(input) is not input
        if ordered and not self._is_repeatable:
            raise ConfigurationError("ordered=True needs an input that can be read twice", hint="a file, or a list")
        if isinstance(input, str | os.PathLike):
            path = Path(input)
            path.stat()
            if self._output.exists() and path.samefile(self._output):
                raise InputError(f"{path} can't be both the input and the output")

    def inspect(self) -> Plan:
        """What there is to do; nothing is sent, and no file is changed.

        Raises:
            InputError: an id stands for two different rows, or a file is not what it should be.
            OSError: a file can't be read.
        """
        ids = IdTable()
        found = Found(0, 0, 0)
        if self._output.exists():
            found = scan(self._output, ids, retry_errors=self._retry_errors)
        return self._check(ids, found)

    async def run(
        self,
        client: AsyncClient,
        limiter: Limiter,
        *,
        prices: Prices | None = None,
        on_start: "Callable[[Results], None] | None" = None,
        on_tick: "Callable[[Results], None] | None" = None,
    ) -> Summary:
        """Send what is not finished.

        Args:
            client: sends the requests.
            limiter: limits them.
            prices: for the cost.
            on_start: called before the first request.
            on_tick: called four times a second.

        Returns:
            What came of it. Where the server refused every row for a reason of its own, `reason` is its error.

        Raises:
            InputError: an id stands for two different rows, or a file is not what it should be.
            OSError: a file can't be read or written.
        """
        ids = IdTable()
        with Output(self._output) as output:
            found = output.resume(ids, retry_errors=self._retry_errors)
            plan = self._check(ids, found)
            results = Results(
                self._pending(ids), client, limiter, max_rows=rows_held(limiter), owns_client=False, prices=prices
            )
            summary = results.summary
            summary.rows, summary.duplicates, summary.finished_before = plan.rows, plan.duplicates, plan.finished
            if on_start is not None:
                on_start(results)
            ticker = asyncio.create_task(_tick(output, results, on_tick))
            try:
                async with results:
                    async for result in results:
                        output.write(result)
            except ChatCompletionError as error:
                if error is not summary.reason:
                    raise
            finally:
                ticker.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await ticker
            if self._ordered and not summary.stopped:
                output.sort(row.id for row in self._rows())
        return summary

    def _rows(self) -> Iterator[Row]:
        if isinstance(self._input, str | os.PathLike):
            rows = self._reader.read(read_file(Path(self._input)))
        else:
            rows = self._reader.read(numbered(self._input))
        return self._selection.of(rows)

    def _check(self, ids: IdTable, found: Found) -> Plan:
        if not self._is_repeatable:
            return Plan(None, 0, 0, 0, {}, found)
        rows = duplicates = finished = invalid = 0
        first_problem = ""
        models: dict[str, int] = {}
        for row in self._rows():
            rows += 1
            flags = _add(ids, row, SEEN)
            if flags & SEEN:
                duplicates += 1
            elif flags & DONE:
                finished += 1
            elif row.problem:
                invalid += 1
                first_problem = first_problem or row.problem
            else:
                model = str(row.body["model"])
                models[model] = models.get(model, 0) + len(str(row.body["messages"]))
        if invalid and invalid == rows - duplicates:
            raise InputError(f"no row of the input can be sent: {first_problem}")
        return Plan(rows, duplicates, finished, invalid, models, found)

    def _pending(self, ids: IdTable) -> "Iterator[Row | None]":
        """The rows that are to be sent; None now and then, where there are none for a while."""
        skipped = 0
        for row in self._rows():
            if _add(ids, row, STARTED) & (DONE | STARTED):
                skipped += 1
                if skipped % _YIELD_EVERY == 0:
                    yield None
            else:
                yield row


def rows_held(limiter: Limiter) -> int:
    """How many rows to hold at a time: those in flight, as many that wait to be tried again, and a few more."""
    return 2 * (limiter.concurrency or _MAX_CONCURRENCY) + _ROWS_BESIDE


def pending(rows: Iterator[Row]) -> "Iterator[Row | None]":
    """Each row once.

    Raises:
        InputError: an id stands for two different rows.
    """
    ids = IdTable()
    for row in rows:
        if not _add(ids, row, STARTED):
            yield row


def _add(ids: IdTable, row: Row, flag: int) -> int:
    try:
        return ids.add(row.id, flag, row.digest)
    except ValueError:
        if ids.get(row.id) & (SEEN | STARTED):
            raise InputError(
                f"row {row.number}: the id {row.id!r} is also that of another row, with different content"
            ) from None
        raise InputError(
            f"row {row.number}: the output has the id {row.id!r} with different content: prompt, model or options",
            hint="use another output file, or change the id of the row",
        ) from None


async def _tick(output: Output, results: Results, on_tick: "Callable[[Results], None] | None") -> None:
    synced_at, synced = time.monotonic(), 0
    while True:
        await asyncio.sleep(TICK_S)
        if on_tick is not None:
            on_tick(results)
        done, now = results.summary.done, time.monotonic()
        if done > synced and now - synced_at >= SYNC_EVERY_S:
            await asyncio.to_thread(output.sync)
            synced_at, synced = time.monotonic(), done
