"""firsttoken._models.messages: the functions that make messages make what they are called."""

import json

import msgspec
import pytest

from firsttoken.types import (
    AssistantMessage,
    DeveloperMessage,
    SystemMessage,
    ToolMessage,
    UserMessage,
    assistant_message,
    developer_message,
    system_message,
    tool_message,
    user_message,
)

PARTS = [{"type": "text", "text": "Hi"}]
CALLS = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]


@pytest.mark.parametrize(
    ("message", "kind", "sent"),
    [
        (developer_message("x"), DeveloperMessage, {"role": "developer", "content": "x"}),
        (developer_message("x", name="n"), DeveloperMessage, {"role": "developer", "content": "x", "name": "n"}),
        (system_message("x"), SystemMessage, {"role": "system", "content": "x"}),
        (system_message("x", name="n"), SystemMessage, {"role": "system", "content": "x", "name": "n"}),
        (user_message("x"), UserMessage, {"role": "user", "content": "x"}),
        (user_message(PARTS, name="n"), UserMessage, {"role": "user", "content": PARTS, "name": "n"}),
        (assistant_message(), AssistantMessage, {"role": "assistant"}),
        (
            assistant_message("x", name="n", refusal="r", tool_calls=CALLS, audio={"id": "a"}),
            AssistantMessage,
            {
                "role": "assistant",
                "content": "x",
                "name": "n",
                "refusal": "r",
                "tool_calls": CALLS,
                "audio": {"id": "a"},
            },
        ),
        (tool_message("x", "a"), ToolMessage, {"role": "tool", "content": "x", "tool_call_id": "a"}),
    ],
)
def test_a_message(message: msgspec.Struct, kind: type[object], sent: object) -> None:
    assert type(message) is kind
    assert json.loads(msgspec.json.encode(message)) == sent
