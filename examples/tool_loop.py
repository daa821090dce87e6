"""Let the model call Python functions until it has its answer: `python examples/tool_loop.py "What is 12 times 34?"`.

Asks the server of OPENAI_BASE_URL (OpenAI's by default), with the model of OPENAI_MODEL.
"""

import os
import sys
from collections.abc import Callable

from firsttoken import Client, chat_completion_request, tool_message, user_message
from firsttoken.errors import ResponseFormatError
from firsttoken.types import Message, ToolCall

MOST_TURNS = 5


def multiply(a: float, b: float) -> str:
    """Multiply two numbers."""
    return str(a * b)


def count_letters(word: str, letter: str) -> str:
    """Count how often a letter is in a word.

    Args:
        word: the word.
        letter: one letter; upper and lower case are the same.
    """
    return str(word.lower().count(letter.lower()))


TOOLS: dict[str, Callable[..., str]] = {"multiply": multiply, "count_letters": count_letters}


def result_of(call: ToolCall) -> str:
    """What a call gives; what is wrong with it, where something is, so that the model can do better."""
    function = TOOLS.get(call.name)
    if function is None:
        return f"there is no function {call.name}"
    try:
        return call.invoke(function)
    except ResponseFormatError as error:
        return str(error)


def main(question: str) -> None:
    """Ask, answer the calls, and ask again."""
    messages: list[Message] = [user_message(question)]
    with Client() as client:
        for _ in range(MOST_TURNS):
            request = chat_completion_request(
                os.environ.get("OPENAI_MODEL", "gpt-5-mini"), messages, tools=list(TOOLS.values())
            )
            with client.chat_completion_stream(request) as stream:
                for text in stream.iter_text():
                    print(text, end="", flush=True)
            calls = stream.completion.tool_calls
            if not calls:
                break
            messages.append(stream.completion.choices[0].message)
            for call in calls:
                result = result_of(call)
                print(f"{call.name}({call.arguments}) = {result}", file=sys.stderr)
                messages.append(tool_message(result, call.id))
    print()


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "How many r are in strawberry?")
