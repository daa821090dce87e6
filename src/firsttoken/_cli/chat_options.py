"""Options and help of `firsttoken chat`, `models` and `config`; parsed here, done elsewhere."""

import sys

import click

from firsttoken._cli.options import attach_option, connection_options, max_tokens_option, require_text, server_options
from firsttoken._cli.status import HELP

__all__ = ["chat", "config", "models"]

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


@click.command(help=_CHAT_HELP, epilog=HELP)
@connection_options
@click.option("-s", "--system", metavar="TEXT", help="Instructions for the model.")
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
@click.option("--stats", is_flag=True, help="Time to first token, tokens, tokens/s, finish reason, on stderr.")
def chat(
    model: str | None,
    base_url: str | None,
    profile: str | None,
    timeout: float | None,
    header: dict[str, str],
    system: str | None,
    attach: tuple[str, ...],
    max_tokens: int | None,
    go_on: bool,
    load: str | None,
    no_save: bool,
    markdown: str,
    json: bool,
    stats: bool,
) -> int:
    """Have its help in `_CHAT_HELP`."""
    from firsttoken._cli.terminal import read_stdin

    if go_on and load is not None:
        raise click.UsageError("-c and --load are mutually exclusive")
    for name, value in (("--system", system), ("--model", model), ("--base-url", base_url)):
        require_text(name, value)
    from firsttoken._cli.chat import chat as run_chat
    from firsttoken._cli.chat.session import ChatOptions
    from firsttoken._cli.target import Connection
    from firsttoken._cli.terminal import is_terminal

    piped = None if is_terminal(sys.stdin) else read_stdin()
    if piped is not None and not piped.strip():
        raise click.UsageError("no message: standard input is neither a terminal nor has it any text")
    if json and piped is None:
        raise click.UsageError("--json is for a message that is piped in, as in: echo 'Why?' | firsttoken chat --json")
    return run_chat(
        ChatOptions(
            Connection(base_url, model, profile, timeout, header),
            system=system,
            attachments=attach,
            max_tokens=max_tokens,
            go_on=go_on,
            load=load,
            is_saved=not no_save,
            markdown=markdown == "auto",
            json=json,
            stats=stats,
        ),
        piped,
    )


@click.command()
@server_options
def models(base_url: str | None, profile: str | None, timeout: float | None, header: dict[str, str]) -> int:
    """List the models of the server, one id a line."""
    from firsttoken._cli.models import models as write_models
    from firsttoken._cli.target import Connection

    return write_models(Connection(base_url, None, profile, timeout, header))


@click.group(help=_CONFIG_HELP)
def config() -> None:
    """Have subcommands."""


@config.command("check")
@connection_options
def config_check(
    model: str | None, base_url: str | None, profile: str | None, timeout: float | None, header: dict[str, str]
) -> int:
    """Write what is wrong in config.toml, and where each setting comes from.

    The settings are those that `ask` and `chat` have with the same options. The exit status is 3 where something is
    wrong.
    """
    from firsttoken._cli.config import check
    from firsttoken._cli.target import Connection

    return check(Connection(base_url, model, profile, timeout, header))
