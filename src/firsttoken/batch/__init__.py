"""Many prompts: each gets its complete answer or an error, and none is sent twice.

    from firsttoken.batch import run

    summary = run("prompts.jsonl", "answers.jsonl", model="gpt-5-mini")

`run` writes the results to a file, and resumes an interrupted run; `arun` gives them while they come:

    async for result in arun(["Why is the sky blue?", "Why is grass green?"], model="gpt-5-mini"):
        print(result.id, result.text or result.error)

Rows are read while they are sent, so that an input may be larger than memory. `AdaptiveLimiter` finds out how many
requests at once a server takes. The command is `firsttoken batch`.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from firsttoken import AsyncClient, Limiter
from firsttoken.batch._adaptive import AdaptiveLimiter
from firsttoken.batch._files import read_file
from firsttoken.batch._job import Input, Job, Selection, pending, rows_held
from firsttoken.batch._results import Result, Summary
from firsttoken.batch._rows import InputError, RowReader, numbered
from firsttoken.batch._runner import Results
from firsttoken.errors import ConfigurationError

__all__ = ["AdaptiveLimiter", "InputError", "Result", "Results", "Summary", "arun", "run"]


def run(
    input: Input,  # noqa: A002 - the word for it
    output: str | os.PathLike[str],
    *,
    model: str | None = None,
    client: AsyncClient | None = None,
    limiter: Limiter | None = None,
    concurrency: int | Literal["auto"] = "auto",
    max_concurrency: int = 512,
    requests_per_minute: float | None = None,
    tokens_per_minute: float | None = None,
    template: str | None = None,
    system: str | None = None,
    defaults: Mapping[str, object] | None = None,
    retry_errors: bool = False,
    ordered: bool = False,
    shard: tuple[int, int] | None = None,
    limit: int | None = None,
    on_progress: Callable[[Summary], object] | None = None,
) -> Summary:
    """Send the rows of an input, and write a line for each into an output file.

    An existing output is continued: its rows are not sent again, and a line that a kill cut off is removed.

    Args:
        input: the path of a file, or rows. A file has JSON lines, or is .csv, .tsv or .parquet. A row is a line of
            OpenAI's Batch API, an object with `messages` or `prompt`, the fields of the template, a `str`, or a
            `ChatCompletionRequest`; its id is its `custom_id` or `id`, else a hash of its content.
        output: the path of the output: lines as OpenAI's Batch API writes them, in the order of completion.
        model: for all rows, whatever model they name.
        client: sends the requests; None makes one, from the environment. It is not closed.
        limiter: limits the requests in place of the four that follow; None takes the client's, if it has one.
        concurrency: how many requests at once; "auto" finds out.
        max_concurrency: the most that "auto" may find.
        requests_per_minute: how many requests may start in a minute.
        tokens_per_minute: how many tokens may be used in a minute.
        template: makes the prompt of each row: `{name}` is replaced by the row's field of that name.
        system: the system message of rows that have none.
        defaults: fields of the request for rows that do not have them, as in {"max_tokens": 100}.
        retry_errors: send rows again whose result in the output is an error.
        ordered: put the output into the order of the input, when all is done.
        shard: (i, n): only the i-th of n parts, from 1. Each part needs an output of its own.
        limit: only the first so many rows.
        on_progress: called four times a second with what came of the rows so far.

    Returns:
        What came of the rows; `stopped` and `reason` where the server refused all, so that some were not sent.

    Raises:
        InputError: two rows share an id, none can be sent, or a file is invalid; before sending, except in iterators.
        ConfigurationError: an argument is invalid, the API key is missing, or an event loop runs in this thread.
        OSError: a file can't be read or written.
    """
    _require_no_loop()
    _check_shard(shard)
    reader = RowReader(model=model, template=template, system=system, defaults=defaults)
    job = Job(input, output, reader, selection=Selection(shard, limit), retry_errors=retry_errors, ordered=ordered)
    _check_client(client)
    limiter = limiter or _limiter(client, concurrency, max_concurrency, requests_per_minute, tokens_per_minute)
    return asyncio.run(_send(job, client, limiter, on_progress))


def arun(
    input: Input,  # noqa: A002 - the word for it
    *,
    model: str | None = None,
    client: AsyncClient | None = None,
    limiter: Limiter | None = None,
    concurrency: int | Literal["auto"] = "auto",
    max_concurrency: int = 512,
    requests_per_minute: float | None = None,
    tokens_per_minute: float | None = None,
    template: str | None = None,
    system: str | None = None,
    defaults: Mapping[str, object] | None = None,
) -> Results:
    """Send the rows of an input, and iterate over their results in the order of completion.

    Args: as those of `run`; nothing is written.

    Returns:
        An async iterator. What leaves it before the end should use it by `async with`, which ends the requests in
        flight. It raises `ChatCompletionError` where the server refuses all rows for the same reason, and
        `InputError` at an id that stands for two different rows.

    Raises:
        ConfigurationError: an argument is invalid, or the API key is missing.
    """
    reader = RowReader(model=model, template=template, system=system, defaults=defaults)
    values = read_file(Path(input)) if isinstance(input, str | os.PathLike) else numbered(input)
    _check_client(client)
    limiter = limiter or _limiter(client, concurrency, max_concurrency, requests_per_minute, tokens_per_minute)
    rows, sender = pending(reader.read(values)), client or AsyncClient()
    return Results(rows, sender, limiter, max_rows=rows_held(limiter), owns_client=client is None)


async def _send(
    job: Job, client: AsyncClient | None, limiter: Limiter, on_progress: Callable[[Summary], object] | None
) -> Summary:
    def on_tick(results: Results) -> None:
        if on_progress is not None:
            on_progress(results.summary)

    async with contextlib.AsyncExitStack() as stack:
        sender = await stack.enter_async_context(AsyncClient()) if client is None else client
        return await job.run(sender, limiter, on_tick=on_tick)


def _limiter(
    client: AsyncClient | None,
    concurrency: int | Literal["auto"],
    max_concurrency: int,
    requests_per_minute: float | None,
    tokens_per_minute: float | None,
) -> Limiter:
    if client is not None and client._config.limiter is not None:
        return client._config.limiter
    if concurrency == "auto":
        return AdaptiveLimiter(max_concurrency, requests_per_minute, tokens_per_minute)
    return Limiter(concurrency, requests_per_minute, tokens_per_minute)


def _check_client(client: AsyncClient | None) -> None:
    if client is not None and not isinstance(client, AsyncClient):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"client must be an AsyncClient, not {type(client).__name__}")


def _check_shard(shard: tuple[int, int] | None) -> None:
    if shard is not None and not 1 <= shard[0] <= shard[1]:
        raise ConfigurationError(f"shard must be (i, n) with 1 <= i <= n, not {shard!r}")


def _require_no_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise ConfigurationError("run() can't be called from a running event loop", hint="use arun(), or a thread")


for _name in __all__:
    globals()[_name].__module__ = __name__
