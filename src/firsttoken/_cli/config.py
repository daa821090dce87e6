"""`firsttoken config check` and `models`: the settings, where each comes from, and what models they lead to."""

import os
from collections.abc import Iterator
from typing import NamedTuple

from firsttoken._cli.profile import Config, Profile, load_config
from firsttoken._cli.status import Status
from firsttoken._cli.target import Connection, default_model, takes_environments_key
from firsttoken._cli.terminal import Answer, status_line

_FILE = "config.toml"
_LOCAL = "the local model"


class _Setting(NamedTuple):
    name: str
    value: str
    source: str


def check(connection: Connection) -> Status:
    """Write what is wrong, then the settings that hold for a command line; return the exit status."""
    config = load_config()
    Answer().write("".join(f"{line}\n" for line in _lines(config, connection)))
    wanted = connection.profile
    is_unknown = wanted is not None and wanted not in config.profiles
    return Status.CONFIGURATION if is_unknown or any(p.is_error for p in config.problems) else Status.OK


def models(connection: Connection) -> Status:
    """Write the ids of the server's models to stdout, one a line; return the exit status."""
    with connection.open() as (client, _), status_line("waiting for the list of models ..."):
        ids = client.models()
    Answer().write("".join(f"{name}\n" for name in ids))
    return Status.OK


def _lines(config: Config, connection: Connection) -> Iterator[str]:
    if not config.exists:
        yield f"{config.path}: no such file, which is fine"
    elif not config.problems:
        names = ", ".join(config.profiles) or "none"
        yield f"{config.path}: correct; profiles: {names}"
    else:
        yield f"{config.path}:"
    for problem in config.problems:
        yield f"  {'error' if problem.is_error else 'note'}: {problem}"
        if problem.hint:
            yield f"    hint: {problem.hint}"
    yield ""
    name = None if connection.base_url else connection.profile or config.default_profile
    profile = config.profiles.get(name or "")
    if profile is None and name is not None:
        yield f"no usable profile {name!r}"
        return
    settings = list(_settings(connection, profile, named=connection.profile is not None))
    width = max(len(setting.name) for setting in settings)
    values = max(len(setting.value) for setting in settings)
    for setting in settings:
        yield f"{setting.name:{width}}  {setting.value:{values}}  {setting.source}".rstrip()


def _settings(connection: Connection, profile: Profile | None, *, named: bool) -> Iterator[_Setting]:
    if profile is not None:
        yield _Setting("profile", profile.name, "--profile" if named else f"default_profile in {_FILE}")
    url = _base_url(connection, profile)
    yield url
    yield _key(profile)
    yield _model(connection, profile, url)
    if profile is not None:
        for name in profile.headers:
            yield _Setting(f"header {name}", profile.headers[name], _FILE)
        for name, value in profile.params.items():
            yield _Setting(f"params.{name}", repr(value), _FILE)


def _base_url(connection: Connection, profile: Profile | None) -> _Setting:
    if connection.base_url:
        return _Setting("base_url", connection.base_url, "--base-url")
    if profile is not None and profile.base_url:
        return _Setting("base_url", profile.base_url, _FILE)
    if url := os.environ.get("OPENAI_BASE_URL"):
        return _Setting("base_url", url, "$OPENAI_BASE_URL")
    has_key = profile is not None and (profile.api_key_env or profile.api_key_command)
    if has_key or os.environ.get("OPENAI_API_KEY"):
        return _Setting("base_url", "https://api.openai.com/v1", "the default with a key")
    return _Setting("base_url", _LOCAL, "neither a key nor a base URL")


def _key(profile: Profile | None) -> _Setting:
    """Whether there is a key; the key itself is never shown, and the command that gives it is not run."""
    if profile is not None and profile.api_key_env:
        state = "set" if os.environ.get(profile.api_key_env) else "not set"
        return _Setting("key", state, f"${profile.api_key_env}, api_key_env in {_FILE}")
    if profile is not None and profile.api_key_command:
        return _Setting("key", "from a command", f"{profile.api_key_command[0]}, api_key_command in {_FILE}")
    if profile is not None and profile.base_url and not takes_environments_key(profile.base_url):
        return _Setting("key", "none", "the profile names none")
    is_set = bool(os.environ.get("OPENAI_API_KEY"))
    return _Setting("key", "set" if is_set else "none", "$OPENAI_API_KEY" if is_set else "")


def _model(connection: Connection, profile: Profile | None, url: _Setting) -> _Setting:
    if connection.model:
        return _Setting("model", connection.model, "--model")
    if profile is not None and profile.model:
        return _Setting("model", profile.model, _FILE)
    if url.value == _LOCAL:
        return _Setting("model", "SmolLM2-135M-Instruct", "the local model")
    return _Setting("model", default_model(url.value), "the default")
