"""Options and help of `firsttoken models` and `config`; parsed here, done elsewhere."""

import click

from firsttoken._cli.options import connection_options, server_options

__all__ = ["config", "models"]

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


@click.command()
@server_options
def models(base_url: str | None, profile: str | None, timeout: float | None, header: dict[str, str]) -> int:
    """Write the ids of the models that the server has, one a line."""
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
