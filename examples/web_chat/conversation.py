"""The AI SDK's messages (`UIMessage`) as the messages of a chat completion."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from firsttoken import assistant_message, tool_message, user_message
from firsttoken.types import Message

Part = Mapping[str, object]


def to_chat_messages(messages: Iterable[Mapping[str, object]]) -> Iterator[Message]:
    """Give the messages of a conversation; of the browser's parts those that a model reads."""
    for message in messages:
        parts = parts_of(message)
        if message.get("role") == "user":
            yield user_message(text_of(parts))
        elif message.get("role") == "assistant":
            for step in steps_of(parts):
                yield from assistant_messages(step)


def parts_of(message: Mapping[str, object]) -> list[Part]:
    """The parts of a message; a browser may send anything."""
    given = message.get("parts")
    found = cast("list[object]", given) if isinstance(given, list) else []
    return [cast("Part", part) for part in found if isinstance(part, dict)]


def steps_of(parts: Iterable[Part]) -> list[list[Part]]:
    """The parts of each step: an answer of the model and what its tools returned."""
    steps: list[list[Part]] = [[]]
    for part in parts:
        if part.get("type") == "step-start":
            steps.append([])
        else:
            steps[-1].append(part)
    return [step for step in steps if step]


def assistant_messages(step: list[Part]) -> Iterator[Message]:
    """The model's message, and the results of its calls. Calls without a result, which were cut, are left out."""
    results = [part for part in step if is_tool(part) and part.get("state") in ("output-available", "output-error")]
    calls = [
        {"id": part["toolCallId"], "type": "function", "function": {"name": name_of(part), "arguments": input_of(part)}}
        for part in results
    ]
    text = text_of(step)
    if calls:
        yield assistant_message(text or None, tool_calls=calls)
    elif text:
        yield assistant_message(text)
    for part in results:
        yield tool_message(output_of(part), str(part["toolCallId"]))


def text_of(parts: Iterable[Part]) -> str:
    """The text, joined."""
    return "".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")


def is_tool(part: Part) -> bool:
    """Whether a part is a tool call."""
    return str(part.get("type")).startswith(("tool-", "dynamic-tool"))


def name_of(part: Part) -> str:
    """The name of the tool."""
    return str(part.get("toolName") or str(part.get("type")).removeprefix("tool-"))


def input_of(part: Part) -> str:
    """The call's arguments, as text."""
    given = part.get("input", part.get("rawInput"))
    return given if isinstance(given, str) else json.dumps(given or {})


def output_of(part: Part) -> str:
    """What the call returned, as text."""
    output = part.get("output", part.get("errorText"))
    return output if isinstance(output, str) else json.dumps(output)
