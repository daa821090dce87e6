"""The pytest plugin: what a test gets by naming `chat_server`, and what one pays that does not."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from firsttoken import AsyncClient, Client, Timeout, chat_completion_request
from firsttoken.errors import APITimeoutError, ConfigurationError
from firsttoken.testing import FAULTS, ChatServer, ScriptedServer, done, error, finish, stall

REQUEST = chat_completion_request("m", "hi")


def run(folder: Path, code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a file of tests as a user does, with warnings as errors."""
    (folder / "test_it.py").write_text(code, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "--strict-markers",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
    ]
    return subprocess.run(
        [*command, *arguments, "test_it.py"],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | environment,
        timeout=100,
        check=False,
    )


def test_clients_find_it_by_the_environment(chat_server: ScriptedServer) -> None:
    assert os.environ["OPENAI_BASE_URL"] == chat_server.base_url
    assert Client().chat_completion(REQUEST).text == "Hello!"
    chat_server.set_scripts(error(503, headers={"retry-after-ms": "1"}), ["Hel", "lo", finish(), done()])
    assert Client().chat_completion_stream(REQUEST, lambda _: None).text == "Hello"
    assert chat_server.journal.requests[-1].headers["authorization"] == f"Bearer {chat_server.api_key}"
    assert [entry.number for entry in chat_server.journal.retries] == [3]


def test_clients_on_asyncio_find_it_too(chat_server: ScriptedServer) -> None:
    async def main() -> str:
        async with AsyncClient() as client:
            return (await client.chat_completion(REQUEST)).text

    assert asyncio.run(main()) == "Hello!"
    assert chat_server.journal.connections_opened == 1


@pytest.mark.parametrize("ours", [Timeout(), Timeout(first_chunk_s=None, idle_s=60), Timeout(idle_s=0.1)])
def test_clients_of_the_code_under_test_wait_no_longer_than_it_says(chat_server: ChatServer, ours: Timeout) -> None:
    chat_server.max_wait_s = 0.2
    chat_server.set_scripts(["Hel", stall()])
    with pytest.raises(APITimeoutError, match=rf"{min(0.2, ours.idle_s or 1)} s \(idle_s\)"):
        Client(timeout=ours).chat_completion_stream(REQUEST, lambda _: None)
    chat_server.set_scripts([stall()])
    with pytest.raises(APITimeoutError, match=r"0\.2 s"):
        Client().chat_completion(REQUEST, timeout=ours)


def test_waits_before_retries_are_short_then(chat_server: ChatServer) -> None:
    chat_server.max_wait_s = 0.2
    chat_server.set_scripts(error(429, headers={"retry-after": "30"}), error(503), "Hello")
    assert Client().chat_completion(REQUEST).text == "Hello"
    assert all(delay_s < 1 for delay_s in chat_server.journal.retry_delays_s)
    assert len(chat_server.journal.retries) == 2


def test_without_a_longest_wait_deadlines_are_the_codes_own(chat_server: ChatServer) -> None:
    chat_server.max_wait_s = 0.1
    assert (chat_server.max_wait_s, os.environ["FIRSTTOKEN_MAX_WAIT_S"]) == (0.1, "0.1")
    chat_server.max_wait_s = None
    assert chat_server.max_wait_s is None
    assert "FIRSTTOKEN_MAX_WAIT_S" not in os.environ


@pytest.mark.parametrize("wrong", [0, -1, float("nan")])
def test_a_longest_wait_is_above_zero(chat_server: ChatServer, wrong: float) -> None:
    with pytest.raises(ConfigurationError, match="FIRSTTOKEN_MAX_WAIT_S must be a number of seconds above 0"):
        chat_server.max_wait_s = wrong


def test_a_longest_wait_that_is_no_number_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTTOKEN_MAX_WAIT_S", "soon")
    with pytest.raises(ConfigurationError, match="FIRSTTOKEN_MAX_WAIT_S must be a number of seconds above 0: 'soon'"):
        Client(base_url="http://127.0.0.1:9").chat_completion(REQUEST)


@pytest.fixture
def _behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "example.org")


@pytest.mark.usefixtures("_behind_a_proxy")
def test_no_proxy_stands_between(chat_server: ScriptedServer) -> None:
    assert os.environ["NO_PROXY"] == "example.org,127.0.0.1,localhost"
    assert os.environ["no_proxy"] == "127.0.0.1,localhost"
    assert Client().chat_completion(REQUEST).text == "Hello!"
    assert httpx2.post(f"{chat_server.base_url}/chat/completions", json={}).status_code == 200


@pytest.fixture
def _without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.mark.usefixtures("_without_proxies", "chat_server")
def test_who_uses_no_proxy_at_all_still_uses_none() -> None:
    assert os.environ["NO_PROXY"] == "*"


def test_the_docs_own_tests_pass(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "test-failure-handling.md"
    tests = [
        part.removeprefix("python") for part in page.read_text(encoding="utf-8").split("```") if "def test_" in part
    ]
    done = run(tmp_path, "\n".join(tests).replace('"fault", FAULTS', '"fault", FAULTS[::4]'))
    others = sum(part.count("def test_") for part in tests) - 1  # beside the one for each fault
    assert f"{others + len(FAULTS[::4])} passed" in done.stdout, done.stdout[-4000:]


OF_A_USER = """
import os
from firsttoken import Client, chat_completion_request
from firsttoken.errors import InternalServerError

def answer(request):
    assert request.json["model"] == "gpt", "the wrong model"

def test_one(chat_server):
    assert os.environ["OPENAI_API_KEY"] == chat_server.api_key

def test_two():
    assert os.environ["OPENAI_API_KEY"] == "sk-before"
    assert "OPENAI_BASE_URL" not in os.environ

def test_three(chat_server):
    chat_server.set_scripts(answer)
    try:
        Client().chat_completion(chat_completion_request("m", "hi"))
    except InternalServerError:
        pass
"""


def test_the_environment_is_put_back_and_a_script_that_fails_fails_the_test(tmp_path: Path) -> None:
    done = run(tmp_path, OF_A_USER, OPENAI_API_KEY="sk-before")
    assert "3 passed, 1 error" in done.stdout, done.stdout
    assert "ERROR test_it.py::test_three - AssertionError: the wrong model" in done.stdout


EVERY_FAULT = """
import asyncio

import pytest
from firsttoken import AsyncClient, Client, chat_completion_request
from firsttoken.errors import ChatCompletionError
from firsttoken.testing import FAULTS

REQUEST = chat_completion_request("m", "hi")

def ask():
    return Client().chat_completion_stream(REQUEST, lambda _: None).text

async def ask_async():
    async with AsyncClient() as client:
        return (await client.chat_completion_stream(REQUEST, lambda _: None)).text

@pytest.fixture(params=FAULTS[::{step}])
def fault(request, chat_server):
    chat_server.max_wait_s = 0.5
    chat_server.set_scripts(request.param)
    return request.param

def check(fault, text, error):
    assert text == (fault.text if fault.is_complete else None)
    if not fault.is_complete:
        assert (error.partial.text if error.partial else "") == fault.text
"""
SYNC = """
def test_it(fault):
    try:
        check(fault, ask(), None)
    except ChatCompletionError as error:
        check(fault, None, error)
"""
ASYNC = """
@pytest.mark.{mark}
async def test_it(fault):
    try:
        check(fault, await ask_async(), None)
    except ChatCompletionError as error:
        check(fault, None, error)
"""


@pytest.mark.parametrize(
    ("code", "step", "arguments"),
    [
        (SYNC, 5, []),
        (SYNC, 20, ["-n", "2"]),
        (ASYNC.format(mark="asyncio"), 20, ["-p", "asyncio", "-o", "asyncio_default_fixture_loop_scope=function"]),
        (ASYNC.format(mark="anyio"), 20, ["-k", "asyncio"]),
    ],
    ids=["sync", "xdist", "pytest-asyncio", "anyio"],
)
def test_code_under_test_is_put_through_the_faults_in_seconds(
    tmp_path: Path, code: str, step: int, arguments: list[str]
) -> None:
    """Every fifth, and with other plugins every twentieth."""
    done = run(tmp_path, EVERY_FAULT.replace("{step}", str(step)) + code, *arguments)
    assert f"{len(FAULTS[::step])} passed" in done.stdout, done.stdout[-4000:]


def test_who_does_not_ask_for_it_pays_next_to_nothing(tmp_path: Path) -> None:
    code = (
        "import sys\n\n"
        "def test_it():\n"
        "    assert 'firsttoken.testing._plugin' in sys.modules\n"
        "    print(sorted(name for name in sys.modules if name.startswith('firsttoken')))\n"
        "    print({'httptools', 'msgspec', 'ssl', 'asyncio'} & set(sys.modules))\n"
    )
    done = run(tmp_path, code, "-s", "-p", "firsttoken", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert done.stdout.splitlines()[:2] == [
        "['firsttoken', 'firsttoken._version', 'firsttoken.testing', 'firsttoken.testing._plugin']",
        "set()",
    ]
