"""Profiles: servers with a model and settings of their own, by name, in `config.toml`. Keys never stand in it.

::

    default_profile = "work"                    # used where -p names none

    [profiles.work]
    base_url = "https://llm.example.com/v1"
    api_key_env = "WORK_KEY"                    # or api_key_command = "pass show work/llm"
    model = "large"
    headers = { "X-Team" = "blue" }
    params = { temperature = 0.2 }
"""

import difflib
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from firsttoken._json import as_array, as_object
from firsttoken.errors import ConfigurationError

_SETTINGS: Final = ("base_url", "api_key_env", "api_key_command", "model", "headers", "params")
_TEXTS: Final = ("base_url", "api_key_env", "model")
_KEY_HEADERS: Final = frozenset({"authorization", "api-key", "x-api-key"})
_OURS: Final = frozenset({"model", "messages", "stream", "stream_options", "extra"})


class Profile(NamedTuple):
    """One profile, checked; None and empty mappings are what it does not say."""

    name: str
    base_url: str | None = None
    api_key_env: str | None = None
    api_key_command: tuple[str, ...] = ()
    model: str | None = None
    headers: Mapping[str, str] = {}
    params: Mapping[str, object] = {}


class Problem(NamedTuple):
    """What is wrong in the file, and where.

    Attributes:
        profile: the profile's name; "" for what stands outside of all.
        is_error: whether the profile can't be used; else it is only worth a look.
    """

    profile: str
    message: str
    hint: str | None = None
    is_error: bool = True

    def __str__(self) -> str:
        return f"[profiles.{self.profile}] {self.message}" if self.profile else self.message


class Config(NamedTuple):
    """What the file holds.

    Attributes:
        exists: whether there is a file.
        profiles: by name; those without an error.
    """

    path: Path
    exists: bool
    default_profile: str | None
    profiles: Mapping[str, Profile]
    problems: tuple[Problem, ...]


def config_path() -> Path:
    """Where the file is, or would be."""
    import platformdirs

    return platformdirs.user_config_path("firsttoken", appauthor=False) / "config.toml"


def load_config() -> Config:
    """Read the file; what is wrong in it is in `problems`, and nothing is raised."""
    path = config_path()
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return Config(path, exists=False, default_profile=None, profiles={}, problems=())
    except OSError as error:
        return _unreadable(path, f"can't be read: {error.strerror}")
    import tomllib

    try:
        table = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return _unreadable(path, f"invalid TOML: {error}")
    return _checked(path, table)


def load_profile(name: str | None) -> Profile | None:
    """The profile of a name; None takes the default profile, if there is one.

    Raises:
        ConfigurationError: there is none of that name, or something is wrong with it.
    """
    config = load_config()
    wanted = config.default_profile if name is None else name
    for problem in config.problems:
        if problem.is_error and problem.profile in ("", wanted):
            raise ConfigurationError(f"{config.path}: {problem}", hint=problem.hint)
    if wanted is None:
        return None
    if wanted not in config.profiles:
        known = ", ".join(config.profiles)
        raise ConfigurationError(
            f"no profile {wanted!r} in {config.path}",
            hint=f"its profiles: {known}" if known else f"add it as [profiles.{wanted}]; see firsttoken config --help",
        )
    return config.profiles[wanted]


def read_key(profile: Profile) -> str | None:
    """The key of a profile, from the variable or the command that it names; None where it names neither.

    Raises:
        ConfigurationError: the variable is not set, or the command failed.
    """
    if profile.api_key_env is not None:
        key = os.environ.get(profile.api_key_env)
        if not key:
            raise ConfigurationError(
                f"profile {profile.name}: the variable {profile.api_key_env} (api_key_env) is not set",
                hint=f"export {profile.api_key_env}=…",
            )
        return key
    return _run_command(profile) if profile.api_key_command else None


def _run_command(profile: Profile) -> str:
    import subprocess

    command = profile.api_key_command
    where = f"profile {profile.name}: api_key_command ({command[0]})"
    try:
        # Its stdin and stderr are the terminal's: a password manager may ask for its own password.
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)  # noqa: S603 - the user's own
    except OSError as error:
        raise ConfigurationError(f"{where} can't be run: {error.strerror}") from error
    lines = done.stdout.decode(errors="replace").splitlines()
    if done.returncode != 0 or not lines or not lines[0].strip():
        what = f"failed with status {done.returncode}" if done.returncode else "gave no key on standard output"
        raise ConfigurationError(f"{where} {what}")
    return lines[0].strip()


def _unreadable(path: Path, message: str) -> Config:
    return Config(path, exists=True, default_profile=None, profiles={}, problems=(Problem("", message),))


def _checked(path: Path, table: dict[str, object]) -> Config:
    problems = [
        Problem("", f"unknown setting {name!r}", _hint_for(name, ("default_profile", "profiles")))
        for name in table
        if name not in ("default_profile", "profiles")
    ]
    profiles: dict[str, Profile] = {}
    tables = as_object(table.get("profiles", {}))
    if tables is None:
        problems.append(Problem("", "profiles must be tables", "as in [profiles.work]"))
    for name, fields in (tables or {}).items():
        found = list(_problems_of(name, fields))
        problems += found
        if not any(problem.is_error for problem in found):
            profiles[name] = _profile(name, as_object(fields) or {})
    default = table.get("default_profile")
    if default is not None and not isinstance(default, str):
        problems.append(Problem("", "default_profile must be the name of a profile"))
        default = None
    elif default is not None and default not in (tables or {}):
        problems.append(Problem("", f"default_profile names {default!r}, and there is no [profiles.{default}]"))
    return Config(path, exists=True, default_profile=default, profiles=profiles, problems=tuple(problems))


def _problems_of(name: str, value: object) -> Iterator[Problem]:
    fields = as_object(value)
    if fields is None:
        yield Problem(name, "must be a table", f"as in [profiles.{name}]")
        return
    for setting in fields:
        if setting in ("api_key", "key", "token"):
            yield Problem(name, f"{setting}: a key must not stand in the file", "name api_key_env or api_key_command")
        elif setting not in _SETTINGS:
            yield Problem(name, f"unknown setting {setting!r}", _hint_for(setting, _SETTINGS))
    for setting in _TEXTS:
        text = fields.get(setting)
        if text is not None and (not isinstance(text, str) or not text):
            yield Problem(name, f"{setting} must be a text, not {text!r}")
    yield from _problems_of_url(name, fields.get("base_url"))
    yield from _problems_of_key(name, fields)
    yield from _problems_of_headers(name, fields.get("headers", {}))
    yield from _problems_of_params(name, fields.get("params", {}))


def _problems_of_url(name: str, url: object) -> Iterator[Problem]:
    if isinstance(url, str) and url:
        from firsttoken._protocol.url import chat_completions_endpoint

        try:
            chat_completions_endpoint(url)
        except ConfigurationError as error:
            yield Problem(name, str(error), error.hint)


def _problems_of_key(name: str, fields: Mapping[str, object]) -> Iterator[Problem]:
    command = fields.get("api_key_command")
    if command is not None and not _command(command):
        yield Problem(name, f"api_key_command must be a command, as text or as a list of texts, not {command!r}")
    if command is not None and fields.get("api_key_env") is not None:
        yield Problem(name, "api_key_env and api_key_command are mutually exclusive")


def _problems_of_headers(name: str, value: object) -> Iterator[Problem]:
    headers = as_object(value)
    if headers is None:
        yield Problem(name, "headers must be a table", 'as in headers = { "X-Team" = "blue" }')
        return
    from firsttoken._protocol.request import check_headers

    for header, text in headers.items():
        if header.lower() in _KEY_HEADERS:
            yield Problem(name, f"headers: {header} holds a key, and a key must not stand in the file")
        try:
            check_headers({header: text})  # type: ignore[dict-item] # pyright: ignore[reportArgumentType]
        except ConfigurationError as error:
            yield Problem(name, f"headers: {error}", error.hint)


def _problems_of_params(name: str, value: object) -> Iterator[Problem]:
    params = as_object(value)
    if params is None:
        yield Problem(name, "params must be a table", "as in params = { temperature = 0.2 }")
        return
    from firsttoken.types import ChatCompletionRequest

    known = set(ChatCompletionRequest.__struct_fields__) - _OURS
    for param in params:
        if param in _OURS:
            yield Problem(name, f"params: {param} is set by the command itself")
        elif param not in known:
            message = f"params: {param} is not a field of OpenAI's API; it is sent as it is"
            yield Problem(name, message, _hint_for(param, tuple(known)), is_error=False)


def _profile(name: str, fields: Mapping[str, object]) -> Profile:
    texts = {setting: str(fields[setting]) for setting in _TEXTS if setting in fields}
    headers = {header: str(text) for header, text in (as_object(fields.get("headers")) or {}).items()}
    params = as_object(fields.get("params")) or {}
    return Profile(
        name, **texts, api_key_command=_command(fields.get("api_key_command")), headers=headers, params=params
    )


def _command(value: object) -> tuple[str, ...]:
    """The words of a command; () where it is none."""
    try:
        words = [*shlex.split(value)] if isinstance(value, str) else as_array(value) or []
    except ValueError:
        return ()
    texts = tuple(word for word in words if isinstance(word, str))
    return texts if len(texts) == len(words) else ()


def _hint_for(name: str, known: tuple[str, ...]) -> str | None:
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]}?" if near else None
