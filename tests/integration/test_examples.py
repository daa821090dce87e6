"""The examples run, with the real model and with a server that does as a larger one would."""

import json
import subprocess
import sys
from ast import literal_eval
from pathlib import Path
from typing import Any, cast

import nbformat
import pytest
from nbclient import NotebookClient

from firsttoken.local import LocalServer
from firsttoken.testing import (
    Request,
    ScriptedServer,
    close,
    done,
    error,
    finish,
    role,
    stall,
    tool_call,
)
from tests.support.server import Peer, Server, chunk, respond_sequentially

EXAMPLES = Path(__file__).parents[2] / "examples"


def environment(base_url: str) -> dict[str, str]:
    return {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "sk-of-the-examples", "NO_PROXY": "*"}


def run(name: str, base_url: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *words]
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(base_url),
        timeout=100,
        check=False,
    )


def test_every_example_is_run_here() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == {
        *("chatbot.py", "chatbot_openai.py"),  # by tests/test_chatbots.py
        *("clusters", "web_chat"),  # by tests/batch and tests/web
        *("agent.py", "evaluate.py", "notebook.ipynb", "structured_output.py", "tool_loop.py"),
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


def test_an_agent_calls_functions_until_it_has_its_answer() -> None:
    call = [tool_call("count_letters", {"word": "strawberry", "letter": "r"}), finish("tool_calls"), done()]
    with ScriptedServer(call, "There are 3.") as server:
        ran = run("agent.py", server.base_url)
    assert (ran.returncode, ran.stdout) == (0, "There are 3.\n(complete)\n"), ran.stderr
    result = server.journal.requests[1].messages[-1]
    assert (result["role"], result["content"]) == ("tool", "3")


@pytest.mark.parametrize("moment", ["silent", "writing"])
def test_the_stop_button_of_the_agent(moment: str) -> None:
    script = [stall()] if moment == "silent" else [role(), "There are", stall()]
    with ScriptedServer(script) as server:
        command = [sys.executable, str(EXAMPLES / "agent.py")]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(server.base_url)
        ) as process:
            assert process.stdout is not None
            assert server.journal.wait_until(lambda journal: len(journal.requests) == 1)
            came = "" if moment == "silent" else process.stdout.read(len("There are"))
            rest, _ = process.communicate("\n", timeout=30)
        assert server.journal.wait_for_disconnect()
    assert (came + rest, process.returncode) == (("" if moment == "silent" else "There are") + "\n(stopped)\n", 1)


def test_an_agent_whose_answer_breaks_off() -> None:
    with ScriptedServer(["There a", close()]) as server:
        ran = run("agent.py", server.base_url)
    assert ran.returncode == 1
    assert ran.stdout.startswith("There a\n(failed: the connection was closed before the end of the response")


def test_an_evaluation_is_taken_up_where_it_was_left(tmp_path: Path) -> None:
    def answer(request: Request) -> Any:
        words = {"France": "Paris", "12": "144.", "sun": "Venus"}
        question = str(request.messages[-1]["content"])
        known = next((word for key, word in words.items() if key in question), None)
        return error(400) if known is None else known

    output = tmp_path / "answers.jsonl"
    with ScriptedServer(answer) as server:
        first = run("evaluate.py", server.base_url, str(output))
        assert first.stdout.endswith("2 of 3 correct; 3 new, 1 failed\n"), first.stderr
        assert "- Which planet is closest to the sun? 'Venus'\n? Who wrote Hamlet? ''\n" in first.stdout
        sent = len(server.journal.requests)
        server.set_scripts("Shakespeare")
        second = run("evaluate.py", server.base_url, str(output))
    assert (first.returncode, second.returncode) == (1, 0)
    assert second.stdout.endswith("3 of 4 correct; 1 new, 0 failed\n"), second.stderr
    assert len(server.journal.requests) == sent + 1


def outputs_of(notebook: Path) -> Any:
    """The outputs of each code cell, run by a kernel."""
    read = cast("Any", nbformat.read)  # pyright: ignore[reportUnknownMemberType]
    book = read(notebook, as_version=4)
    NotebookClient(book, timeout=60, kernel_name="python3").execute()
    return [cell.outputs for cell in book.cells if cell.cell_type == "code"]


def test_the_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    broken_off = ["Once", close()]
    with ScriptedServer("- red\n- green", "It scatters.", "A rose.", "A leaf.", "The sea.", broken_off) as server:
        for name, value in environment(server.base_url).items():
            monkeypatch.setenv(name, value)
        outputs = outputs_of(EXAMPLES / "notebook.ipynb")
    shown, watched, together, broken = outputs
    assert shown[0].data["text/markdown"] == "- red\n- green"
    assert "".join(output.text for output in watched if output.output_type == "stream") == "It scatters."
    assert sorted(literal_eval(together[0].data["text/plain"])) == ["A leaf.", "A rose.", "The sea."]
    assert broken[0].text.startswith("the connection was closed before the end of the response ")
