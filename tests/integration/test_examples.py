"""The examples run, with the real model and with a server that does as a larger one would."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from firsttoken.local import LocalServer
from tests.support.server import Peer, Server, chunk, respond_sequentially

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, base_url: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "sk-of-the-examples", "NO_PROXY": "*"}
    command = [sys.executable, str(EXAMPLES / name), *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100, check=False)


def test_every_example_is_run_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {
        *("chatbot.py", "chatbot_openai.py"),  # by tests/test_chatbots.py
        *("structured_output.py", "tool_loop.py"),
    }


@pytest.mark.model
def test_a_recipe(local_server: LocalServer) -> None:
    done = run("structured_output.py", local_server.base_url, "soup")
    assert done.returncode in {0, 1}, done.stderr  # so small a model may write a title without an end
    assert "{'title': " in done.stderr
    assert ("minutes: " in done.stdout) == (done.returncode == 0)


def calls(peer: Peer) -> None:
    functions = [
        {"name": "count_letters", "arguments": '{"word": "strawberry", "letter": "R"}'},
        {"name": "multiply", "arguments": '{"a": 3, "b": "4"}'},
    ]
    deltas = [{"index": index, "id": f"call_{index}", "function": it} for index, it in enumerate(functions)]
    choice = {"index": 0, "delta": {"tool_calls": deltas}, "finish_reason": "tool_calls"}
    peer.begin_stream()
    peer.send_event(chunk() | {"choices": [choice]})
    peer.end_stream()


def test_tools_are_called_until_there_is_an_answer() -> None:
    with Server(respond_sequentially(calls, lambda peer: peer.stream("There are ", "3."))) as server:
        done = run("tool_loop.py", server.base_url)
    assert (done.returncode, done.stdout) == (0, "There are 3.\n"), done.stderr
    assert 'count_letters({"word": "strawberry", "letter": "R"}) = 3\n' in done.stderr
    first, second = (request.json for request in server.requests)
    assert [tool["function"]["name"] for tool in first["tools"]] == ["multiply", "count_letters"]
    answer, *results = second["messages"][1:]
    assert [call["id"] for call in answer["tool_calls"]] == ["call_0", "call_1"]
    assert [(it["role"], it["tool_call_id"]) for it in results] == [("tool", "call_0"), ("tool", "call_1")]
    assert results[0]["content"] == "3"
    assert_says_what_is_wrong(results[1])


def assert_says_what_is_wrong(message: dict[str, Any]) -> None:
    excerpt = json.dumps({"a": 3, "b": "4"})
    assert message["content"] == (
        f"the arguments of multiply can't be read as multiply: Expected `float`, got `str` - at `$.b`: '{excerpt}'"
    )
