"""Vercel's own client (the `ai` package, in Node) reads what `ui_message_stream` writes."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from firsttoken.testing import (
    ScriptedServer,
    close,
    done,
    error,
    event,
    finish,
    reasoning,
    refusal,
    reply,
    respond,
    role,
    tool_call,
)
from firsttoken.web import UI_MESSAGE_STREAM_HEADERS, ui_message_stream
from tests.support.web import REQUEST, client, relayed

pytestmark = pytest.mark.xdist_group("ai-sdk")  # installed and run once for all
READER = Path(__file__).parents[1] / "support" / "ai_sdk.mjs"
VERSIONS = ("5", "6", "7")
INSTALL_S = 120

ANSWERS: Mapping[str, Any] = {
    "text": reply("Hello you"),
    "reasoning": [reasoning("hm"), "Because.", finish(), done()],
    "calls": ["Look.", tool_call("weather", {"city": "Paris"}), finish("tool_calls"), done()],
    "bad call": [tool_call("weather", '{"city'), finish("tool_calls"), done()],
    "refusal": [role(), refusal("I can't."), finish(), done()],
    "length": ["Hel", finish("length"), done()],
    "cut": ["Hel", close()],
    "cut call": [tool_call("weather", {"city": "Paris"}), close()],
    "error": ["Hel", event({"error": {"message": "boom"}})],
    "429": error(429),
}


def sdk(version: str, cache: pytest.Cache) -> Path:
    """The folder with the package, which the first run installs."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("npm is missing (Debian: apt-get install nodejs npm)")
    installed = cache.mkdir("ai-sdk") / version
    if not installed.is_dir():
        with tempfile.TemporaryDirectory(dir=installed.parent, ignore_cleanup_errors=True) as folder:
            packages = [f"ai@{version}", "zod@4"]
            command = [npm, "install", "--no-audit", "--no-fund", "--no-save", "--prefix", folder, *packages]
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
            load = [node, "-e", "import(require.resolve('ai'))"]  # npm may report success for half a package
            if done.returncode or subprocess.run(load, cwd=folder, capture_output=True, check=False).returncode:
                pytest.skip(f"npm can't install ai@{version}: {done.stderr[-200:]}")
            try:
                Path(folder).rename(installed)
            except OSError:  # another process was quicker
                assert installed.is_dir()
    return installed


@pytest.fixture(scope="module", params=VERSIONS)
def seen(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> dict[str, Any]:
    """What the client saw of each answer, by name."""
    assert pytestconfig.cache is not None
    folder = sdk(request.param, pytestconfig.cache)
    bodies = [relayed("async", ui_message_stream, script) for script in ANSWERS.values()]
    with ScriptedServer(["Hel", finish()]) as server, client(server) as asking:
        stream = asking.chat_completion_stream(REQUEST)
        relay = ui_message_stream(stream)
        begun = next(relay)
        stream.close()
        bodies.append(begun + b"".join(relay))
    scripts = [[respond(200, body, headers=UI_MESSAGE_STREAM_HEADERS)] for body in bodies]
    with ScriptedServer(*scripts) as server:
        addresses = [f"http://127.0.0.1:{server.port}/{number}" for number in range(len(scripts))]
        node = shutil.which("node")
        assert node is not None
        command = [node, str(READER), str(folder), *addresses]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return dict(zip([*ANSWERS, "stopped"], json.loads(done.stdout), strict=True))


def parts(seen: Any) -> list[tuple[str, Any]]:
    """The parts of a message: what each is, and its text or state."""
    return [(part["type"], part.get("text", part.get("state"))) for part in seen["parts"][1:]]


@pytest.mark.parametrize(
    ("name", "reason", "expected"),
    [
        ("text", "stop", [("text", "Hello you")]),
        ("reasoning", "stop", [("reasoning", "hm"), ("text", "Because.")]),
        ("calls", "tool-calls", [("text", "Look."), ("tool-weather", "input-available")]),
        ("bad call", "tool-calls", [("tool-weather", "output-error")]),
        ("length", "length", [("text", "Hel")]),
    ],
)
def test_complete_answers(seen: dict[str, Any], name: str, reason: str, expected: list[tuple[str, str]]) -> None:
    it = seen[name]
    assert (it["status"], it.get("error"), it["isError"], it["isAbort"]) == ("ready", None, False, False)
    assert it["metadata"]["finishReason"] == reason
    assert parts(it) == expected
    assert it["types"][-1] == "finish"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("cut", "The answer broke off before it was complete.", [("text", "Hel")]),
        ("cut call", "The answer broke off before it was complete.", [("tool-weather", "input-streaming")]),
        ("error", "The model's server reported an error.", [("text", "Hel")]),
        ("refusal", "The model refused to answer.", [("text", "I can't.")]),
    ],
)
def test_answers_that_are_not_complete(seen: dict[str, Any], name: str, text: str, expected: list[Any]) -> None:
    it = seen[name]
    assert (it["status"], it["error"], it["isError"]) == ("error", text, True)
    assert it.get("metadata") is None
    assert parts(it) == expected
    assert it["calls"] == []
    assert "finish" not in it["types"]


def test_an_answer_that_was_refused_by_the_server(seen: dict[str, Any]) -> None:
    it = seen["429"]
    assert (it["status"], it["error"]) == ("error", "The model is busy. Try again later.")


def test_an_answer_that_was_stopped_is_not_complete(seen: dict[str, Any]) -> None:
    it = seen["stopped"]
    assert (it["status"], it.get("error"), it.get("metadata")) == ("ready", None, None)
    assert it["types"][-1] == "abort"


def test_calls_are_given_when_they_are_complete(seen: dict[str, Any]) -> None:
    assert seen["calls"]["calls"] == [{"name": "weather", "input": {"city": "Paris"}}]
    assert seen["bad call"]["calls"] == []


def test_usage_is_metadata(seen: dict[str, Any]) -> None:
    assert seen["text"]["metadata"]["usage"] == {"inputTokens": 9, "outputTokens": 2, "totalTokens": 11}
