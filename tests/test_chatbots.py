"""The chatbot of `examples/` and the one with openai: saved, loaded and continued, with tools and reasoning."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from firsttoken.testing import ScriptedServer, done, end, finish, reasoning, role, text, tool_call

EXAMPLES = Path(__file__).parents[1] / "examples"
CALLING = [
    role(),
    reasoning("hm, 6 by "),
    reasoning("7"),
    tool_call("multiply", {"a": 6, "b": 7}),
    finish("tool_calls"),
    done(),
]
chatbots = pytest.mark.parametrize(
    "name",
    [
        "chatbot.py",
        pytest.param(
            "chatbot_openai.py",
            marks=pytest.mark.skipif(importlib.util.find_spec("openai") is None, reason="openai is not installed"),
        ),
    ],
)


def run(name: str, file: Path, server: ScriptedServer, line: str) -> subprocess.CompletedProcess[str]:
    environment = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": server.api_key, "NO_PROXY": "*"}
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), str(file)],
        input=f"{line}\n",
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=True,
    )


def requests_of(server: ScriptedServer) -> list[list[dict[str, Any]]]:
    return [json.loads(request.body)["messages"] for request in server.journal.requests]


@chatbots
def test_a_conversation_is_saved_loaded_and_continued(name: str, tmp_path: Path) -> None:
    file = tmp_path / "history.json"
    with ScriptedServer(CALLING, "It is 42.", "You asked for 6 by 7.") as server:
        first = run(name, file, server, "What is 6 by 7?")
        second = run(name, file, server, "What did I ask?")
    assert first.stdout.split() == ["It", "is", "42."]
    assert second.stdout == "You asked for 6 by 7.\n"
    saved = json.loads(file.read_text())
    assert [message["role"] for message in saved] == [
        *("system", "user", "assistant", "tool", "assistant", "user", "assistant"),
    ]
    sent = requests_of(server)
    assert sent[2] == saved[:-1]
    assert sent[1] == saved[:4]
    assert float(saved[3]["content"]) == 42
    call = saved[2]["tool_calls"][0]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("multiply", {"a": 6, "b": 7})


def test_the_port_keeps_the_reasoning(tmp_path: Path) -> None:
    file = tmp_path / "history.json"
    with ScriptedServer(CALLING, "It is 42.") as server:
        run("chatbot.py", file, server, "What is 6 by 7?")
    assert requests_of(server)[1][2]["reasoning_content"] == "hm, 6 by 7"


def test_the_port_notices_an_answer_that_was_cut(tmp_path: Path) -> None:
    file = tmp_path / "history.json"
    with ScriptedServer([role(), text("It is "), end()]) as server:
        ended = run("chatbot.py", file, server, "What is 6 by 7?")
    assert ended.stdout == "It is "
    assert "no [DONE]" in ended.stderr
    assert [message["role"] for message in json.loads(file.read_text())] == ["system", "user"]
