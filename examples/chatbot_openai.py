"""The same chatbot with `openai`, to compare: `python examples/chatbot_openai.py history.json`.

It does not notice an answer that was cut, loses the reasoning, and needs the tool's schema and its call by hand.
"""

import json
import os
import sys
from pathlib import Path

from openai import OpenAI, OpenAIError
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

MODEL = os.environ.get("OPENAI_MODEL", "gpt-5-mini")
NUMBER = {"type": "number"}
MULTIPLY: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "multiply",
        "description": "Multiply two numbers.",
        "parameters": {"type": "object", "properties": {"a": NUMBER, "b": NUMBER}, "required": ["a", "b"]},
    },
}


def multiply(a: float, b: float) -> float:
    """Multiply two numbers."""
    return a * b


def load(file: Path) -> list[ChatCompletionMessageParam]:
    """Read the conversation of last time."""
    if not file.exists():
        return [{"role": "system", "content": "You are terse."}]
    messages: list[ChatCompletionMessageParam] = json.loads(file.read_text(encoding="utf-8"))
    return messages


def answer(client: OpenAI, messages: list[ChatCompletionMessageParam]) -> bool:
    """Stream one answer to the terminal, and answer its calls; return whether there were any."""
    with client.chat.completions.stream(model=MODEL, messages=messages, tools=[MULTIPLY]) as stream:
        for event in stream:
            if event.type == "content.delta":
                print(event.delta, end="", flush=True)
        message = stream.get_final_completion().choices[0].message
    print()
    messages.append(
        {"role": "assistant", "content": message.content}
        if not message.tool_calls
        else {
            "role": "assistant",
            "content": message.content,
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
                for call in message.tool_calls
            ],
        }
    )
    for call in message.tool_calls or []:
        result = multiply(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "content": json.dumps(result), "tool_call_id": call.id})
    return bool(message.tool_calls)


def main(file: Path) -> None:
    """Answer each line of the input."""
    messages = load(file)
    with OpenAI() as client:
        for line in sys.stdin:
            messages.append({"role": "user", "content": line.strip()})
            try:
                while answer(client, messages):
                    pass
            except OpenAIError as error:
                print(f"\n{error}", file=sys.stderr)
            file.write_text(json.dumps(messages, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "history.json"))
