"""Steps that say what the answer is: chunks, and what stands between them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from firsttoken.testing._script.step import JSON, Step, Steps

if TYPE_CHECKING:
    from firsttoken.testing._server.response import ResponseWriter


@dataclass(frozen=True, slots=True)
class _Chunk:
    fields: JSON

    def play(self, response: "ResponseWriter") -> None:
        response.send_chunk(self.fields)


def chunk(fields: JSON) -> Step:
    """Send a chunk: `id`, `object`, `created`, `model` and `choices` are filled in where `fields` has none."""
    return _Chunk(fields)


def delta(fields: JSON, *, index: int = 0, finish_reason: str | None = None) -> Step:
    """Send a chunk with this delta of one choice."""
    return chunk({"choices": [{"index": index, "delta": fields, "logprobs": None, "finish_reason": finish_reason}]})


def role(name: str = "assistant", *, index: int = 0) -> Step:
    """Send the chunk with the role and an empty text, with which OpenAI begins."""
    return delta({"role": name, "content": ""}, index=index)


def text(content: str, *, index: int = 0) -> Step:
    """Send a piece of the answer's text."""
    return delta({"content": content}, index=index)


def reasoning(content: str, *, index: int = 0, name: str = "reasoning_content") -> Step:
    """Send a piece of the reasoning; `name` is the server's word for it."""
    return delta({name: content}, index=index)


def refusal(content: str, *, index: int = 0) -> Step:
    """Send a piece of a refusal."""
    return delta({"refusal": content}, index=index)


def tool_call(
    name: str, arguments: str | JSON, *, call_id: str = "call_1", position: int = 0, fragments: int = 3, index: int = 0
) -> Step:
    """Send a tool call as OpenAI does: id and name first, then the arguments in fragments.

    Args:
        name: the function's.
        arguments: as text, or an object to be written as JSON.
        call_id: the call's id.
        position: the call's index in the message.
        fragments: how many pieces the arguments come in.
        index: the choice's.
    """
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    size = max(1, -(-len(written) // max(1, fragments)))
    pieces = [written[at : at + size] for at in range(0, len(written), size)]
    first = {"index": position, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
    rest = [{"index": position, "function": {"arguments": piece}} for piece in pieces]
    return Steps(tuple(delta({"tool_calls": [call]}, index=index) for call in (first, *rest)))


def finish(reason: str = "stop", *, index: int = 0) -> Step:
    """Send the chunk with the finish reason of a choice."""
    return delta({}, index=index, finish_reason=reason)


@dataclass(frozen=True, slots=True)
class _Usage:
    prompt_tokens: int
    completion_tokens: int
    only_if_asked: bool

    def play(self, response: "ResponseWriter") -> None:
        if self.only_if_asked and not response.wants_usage:
            return
        counts = {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens}
        response.send_chunk({"choices": [], "usage": {**counts, "total_tokens": sum(counts.values())}})


def usage(prompt_tokens: int = 9, completion_tokens: int = 12, *, only_if_asked: bool = False) -> Step:
    """Send the chunk with the tokens used; with `only_if_asked`, not to a client that did not ask for it."""
    return _Usage(prompt_tokens, completion_tokens, only_if_asked)


@dataclass(frozen=True, slots=True)
class _Event:
    data: str | JSON
    name: str

    def play(self, response: "ResponseWriter") -> None:
        data = self.data if isinstance(self.data, str) else json.dumps(self.data)
        name = f"event: {self.name}\n" if self.name else ""
        lines = data.replace("\n", "\ndata: ")
        response.send_event(f"{name}data: {lines}\n\n".encode())


def event(data: str | JSON, *, name: str = "") -> Step:
    """Send an event with this data, as it is: an error of the server, JSON that is broken, a ping."""
    return _Event(data, name)


def done() -> Step:
    """Send `[DONE]`."""
    return event("[DONE]")


def reply(content: str | Sequence[str] = "Hello! How can I help?", *, finish_reason: str = "stop") -> list[Step]:
    """The steps of a complete answer: role, text, finish reason, usage if the client asked for it, `[DONE]`.

    Args:
        content: the text, which is sent word by word, or the pieces in which it is sent.
        finish_reason: of choice 0.
    """
    pieces: Iterable[str] = _words(content) if isinstance(content, str) else content
    texts = [text(piece) for piece in pieces]
    counted = usage(9, len(texts), only_if_asked=True)
    return [role(), *texts, finish(finish_reason), counted, done()]


def _words(content: str) -> list[str]:
    first, *rest = content.split(" ")
    return [first, *(f" {word}" for word in rest)]
