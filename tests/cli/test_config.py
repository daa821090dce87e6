"""Profiles in config.toml: what they send, and what `firsttoken config check` says of them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from firsttoken._cli import main
from tests.cli.asking import answered
from tests.cli.peer import Peer
from tests.support.command import run

WORK = """\
default_profile = "work"

[profiles.work]
base_url = "{url}"
model = "large"
headers = {{ "X-Team" = "blue" }}
params = {{ temperature = 0.5, max_tokens = 9, top_k = 4 }}

[profiles.home]
base_url = "{url}"
"""


def write_config(folder: Path, text: str) -> str:
    """Write the file; returns what XDG_CONFIG_HOME has to be for it to be found."""
    (folder / "firsttoken").mkdir()
    (folder / "firsttoken" / "config.toml").write_text(text, encoding="utf-8")
    return str(folder)


# --- what a profile sends ---------------------------------------------------------------------------------------------


def test_a_profile_has_server_model_headers_and_params(peer: Peer, tmp_path: Path) -> None:
    place = write_config(tmp_path, WORK.format(url=peer.base_url))
    exchange = answered(peer, "Why?", "-p", "work", XDG_CONFIG_HOME=place, OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert exchange.headers["x-team"] == "blue"
    fields = {name: exchange.body[name] for name in ("model", "temperature", "max_tokens", "top_k")}
    assert fields == {"model": "large", "temperature": 0.5, "max_tokens": 9, "top_k": 4}


def test_the_default_profile_needs_no_name_and_the_command_line_wins(peer: Peer, tmp_path: Path) -> None:
    place = write_config(tmp_path, WORK.format(url=peer.base_url))
    options = ["-m", "small", "--temperature", "1", "--max-tokens", "3", "--header", "x-team: red"]
    exchange = answered(peer, "Why?", *options, XDG_CONFIG_HOME=place)
    assert exchange.headers["x-team"] == "red"
    fields = {name: exchange.body[name] for name in ("model", "temperature", "max_tokens")}
    assert fields == {"model": "small", "temperature": 1, "max_tokens": 3}


def test_a_base_url_on_the_command_line_stands_for_itself(peer: Peer, tmp_path: Path) -> None:
    place = write_config(tmp_path, WORK.format(url="http://127.0.0.1:9/v1"))
    exchange = answered(peer, "Why?", "--base-url", peer.base_url, XDG_CONFIG_HOME=place)
    assert (exchange.body["model"], exchange.headers.get("x-team")) == ("default", None)


@pytest.mark.parametrize(
    ("setting", "header"),
    [
        ('api_key_env = "WORK_KEY"', "Bearer of-work"),
        ("api_key_command = \"printf 'of-pass\\\\nmore'\"", "Bearer of-pass"),
        ('api_key_command = ["printf", "of-list"]', "Bearer of-list"),
        ("", None),  # that of the environment is for another server
    ],
)
def test_the_key_is_the_profiles_own(peer: Peer, tmp_path: Path, setting: str, header: str | None) -> None:
    place = write_config(tmp_path, f'[profiles.work]\nbase_url = "{peer.base_url}"\n{setting}\n')
    keys = {"WORK_KEY": "of-work", "OPENAI_API_KEY": "of-openai"}
    exchange = answered(peer, "Why?", "-p", "work", XDG_CONFIG_HOME=place, **keys)
    assert exchange.headers.get("authorization") == header


@pytest.mark.parametrize(
    ("profile", "arguments", "status", "message"),
    [
        (
            "work",
            ["-p", "wrok"],
            3,
            "firsttoken: no profile 'wrok' in {file}\nhint: its profiles: work\n",
        ),
        (
            'work]\napi_key = "sk-1"\n#',
            ["-p", "work"],
            3,
            (
                "firsttoken: {file}: [profiles.work] api_key: a key must not stand in the file\n"
                "hint: name api_key_env or api_key_command\n"
            ),
        ),
        (
            'work]\napi_key_env = "WORK_KEY"\n#',
            ["-p", "work"],
            3,
            "firsttoken: profile work: the variable WORK_KEY (api_key_env) is not set\nhint: export WORK_KEY=…\n",
        ),
        (
            'work]\napi_key_command = "false of-nobody"\n#',
            ["-p", "work"],
            3,
            "firsttoken: profile work: api_key_command (false) failed with status 1\n",
        ),
        (
            'work]\napi_key_command = "no-such-command"\n#',
            ["-p", "work"],
            3,
            "firsttoken: profile work: api_key_command (no-such-command) can't be run: No such file or directory\n",
        ),
        (
            "work",
            ["-p", "work", "--base-url", "http://127.0.0.1:9"],
            2,
            "Error: --base-url and --profile are mutually exclusive: a profile's key is for its own server\n",
        ),
    ],
)
def test_what_a_profile_can_not_do_is_said(
    tmp_path: Path, profile: str, arguments: list[str], status: int, message: str
) -> None:
    place = write_config(tmp_path, f"[profiles.{profile}]\n")
    done = run("ask", "Why?", *arguments, XDG_CONFIG_HOME=place)
    assert (done.stdout, done.returncode) == ("", status)
    assert done.stderr.endswith(message.format(file=tmp_path / "firsttoken" / "config.toml"))


# --- config check -----------------------------------------------------------------------------------------------------


Check = Callable[..., tuple[list[str], int]]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Check:
    """Runs the command in this process; gives its lines and its status."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)

    def run_check(place: Path, *arguments: str, **variables: str) -> tuple[list[str], int]:
        for name, value in (variables | {"XDG_CONFIG_HOME": str(place)}).items():
            monkeypatch.setenv(name, value)
        status = main(["config", "check", *arguments])
        out, err = capfd.readouterr()
        assert err == ""
        return [line.strip() for line in out.splitlines()], status

    return run_check


def test_each_settings_source_is_shown_and_no_key(check: Check, tmp_path: Path) -> None:
    write_config(tmp_path, WORK.format(url="http://127.0.0.1:9/v1") + 'api_key_env = "HOME_KEY"\n')
    first = f"{tmp_path / 'firsttoken' / 'config.toml'}:"
    note = "note: [profiles.work] params: top_k is not a field of OpenAI's API; it is sent as it is"
    lines, status = check(tmp_path)
    assert lines[:2] == [first, note]
    assert [line.split(maxsplit=2) for line in lines if line.startswith(("profile", "base_url", "key", "model"))] == [
        ["profile", "work", "default_profile in config.toml"],
        ["base_url", "http://127.0.0.1:9/v1", "config.toml"],
        ["key", "none", "the profile names none"],
        ["model", "large", "config.toml"],
    ]
    assert status == 0
    lines, status = check(tmp_path, "-p", "home", "-m", "tiny", HOME_KEY="sk-of-nobody")
    assert [line.split(maxsplit=2) for line in lines[-4:]] == [
        ["profile", "home", "--profile"],
        ["base_url", "http://127.0.0.1:9/v1", "config.toml"],
        ["key", "set", "$HOME_KEY, api_key_env in config.toml"],
        ["model", "tiny", "--model"],
    ]


@pytest.mark.parametrize(
    ("variables", "settings"),
    [
        ({}, ["base_url  the local model        neither a key nor a base URL", "key       none"]),
        ({"OPENAI_API_KEY": "sk-of-nobody"}, ["base_url  https://api.openai.com/v1  the default with a key"]),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, ["base_url  http://127.0.0.1:9/v1  $OPENAI_BASE_URL"]),
    ],
)
def test_without_a_file_the_environment_is_the_source(
    check: Check, tmp_path: Path, variables: dict[str, str], settings: list[str]
) -> None:
    lines, status = check(tmp_path, **variables)
    assert lines[0] == f"{tmp_path / 'firsttoken' / 'config.toml'}: no such file, which is fine"
    assert lines[2 : 2 + len(settings)] == settings
    assert status == 0
    assert "of-nobody" not in "".join(lines)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            "[profiles.a\n",
            ["error: invalid TOML: Expected ']' at the end of a table declaration (at line 1, column 12)"],
        ),
        ("\xff", ["error: invalid TOML: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"]),
        ("profile = 1", ["error: unknown setting 'profile'", "hint: did you mean profiles?"]),
        ("profiles = 1", ["error: profiles must be tables", "hint: as in [profiles.work]"]),
        ("default_profile = 'a'", ["error: default_profile names 'a', and there is no [profiles.a]"]),
        ("default_profile = 1", ["error: default_profile must be the name of a profile"]),
        ("profiles.a = 1", ["error: [profiles.a] must be a table", "hint: as in [profiles.a]"]),
        ("[profiles.a]\nmodel = 1", ["error: [profiles.a] model must be a text, not 1"]),
        ("[profiles.a]\nmodle = 'x'", ["error: [profiles.a] unknown setting 'modle'", "hint: did you mean model?"]),
        (
            "[profiles.a]\napi_key_command = []",
            ["error: [profiles.a] api_key_command must be a command, as text or as a list of texts, not []"],
        ),
        (
            "[profiles.a]\napi_key_command = 'a'\napi_key_env = 'A'",
            ["error: [profiles.a] api_key_env and api_key_command are mutually exclusive"],
        ),
        ("[profiles.a]\nheaders = 1", ["error: [profiles.a] headers must be a table"]),
        ("[profiles.a]\nheaders = {'a b' = 'x'}", ["error: [profiles.a] headers: invalid header name: 'a b'"]),
        (
            "[profiles.a]\nheaders = {authorization = 'x'}",
            ["error: [profiles.a] headers: authorization holds a key, and a key must not stand in the file"],
        ),
        ("[profiles.a]\nparams = []", ["error: [profiles.a] params must be a table"]),
        ("[profiles.a]\nparams = {model = 'x'}", ["error: [profiles.a] params: model is set by the command itself"]),
        ("[profiles.a]\nbase_url = 'ftp://a'", ["error: [profiles.a] base_url must be an http(s) URL"]),
    ],
)
def test_what_is_wrong_is_said(check: Check, tmp_path: Path, text: str, problems: list[str]) -> None:
    write_config(tmp_path, "")
    (tmp_path / "firsttoken" / "config.toml").write_bytes(text.encode("latin-1"))
    lines, status = check(tmp_path)
    assert [line[: len(problem)] for line, problem in zip(lines[1:], problems, strict=False)] == problems
    assert status == 3


def test_a_file_that_can_not_be_read_is_said(check: Check, tmp_path: Path) -> None:
    (tmp_path / "firsttoken" / "config.toml").mkdir(parents=True)
    lines, status = check(tmp_path)
    assert (lines[1], status) == ("error: can't be read: Is a directory", 3)


def test_names_of_profiles_are_completed(tmp_path: Path) -> None:
    place = write_config(tmp_path, WORK.format(url="http://127.0.0.1:9/v1"))
    completing = {"_FIRSTTOKEN_COMPLETE": "bash_complete", "COMP_WORDS": "firsttoken ask -p w", "COMP_CWORD": "3"}
    assert run(XDG_CONFIG_HOME=place, **completing).stdout == f"plain,work{os.linesep}"
