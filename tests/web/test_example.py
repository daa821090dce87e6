"""The example's back end, started as its README says: its tools, what the model is sent, and the local model."""

import http.client
import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from firsttoken.testing import ScriptedServer, close, done, finish, reply, role, tool_call
from tests.support.services import Service, free_port
from tests.support.web import events_of
from tests.support.web_app import EXAMPLE

QUESTION = {"role": "user", "parts": [{"type": "text", "text": "Roll a die"}]}


@contextmanager
def serving(folder: Path, **environment: str) -> Generator[int]:
    """The example; gives its port."""
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        pytest.skip("fastapi and uvicorn are not installed (uv sync --group web)")
    port = free_port()
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONUNBUFFERED": "1", "NO_PROXY": "*", **environment}
    command = [sys.executable, EXAMPLE / "app.py", str(port)]
    with Service(command, env=env, folder=folder) as service:
        service.wait_for(f"open http://127.0.0.1:{port}/ to chat with ", 60)
        service.wait_until_listening(port, 30)
        yield port


def ask(port: int, *messages: Any) -> list[Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(
            "POST", "/api/chat", json.dumps({"messages": messages}), {"content-type": "application/json"}
        )
        with connection.getresponse() as response:
            assert response.status == 200
            return events_of(response.read())
    finally:
        connection.close()


def test_tools_run_and_the_conversation_goes_on(tmp_path: Path) -> None:
    call = [role(), tool_call("roll_dice", {"sides": 6, "count": 2}), finish("tool_calls"), done()]
    with (
        ScriptedServer(call, reply("You rolled."), ["Hel", close()]) as server,
        serving(tmp_path, OPENAI_BASE_URL=server.base_url, OPENAI_API_KEY="sk-example") as port,
    ):
        events = ask(port, QUESTION)
        types = [event if isinstance(event, str) else event["type"] for event in events]
        assert (types.count("start"), types.count("start-step"), types[-2:]) == (1, 2, ["finish", "[DONE]"])
        (result,) = [event for event in events if event != "[DONE]" and event["type"] == "tool-output-available"]

        tool = {"type": "tool-roll_dice", "toolCallId": "call_1", "state": "output-available", "input": {"count": 2}}
        cut = {"type": "tool-roll_dice", "toolCallId": "call_2", "state": "input-streaming", "rawInput": '{"si'}
        parts = [
            {"type": "step-start"},
            tool | {"output": "3, 4"},
            {"type": "step-start"},
            {"type": "text", "text": "7."},
        ]
        events = ask(port, QUESTION, {"role": "assistant", "parts": [*parts, cut]}, QUESTION)
        assert [event["type"] for event in events[-3:-1]] == ["text-delta", "error"]
        second, third = (request.messages for request in server.journal.requests[1:])
    assert [message["role"] for message in second] == ["system", "user", "assistant", "tool"]
    assert second[-1]["content"] == result["output"]
    function = {"name": "roll_dice", "arguments": '{"count": 2}'}
    assert third[2]["tool_calls"] == [{"id": "call_1", "type": "function", "function": function}]
    assert [message.get("content") for message in third[3:]] == ["3, 4", "7.", "Roll a die"]


@pytest.mark.model
def test_the_local_model_answers_without_settings(tmp_path: Path) -> None:
    with serving(tmp_path) as port:
        events = ask(port, {"role": "user", "parts": [{"type": "text", "text": "Say hello."}]})
    assert "".join(event.get("delta", "") for event in events[:-1]).strip()
    assert events[-2]["type"] == "finish"
