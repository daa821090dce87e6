"""Names, options and help of the command."""

import click

from firsttoken import __version__
from firsttoken._cli.bench_options import bench
from firsttoken._cli.chat_options import chat, config, models
from firsttoken._cli.options import attach_option, connection_options, max_tokens_option, require_text
from firsttoken._cli.status import HELP

__all__ = ["command"]


def _recorded_file(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value == "":
        raise click.BadParameter("the name of the file is empty.")
    if value == "-":
        raise click.BadParameter("standard output is for the answer; a file of that name is ./-")
    return value


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=HELP)
@click.version_option(__version__, message="%(prog)s %(version)s")
def command() -> None:
    """Ask a chat model, and see its answer while it is being written."""


@command.command(epilog=HELP)
@click.argument("prompt", required=False)
@connection_options
@click.option("-s", "--system", metavar="TEXT", help="Instructions for the model.")
@attach_option
@max_tokens_option
@click.option("--temperature", type=click.FloatRange(0, 2), metavar="T", help="From 0 (sober) to 2 (wild).")
@click.option("--json", is_flag=True, help="Write the events of the stream, a JSON object a line, and how it ended.")
@click.option("--stats", is_flag=True, help="Time to first token, tokens, tokens/s, finish reason, on stderr.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, writable=True),
    callback=_recorded_file,
    metavar="FILE",
    help="Record what the connection brings, for `replay`; over a FILE that is there.",
)
def ask(
    prompt: str | None,
    model: str | None,
    base_url: str | None,
    profile: str | None,
    timeout: float | None,
    header: dict[str, str],
    system: str | None,
    attach: tuple[str, ...],
    max_tokens: int | None,
    temperature: float | None,
    json: bool,
    stats: bool,
    record: str | None,
) -> int:
    """Ask PROMPT; the answer is written while it comes.

    Text on standard input is context for the PROMPT, or the PROMPT itself where there is none. The answer alone goes
    to standard output, all else to standard error.

    The key is $OPENAI_API_KEY, or that of the profile. With neither a key nor a base URL, a small model on this machine
    answers.
    """
    from firsttoken._cli.terminal import read_stdin

    text = _joined(read_stdin(), prompt or "")
    for name, value in (("PROMPT", text), ("--system", system), ("--model", model), ("--base-url", base_url)):
        require_text(name, value)

    from firsttoken._cli.ask import Question
    from firsttoken._cli.ask import ask as ask_question
    from firsttoken._cli.target import Connection

    connection = Connection(base_url, model, profile, timeout, header)
    return ask_question(
        Question(
            text,
            connection,
            system=system,
            attachments=attach,
            max_tokens=max_tokens,
            temperature=temperature,
            json=json,
            stats=stats,
            record=record,
        )
    )


@command.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Default: one that is free.")
@click.option("--host", default="127.0.0.1", metavar="H", show_default=True, help="The address to listen on.")
@click.option(
    "--model-path", type=click.Path(exists=True, dir_okay=False), metavar="GGUF", help="Default: SmolLM2-135M-Instruct."
)
def serve(port: int, host: str, model_path: str | None) -> int:
    """Serve the local model until Ctrl-C. Its base URL is written to standard output once it answers."""
    from firsttoken._cli.serve import serve as serve_model

    return serve_model(model_path, host, port)


def _speed(_context: click.Context, _option: click.Parameter, value: str) -> float:
    try:
        speed = float("inf") if value == "max" else float(value)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        raise click.BadParameter(f"{value!r} is neither a number above 0 nor max.")
    return speed


@command.command(epilog=HELP)
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--speed",
    callback=_speed,
    default="1",
    metavar="K",
    help="K times as fast as it was recorded, or max. Default: 1, as it was.",
)
@click.option("--stats", is_flag=True, help="Time to first token, tokens, tokens/s, finish reason, on stderr.")
@click.option("--serve", is_flag=True, help="Answer any client with it until Ctrl-C; the base URL goes to stdout.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="With --serve. Default: any free.")
def replay(file: str, speed: float, stats: bool, serve: bool, port: int | None) -> int:
    """Write the answer recorded in FILE once more, as `ask --record` wrote it.

    The bytes of the recording go over a connection on this machine, each read by itself at its time, through the same
    client. Of a question that was asked several times, because the server was overloaded, the last answer counts.
    """
    if port is not None and not serve:
        raise click.UsageError("--port goes with --serve")
    if stats and serve:
        raise click.UsageError("--stats does not go with --serve: the clients have the answers")

    from firsttoken._cli.replay import replay as replay_file
    from firsttoken._cli.replay import serve as serve_file

    return serve_file(file, speed, port or 0) if serve else replay_file(file, speed, stats=stats)


def _concurrency(_context: click.Context, _option: click.Parameter, value: str) -> int | None:
    if value == "auto":
        return None
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter(f"{value!r} is neither a number above 0 nor auto.")
    return int(value)


def _shard(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    number, _, count = value.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise click.BadParameter(f"{value!r} is not I/N, as in 1/4 to 4/4.")
    return int(number), int(count)


def _template(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is None or not value.startswith("@"):
        return value
    from pathlib import Path

    try:
        return Path(value[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{value[1:]} can't be read: {error}.") from error


@command.command(epilog=HELP)
@click.argument("input", metavar="IN")
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), metavar="OUT", help="The output.")
@click.option("-m", "--model", metavar="NAME", help="The model of all rows. Default: each row's own.")
@click.option("--base-url", metavar="URL", help="The server, up to and with /v1. Default: $OPENAI_BASE_URL.")
@click.option("-s", "--system", metavar="TEXT", help="Instructions for the model, for rows that have none.")
@click.option("--template", callback=_template, metavar="TEXT", help="The prompt, with {fields} of the row; or @FILE.")
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="For rows that set no limit.")
@click.option("--temperature", type=click.FloatRange(0, 2), metavar="T", help="For rows that set none.")
@click.option(
    "--concurrency", default="auto", callback=_concurrency, metavar="auto|N", help="Requests at once. Default: auto."
)
@click.option(
    "--max-concurrency", type=click.IntRange(min=1), default=512, metavar="N", help="The most for auto. Default: 512."
)
@click.option("--rpm", type=click.FloatRange(0, min_open=True), metavar="N", help="Requests per minute.")
@click.option("--tpm", type=click.FloatRange(0, min_open=True), metavar="N", help="Tokens per minute.")
@click.option("--retry-errors", is_flag=True, help="Send rows again whose result in OUT is an error.")
@click.option("--ordered", is_flag=True, help="At the end, put OUT into the order of IN.")
@click.option("--shard", callback=_shard, metavar="I/N", help="Only the I-th of N parts of IN; each needs its own OUT.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N rows.")
@click.option("--dry-run", is_flag=True, help="Check IN and OUT, count, and send nothing.")
@click.option("--prices", is_flag=True, help="Show what it costs. Needs the extra batch.")
def batch(
    input: str,  # noqa: A002 - the word for it
    output: str,
    model: str | None,
    base_url: str | None,
    system: str | None,
    template: str | None,
    max_tokens: int | None,
    temperature: float | None,
    concurrency: int | None,
    max_concurrency: int,
    rpm: float | None,
    tpm: float | None,
    retry_errors: bool,
    ordered: bool,
    shard: tuple[int, int] | None,
    limit: int | None,
    dry_run: bool,
    prices: bool,
) -> int:
    """Ask each row of IN; its answer or error is a line of OUT.

    IN has JSON lines, or is a .csv, .tsv or .parquet file; - is standard input. A row is a line of OpenAI's Batch API,
    or has the field messages or prompt, or those of the --template. OUT is what OpenAI's Batch API writes, in the order
    of completion.

    Run again, it goes on where it was: rows that OUT has are not sent again. Ctrl-C finishes what is in flight.
    """
    for name, value in (("IN", input), ("OUT", output), ("--model", model), ("--base-url", base_url)):
        require_text(name, value)
    for name, value in (("--system", system), ("--template", template)):
        require_text(name, value)

    from firsttoken._cli.batch import BatchOptions
    from firsttoken._cli.batch import batch as run_batch

    return run_batch(
        BatchOptions(
            input=input,
            output=output,
            model=model,
            base_url=base_url,
            system=system,
            template=template,
            max_tokens=max_tokens,
            temperature=temperature,
            concurrency=concurrency,
            max_concurrency=max_concurrency,
            rpm=rpm,
            tpm=tpm,
            retry_errors=retry_errors,
            ordered=ordered,
            shard=shard,
            limit=limit,
            dry_run=dry_run,
            prices=prices,
        )
    )


for _subcommand in (bench, chat, config, models):
    command.add_command(_subcommand)


def _joined(context: str, prompt: str) -> str:
    text = "\n\n".join(part for part in (context.strip("\n"), prompt) if part.strip())
    if text:
        return text
    raise click.UsageError("no question: give a PROMPT, as in: firsttoken ask 'Why is the sky blue?'")
