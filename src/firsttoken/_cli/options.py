"""Options that several subcommands have: where to send, and with what."""

from collections.abc import Callable
from typing import TypeVar

import click

__all__ = ["attach_option", "connection_options", "max_tokens_option", "require_text", "server_options"]

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


def attach_option(command: _Command) -> _Command:
    """Add `-a`."""
    return click.option(
        "-a",
        "--attach",
        multiple=True,
        type=click.Path(),
        metavar="FILE",
        help="An image, audio, PDF or text beside the prompt; or the URL of an image. May be repeated.",
    )(command)


def max_tokens_option(command: _Command) -> _Command:
    """Add `--max-tokens`."""
    return click.option(
        "--max-tokens",
        type=click.IntRange(min=1),
        metavar="N",
        help="Stop an answer after N tokens. Default: 1024 for the local model, else the server's.",
    )(command)


def require_text(name: str, value: str | None) -> None:
    """The command line is bytes; those that are not UTF-8 come as surrogates, which no JSON can carry.

    Raises:
        click.UsageError: it has such.
    """
    try:
        (value or "").encode()
    except UnicodeEncodeError as error:
        raise click.UsageError(f"{name} is not UTF-8 text") from error


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
    click.option(
        "--base-url", metavar="URL", is_eager=True, help="The server, up to and with /v1. Default: $OPENAI_BASE_URL."
    ),
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
