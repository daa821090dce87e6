"""The log of calls: what each level has, and what no level has."""

import asyncio
import logging
import subprocess
import sys

import pytest

from firsttoken import AsyncClient, Client, chat_completion_request, user_message
from firsttoken.errors import ChatCompletionError
from firsttoken.testing import ScriptedServer, close, error, reply, text
from firsttoken.types import CallInfo, CallObserver, Observer

SECRET = "sk-secret-0123456789abcdef"
REQUEST = chat_completion_request("test-model", [user_message("the question")])


def blocking(client: Client) -> None:
    client.chat_completion(REQUEST)


def streamed(client: Client) -> None:
    with client.chat_completion_stream(REQUEST) as stream:
        list(stream)


async def streamed_async(base_url: str) -> None:
    async with AsyncClient(SECRET, base_url) as client, client.chat_completion_stream(REQUEST) as stream:
        async for _ in stream:
            pass


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


@pytest.mark.parametrize("style", [blocking, streamed])
def test_a_call_is_a_line_for_its_request_its_head_and_its_end(style: object, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "firsttoken")
    with ScriptedServer("the answer") as server, Client(SECRET, server.base_url) as client:
        style(client)  # type: ignore[operator] # pyright: ignore[reportCallIssue]
    request, head, end = lines(caplog, logging.DEBUG)
    url = f"{server.base_url}/chat/completions"
    kind = "blocking" if style is blocking else "streamed"
    assert request.startswith(f"POST {url}: model test-model, {kind}, ")
    assert head.startswith(f"{url}: status 200 after 0.")
    assert end.startswith(f"{url}: complete, finish reason stop, ")
    assert "attempts 1, request id " in end
    for record in caplog.records:
        shown = record.getMessage()
        assert SECRET not in shown
        assert "the question" not in shown
        assert "the answer" not in shown


def test_a_retry_has_its_reason_and_its_delay(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "firsttoken")
    with ScriptedServer(error(429, code="slow_down", headers={"retry-after-ms": "20"}), "Hi") as server:
        asyncio.run(streamed_async(server.base_url))
    (line,) = lines(caplog, logging.INFO)
    assert line.endswith(": RateLimitError 429 slow_down in attempt 1, retrying in 0.02 s")
    assert lines(caplog, logging.DEBUG) == []


def test_an_answer_that_was_lost_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "firsttoken")
    with (
        ScriptedServer([text("It "), close()]) as server,
        Client(SECRET, server.base_url) as client,
        pytest.raises(ChatCompletionError),
    ):
        streamed(client)
    (line,) = lines(caplog, logging.WARNING)
    assert "the answer broke off, " in line
    assert "what came is in error.partial" in line
    assert "It " not in line


class _Counter(Observer):
    def __init__(self) -> None:
        self.calls = 0

    def call_started(self, call: CallInfo) -> CallObserver | None:
        self.calls += 1
        return None


def test_the_callers_own_observer_is_told_as_well(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "firsttoken")
    counter = _Counter()
    with ScriptedServer(reply("Hi")) as server, Client(SECRET, server.base_url, observer=counter) as client:
        blocking(client)
    assert counter.calls == 1
    assert len(lines(caplog, logging.DEBUG)) == 3


@pytest.mark.parametrize(("level", "count"), [("debug", 3), ("info", 0)])
def test_a_script_logs_by_an_environment_variable(level: str, count: int) -> None:
    code = "from firsttoken import Client; [Client().chat_completion('m', 'Hi') for _ in '1']; Client()"
    with ScriptedServer("Hi") as server:
        environment = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": SECRET, "FIRSTTOKEN_LOG": level}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60, check=True
        )
    assert len(done.stderr.splitlines()) == count
    assert SECRET not in done.stderr
    assert all(" firsttoken DEBUG " in line for line in done.stderr.splitlines())
