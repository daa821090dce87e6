"""An agent with a deadline and a stop button: `python examples/agent.py "How many r are in strawberry?"`.

It calls functions until it has its answer. Enter stops it at any point, also while the model is silent; so does the
deadline. What was written until then is kept. Asks the server of OPENAI_BASE_URL, with the model of OPENAI_MODEL.
"""

import os
import sys
import threading
import time
from dataclasses import dataclass, field

from firsttoken import ChatCompletionStream, Client, Timeout, tool_message, user_message
from firsttoken.errors import APITimeoutError, ChatCompletionError
from firsttoken.types import Message

DEADLINE_S = 60.0
MAX_TURNS = 8


def count_letters(word: str, letter: str) -> int:
    """Count how often a letter is in a word."""
    return word.lower().count(letter.lower())


@dataclass
class StopButton:
    """Closes the stream that is being read, from another thread."""

    pressed: bool = False
    _stream: ChatCompletionStream | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def press(self) -> None:
        """Stop the stream, and those that would follow it."""
        with self._lock:
            self.pressed = True
            if self._stream is not None:
                self._stream.close()

    def watch(self, stream: ChatCompletionStream) -> None:
        """Stop this stream when the button is pressed."""
        with self._lock:
            self._stream = stream
            if self.pressed:
                stream.close()


def run(question: str, button: StopButton) -> str:
    """Ask, call functions, ask again; returns how it ended."""
    deadline = time.monotonic() + DEADLINE_S
    model = os.environ.get("OPENAI_MODEL", "gpt-5-mini")
    messages: list[Message] = [user_message(question)]
    with Client() as client:
        for _ in range(MAX_TURNS):
            timeout = Timeout(total_s=max(0.001, deadline - time.monotonic()))
            stream = client.chat_completion_stream(model, messages, tools=[count_letters], timeout=timeout)
            button.watch(stream)
            for text in stream.iter_text():
                print(text, end="", flush=True)
            if stream.state == "stopped":
                return "stopped"
            calls = stream.completion.tool_calls
            if not calls:
                return "complete"
            messages.append(stream.completion.message)
            messages += [tool_message(call.invoke([count_letters]), call.id) for call in calls]
    return f"gave up after {MAX_TURNS} turns"


def main(question: str) -> int:
    """Run it, with Enter as the stop button."""
    button = StopButton()

    def wait_for_enter() -> None:
        if sys.stdin.readline():
            button.press()

    threading.Thread(target=wait_for_enter, daemon=True).start()
    try:
        outcome = run(question, button)
    except APITimeoutError as error:
        outcome = f"out of time: {error}"
    except ChatCompletionError as error:
        outcome = f"failed: {error}"
    print(f"\n({outcome})")
    return 0 if outcome == "complete" else 1


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:]) or "How many r are in strawberry?"))
