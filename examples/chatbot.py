"""A chatbot with a tool that remembers the conversation: `python examples/chatbot.py history.json`.

The port of `chatbot_openai.py`, which stands beside it. The model is that of OPENAI_MODEL.
"""

import json
import os
import sys
from pathlib import Path

from firsttoken import Client, chat_completion_request, system_message, tool_message, user_message
from firsttoken.errors import ChatCompletionError
from firsttoken.types import ChatCompletionMessage, Message, message_from_dict

MODEL = os.environ.get("OPENAI_MODEL", "gpt-5-mini")


def multiply(a: float, b: float) -> float:
    """Multiply two numbers."""
    return a * b


def load(file: Path) -> list[Message]:
    """Read the conversation of last time."""
    if not file.exists():
        return [system_message("You are terse.")]
    return [message_from_dict(fields) for fields in json.loads(file.read_text(encoding="utf-8"))]


def save(file: Path, messages: list[Message]) -> None:
    """Write the conversation, for the next time."""
    file.write_text(json.dumps([message.to_dict() for message in messages], indent=2), encoding="utf-8")


def answer(client: Client, messages: list[Message]) -> ChatCompletionMessage:
    """Stream one answer to the terminal; what comes back is complete, or an error was raised."""
    request = chat_completion_request(MODEL, messages, tools=[multiply])
    with client.chat_completion_stream(request) as stream:
        for text in stream.iter_text():
            print(text, end="", flush=True)
    print()
    return stream.final_completion().message


def main(file: Path) -> None:
    """Answer each line of the input."""
    messages = load(file)
    with Client() as client:
        for line in sys.stdin:
            messages.append(user_message(line.strip()))
            try:
                messages.append(message := answer(client, messages))
                while message.tool_calls:
                    messages += [tool_message(call.invoke([multiply]), call.id) for call in message.tool_calls]
                    messages.append(message := answer(client, messages))
            except ChatCompletionError as error:
                print(f"\n{error}", file=sys.stderr)
            save(file, messages)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "history.json"))
