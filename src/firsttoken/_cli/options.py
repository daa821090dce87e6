"""Options that several subcommands have, and the checks of those that click does not know."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from firsttoken._cli.target import Connection

_Command = TypeVar("_Command", bound=Callable[..., object])


def connection_options(command: _Command) -> _Command:
    """Add `-m`, and what `server_options` adds."""
    option = click.option("-m", "--model", metavar="NAME", help="The model to ask. OpenAI: gpt-5-mini, unless named.")
    return option(server_options(command))


def server_options(command: _Command) -> _Command:
    """Add `--base-url`, `-p`, `--timeout` and `--header`."""
    for option in reversed(_SERVER):
        command = option(command)
    return command


def take_connection(options: dict[str, Any]) -> "Connection":
    """What these options say, taken out of the options of a command."""
    from firsttoken._cli.target import Connection

    return Connection(*(options.pop(name, None) for name in ("base_url", "model", "profile", "timeout", "header")))


attach_option = click.option(
    "-a",
    "--attach",
    "attachments",
    multiple=True,
    type=click.Path(),
    metavar="FILE",
    help="An image, audio, PDF or text beside the prompt; or the URL of an image. May be repeated.",
)
base_url_option = click.option(
    "--base-url", metavar="URL", is_eager=True, help="The server, up to and with /v1. Default: $OPENAI_BASE_URL."
)
max_tokens_option = click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    metavar="N",
    help="Stop an answer after N tokens. Default: 1024 for the local model, else the server's.",
)
stats_option = click.option(
    "--stats", is_flag=True, help="Time to first token, tokens, tokens/s, finish reason, on stderr."
)
system_option = click.option("-s", "--system", metavar="TEXT", help="Instructions for the model.")
port_type = click.IntRange(0, 65535)


def require_text(texts: Mapping[str, str | None]) -> None:
    """The command line is bytes; those that are not UTF-8 come as surrogates, which no JSON can carry.

    Raises:
        click.UsageError: one of these, by name, has such.
    """
    for name, text in texts.items():
        try:
            (text or "").encode()
        except UnicodeEncodeError as error:
            raise click.UsageError(f"{name} is not UTF-8 text") from error


def check_recorded_file(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """The FILE of `--record`."""
    if value == "":
        raise click.BadParameter("the name of the file is empty.")
    if value == "-":
        raise click.BadParameter("standard output is for the answer; a file of that name is ./-")
    return value


def check_speed(_context: click.Context, _option: click.Parameter, value: str) -> float:
    """The K of `--speed`."""
    try:
        speed = float("inf") if value == "max" else float(value)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        raise click.BadParameter(f"{value!r} is neither a number above 0 nor max.")
    return speed


def check_concurrency(_context: click.Context, _option: click.Parameter, value: str) -> int | None:
    """The N of a batch's `--concurrency`; None for auto."""
    if value == "auto":
        return None
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter(f"{value!r} is neither a number above 0 nor auto.")
    return int(value)


def check_shard(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """The I and N of `--shard`."""
    if value is None:
        return None
    number, _, count = value.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise click.BadParameter(f"{value!r} is not I/N, as in 1/4 to 4/4.")
    return int(number), int(count)


def check_template(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """The text of `--template`, or of the file that it names."""
    if value is None or not value.startswith("@"):
        return value
    from pathlib import Path

    try:
        return Path(value[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{value[1:]} can't be read: {error}.") from error


def _headers(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for value in values:
        name, colon, text = value.partition(":")
        if not colon:
            raise click.BadParameter(f"{value!r} is not a header, as in 'X-Team: blue'.")
        headers |= _checked(name.strip(), text.strip())
    return headers


def _checked(name: str, text: str) -> dict[str, str]:
    from firsttoken._protocol.request import check_headers
    from firsttoken.errors import ConfigurationError

    try:
        return check_headers({name: text})
    except ConfigurationError as error:
        raise click.BadParameter(f"{error}.") from error


def _profile_names(_context: click.Context, _option: click.Parameter, begun: str) -> list[str]:
    from firsttoken._cli.profile import load_config

    return [name for name in load_config().profiles if name.startswith(begun)]


def _one_server(context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None and context.params.get("base_url") is not None:
        raise click.UsageError("--base-url and --profile are mutually exclusive: a profile's key is for its own server")
    return value


_SERVER = (
    base_url_option,
    click.option(
        "-p",
        "--profile",
        metavar="NAME",
        callback=_one_server,
        shell_complete=_profile_names,
        help="A profile of config.toml; see `firsttoken config`. Default: its default_profile.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="S",
        help="Give up when the answer is not complete after S seconds.",
    ),
    click.option(
        "--header", multiple=True, callback=_headers, metavar="'NAME: VALUE'", help="Send a header. May be repeated."
    ),
)
