"""Names, options and help of the command."""

import click

from firsttoken import __version__
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
@click.option("-m", "--model", metavar="NAME", help="The model to ask. OpenAI: gpt-5-mini, unless named.")
@click.option("--base-url", metavar="URL", help="The server, up to and with /v1. Default: $OPENAI_BASE_URL.")
@click.option("-s", "--system", metavar="TEXT", help="Instructions for the model.")
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="Stop the answer after N tokens.")
@click.option("--temperature", type=click.FloatRange(0, 2), metavar="T", help="From 0 (sober) to 2 (wild).")
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
    system: str | None,
    max_tokens: int | None,
    temperature: float | None,
    stats: bool,
    record: str | None,
) -> int:
    """Write the answer to PROMPT to standard output, as it comes.

    Text on standard input is context for the PROMPT, or the PROMPT itself where there is none. The answer alone goes
    to standard output, all else to standard error.

    The key is $OPENAI_API_KEY. With neither a key nor a base URL, a small model on this machine answers.
    """
    from firsttoken._cli.terminal import read_stdin

    text = _joined(read_stdin(), prompt or "")
    for name, value in (("PROMPT", text), ("--system", system), ("--model", model), ("--base-url", base_url)):
        _require_text(name, value)

    from firsttoken._cli.ask import Question
    from firsttoken._cli.ask import ask as ask_question

    return ask_question(Question(text, model, base_url, system, max_tokens, temperature, stats, record))


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


def _joined(context: str, prompt: str) -> str:
    text = "\n\n".join(part for part in (context.strip("\n"), prompt) if part.strip())
    if text:
        return text
    raise click.UsageError("no question: give a PROMPT, as in: firsttoken ask 'Why is the sky blue?'")


def _require_text(name: str, value: str | None) -> None:
    """The command line is bytes; those that are no UTF-8 come as surrogates, which no JSON can carry."""
    try:
        (value or "").encode()
    except UnicodeEncodeError as error:
        raise click.UsageError(f"{name} is not UTF-8 text") from error
