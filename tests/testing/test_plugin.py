"""The pytest plugin: what a test gets by naming `chat_server`, and what one pays that does not."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from firsttoken import AsyncClient, Client, chat_completion_request
from firsttoken.testing import ScriptedServer, close, done, error, finish

REQUEST = chat_completion_request("m", "hi")


def run(folder: Path, code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a file of tests as a user does, with warnings as errors."""
    (folder / "test_it.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "--strict-markers", "-p", "no:cacheprovider"]
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


def test_the_docs_own_test_passes(chat_server: ScriptedServer) -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "test-failure-handling.md"
    (code,) = [part for part in page.read_text(encoding="utf-8").split("```") if "def test_a_cut_answer" in part]
    namespace: dict[str, object] = {
        "Client": Client,
        "chat_completion_request": chat_completion_request,
        "close": close,
    }
    exec(code.removeprefix("python"), namespace)
    test = namespace["test_a_cut_answer_is_shown_as_one"]
    assert callable(test)
    test(chat_server)


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
