"""Names, options and help of the command and its subcommands; parsed here, done in the modules beside this one."""

import sys
from typing import Any

import click

from firsttoken import __version__
from firsttoken._cli.options import (
    attach_option,
    base_url_option,
    check_concurrency,
    check_recorded_file,
    check_shard,
    check_speed,
    check_template,
    connection_options,
    max_tokens_option,
    port_type,
    require_text,
    server_options,
    stats_option,
    system_option,
    take_connection,
)
from firsttoken._cli.status import HELP, Status

_CHAT_HELP = """\
Talk with a model.

Enter sends, Alt-Enter or Ctrl-J begins a new line; a pasted text is one message. Ctrl-G opens the editor. Ctrl-C stops
an answer: what came stays, and the prompt is back. /help lists the commands, Ctrl-D ends the chat.

What is said is kept, message by message, in the user's data directory; -c goes on with the last chat.

Text that is piped in is one message: its answer goes to standard output, as that of `ask`.

The key is $OPENAI_API_KEY, or that of the profile. With neither a key nor a base URL, a small model on this machine
answers.
"""

_CONFIG_HELP = """\
Profiles: servers with a model and settings of their own, by name.

\b
They stand in config.toml, whose place `config check` shows:
  default_profile = "work"              used where -p names none
\b
  [profiles.work]
  base_url = "https://llm.example.com/v1"
  api_key_env = "WORK_KEY"              or api_key_command = "pass show work"
  model = "large"
  headers = { "X-Team" = "blue" }
  params = { temperature = 0.2 }

A key never stands in it. A profile with a base URL that names no key sends none; to OpenAI it sends $OPENAI_API_KEY.
"""


class _Command(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # here, since click would write an empty line
            return Status.INTERRUPTED


@click.group(cls=_Command, context_settings={"help_option_names": ["-h", "--help"]}, epilog=HELP)
@click.version_option(__version__, message="%(prog)s %(version)s")
def command() -> None:
    """Ask a chat model, and see its answer while it is being written."""


@command.command(epilog=HELP)
@click.argument("prompt", required=False)
@connection_options
@system_option
@attach_option
@max_tokens_option
@click.option("--temperature", type=click.FloatRange(0, 2), metavar="T", help="From 0 (sober) to 2 (wild).")
@click.option("--json", is_flag=True, help="Write the events of the stream, a JSON object a line, and how it ended.")
@stats_option
@click.option(
    "--record",
    type=click.Path(dir_okay=False, writable=True),
    callback=check_recorded_file,
    metavar="FILE",
    help="Record what the connection brings, for `replay`; over a FILE that is there.",
)
def ask(prompt: str | None, **options: Any) -> int:
    """Ask PROMPT; the answer is written while it comes.

    Text on standard input is context for the PROMPT, or the PROMPT itself where there is none. The answer alone goes
    to standard output, all else to standard error.

    The key is $OPENAI_API_KEY, or that of the profile. With neither a key nor a base URL, a small model on this machine
    answers.
    """
    from firsttoken._cli.terminal import read_stdin

    text = "\n\n".join(part for part in (read_stdin().strip("\n"), prompt or "") if part.strip())
    if not text:
        raise click.UsageError("no question: give a PROMPT, as in: firsttoken ask 'Why is the sky blue?'")
    require_text({"PROMPT": text} | _texts_of(options))

    from firsttoken._cli.ask import Question
    from firsttoken._cli.ask import ask as ask_question

    return ask_question(Question(text, take_connection(options), **options))


def _texts_of(options: dict[str, Any]) -> dict[str, str | None]:
    return {f"--{name.replace('_', '-')}": options[name] for name in ("system", "model", "base_url")}


@command.command(help=_CHAT_HELP, epilog=HELP)
@connection_options
@system_option
@attach_option
@max_tokens_option
@click.option("-c", "--continue", "go_on", is_flag=True, help="Go on with the last chat.")
@click.option("--load", type=click.Path(), metavar="FILE", help="Go on with the transcript in FILE.")
@click.option("--no-save", is_flag=True, help="Keep neither a transcript nor a history of what was typed.")
@click.option(
    "--markdown",
    type=click.Choice(["auto", "never"]),
    default="auto",
    show_default=True,
    help="Show answers as formatted Markdown: on a terminal, or never.",
)
@click.option("--json", is_flag=True, help="Of a message that is piped in, write the events of its answer, as `ask`.")
@stats_option
def chat(**options: Any) -> int:
    """Have its help in `_CHAT_HELP`."""
    if options["go_on"] and options["load"] is not None:
        raise click.UsageError("-c and --load are mutually exclusive")
    require_text(_texts_of(options))
    from firsttoken._cli.chat.session import ChatOptions
    from firsttoken._cli.chat.session import chat as run_chat
    from firsttoken._cli.terminal import is_terminal, read_stdin

    piped = None if is_terminal(sys.stdin) else read_stdin()
    if piped is not None and not piped.strip():
        raise click.UsageError("no message: standard input is neither a terminal nor has it any text")
    if options["json"] and piped is None:
        raise click.UsageError("--json is for a message that is piped in, as in: echo 'Why?' | firsttoken chat --json")
    options["is_saved"], options["markdown"] = not options.pop("no_save"), options["markdown"] == "auto"
    return run_chat(ChatOptions(take_connection(options), **options), piped)


@command.command()
@server_options
def models(**options: Any) -> int:
    """List the models of the server, one id a line."""
    from firsttoken._cli.config import models as write_models

    return write_models(take_connection(options))


@command.group(help=_CONFIG_HELP)
def config() -> None:
    """Have subcommands."""


@config.command("check")
@connection_options
def config_check(**options: Any) -> int:
    """Write what is wrong in config.toml, and where each setting comes from.

    The settings are those that `ask` and `chat` have with the same options. The exit status is 3 where something is
    wrong.
    """
    from firsttoken._cli.config import check

    return check(take_connection(options))


@command.command()
@click.option("--port", type=port_type, default=0, metavar="N", help="Default: one that is free.")
@click.option("--host", default="127.0.0.1", metavar="H", show_default=True, help="The address to listen on.")
@click.option(
    "--model-path", type=click.Path(exists=True, dir_okay=False), metavar="GGUF", help="Default: SmolLM2-135M-Instruct."
)
def serve(port: int, host: str, model_path: str | None) -> int:
    """Serve the local model until Ctrl-C. Its base URL is written to standard output once it answers."""
    from firsttoken._cli.serve import serve_model

    return serve_model(model_path, host, port)


@command.command(epilog=HELP)
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--speed",
    callback=check_speed,
    default="1",
    metavar="K",
    help="K times as fast as it was recorded, or max. Default: 1, as it was.",
)
@stats_option
@click.option("--serve", is_flag=True, help="Answer any client with it until Ctrl-C; the base URL goes to stdout.")
@click.option("--port", type=port_type, metavar="N", help="With --serve. Default: any free.")
def replay(file: str, speed: float, stats: bool, serve: bool, port: int | None) -> int:
    """Write the answer recorded in FILE once more, as `ask --record` wrote it.

    The bytes of the recording go over a connection on this machine, each read by itself at its time, through the same
    client. Of a question that was asked several times, because the server was overloaded, the last answer counts.
    """
    if port is not None and not serve:
        raise click.UsageError("--port goes with --serve")
    if stats and serve:
        raise click.UsageError("--stats does not go with --serve: the clients have the answers")
    if serve:
        from firsttoken._cli.serve import serve_recording

        return serve_recording(file, speed, port or 0)
    from firsttoken._cli.replay import replay as replay_file

    return replay_file(file, speed, stats=stats)


@command.command(epilog=HELP)
@click.argument("input", metavar="IN")
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), metavar="OUT", help="The output.")
@click.option("-m", "--model", metavar="NAME", help="The model of all rows. Default: each row's own.")
@base_url_option
@click.option("-s", "--system", metavar="TEXT", help="Instructions for the model, for rows that have none.")
@click.option(
    "--template", callback=check_template, metavar="TEXT", help="The prompt, with {fields} of the row; or @FILE."
)
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="For rows that set no limit.")
@click.option("--temperature", type=click.FloatRange(0, 2), metavar="T", help="For rows that set none.")
@click.option(
    "--concurrency",
    default="auto",
    callback=check_concurrency,
    metavar="auto|N",
    help="Requests at once. Default: auto.",
)
@click.option(
    "--max-concurrency", type=click.IntRange(min=1), default=512, metavar="N", help="The most for auto. Default: 512."
)
@click.option("--rpm", type=click.FloatRange(0, min_open=True), metavar="N", help="Requests per minute.")
@click.option("--tpm", type=click.FloatRange(0, min_open=True), metavar="N", help="Tokens per minute.")
@click.option("--retry-errors", is_flag=True, help="Send rows again whose result in OUT is an error.")
@click.option("--ordered", is_flag=True, help="At the end, put OUT into the order of IN.")
@click.option(
    "--shard", callback=check_shard, metavar="I/N", help="Only the I-th of N parts of IN; each needs its own OUT."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N rows.")
@click.option("--dry-run", is_flag=True, help="Check IN and OUT, count, and send nothing.")
@click.option("--prices", is_flag=True, help="Show what it costs. Needs the extra batch.")
def batch(**options: Any) -> int:
    """Ask each row of IN; its answer or error is a line of OUT.

    IN has JSON lines, or is a .csv, .tsv or .parquet file; - is standard input. A row is a line of OpenAI's Batch API,
    or has the field messages or prompt, or those of the --template. OUT is what OpenAI's Batch API writes, in the order
    of completion.

    Run again, it goes on where it was: rows that OUT has are not sent again. Ctrl-C finishes what is in flight.
    """
    require_text({"IN": options["input"], "OUT": options["output"], "--template": options["template"]})
    require_text(_texts_of(options))

    from firsttoken._cli.batch import BatchOptions
    from firsttoken._cli.batch import batch as run_batch

    return run_batch(BatchOptions(**options))


@command.group(invoke_without_command=True, epilog=HELP)
@click.option("-m", "--model", metavar="NAME", help="The model to measure.")
@base_url_option
@click.option("-c", "--concurrency", metavar="N,N,...", help="Closed loop: so many requests at once. Default: 1.")
@click.option(
    "--rate", metavar="R,R,...", help="Open loop: so many requests start in a second, on an absolute schedule."
)
@click.option(
    "--arrival",
    type=click.Choice(["poisson", "constant"]),
    default="poisson",
    show_default=True,
    help="The gaps of an open loop: those of random users, or equal ones.",
)
@click.option(
    "--duration",
    "duration_s",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="S",
    help="How long each level starts requests, in seconds.",
)
@click.option(
    "-n", "--requests", type=click.IntRange(min=1), metavar="N", help="Requests of each level, in place of a duration."
)
@click.option("--warmup", type=click.IntRange(min=0), metavar="N", help="Requests before each level that don't count.")
@click.option(
    "--data",
    default="synthetic:in=128,out=64",
    show_default=True,
    metavar="WHAT",
    help="FILE, sharegpt:FILE, or synthetic:in=512,out=128,prefix=256.",
)
@click.option(
    "--slo", default="", metavar="ttft=S,...", help="Objectives in seconds: ttft, tpot, ntpot, e2e, inter_chunk."
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, metavar="N", help="Processes.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Of prompts and arrivals.")
@click.option("--no-salt", is_flag=True, help="Leave prompts as they are: a cache of prompts may answer.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE", help="The report as JSON.")
@click.option("--html", type=click.Path(dir_okay=False), metavar="FILE", help="The report as one HTML page.")
@click.option("--start-at", type=float, metavar="TIME", help="Unix time of the start, for several machines.")
@click.pass_context
def bench(context: click.Context, /, **options: Any) -> int:
    """Measure a server: time to first token, time per token, throughput, at each load.

    A row for each level goes to standard output once it has ended, with a verdict: was it the server that was
    measured, or this client? Tokens are the server's own count (usage).
    """
    if context.invoked_subcommand is not None:
        return 0
    from firsttoken._cli.bench import bench as measure

    options["salt"] = not options.pop("no_salt")
    return measure(**options)


@bench.command("merge")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE", help="The merged report as JSON.")
@click.option("--html", type=click.Path(dir_okay=False), metavar="FILE", help="The merged report as one HTML page.")
def bench_merge(files: tuple[str, ...], output: str | None, html: str | None) -> int:
    """Merge the reports of machines that measured one server at the same time (--start-at)."""
    from firsttoken._cli.bench import merge_files

    return merge_files(files, output, html)
