"""What an example is: the bytes that a server sends, and what somebody who reads them is to see."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from firsttoken.errors import ChatCompletionError
from firsttoken.types import ChatCompletion
from tests.support.server import DONE

__all__ = ["DONE"]

Json = dict[str, Any]
Call = tuple[str, str, str]
"""Id, name and arguments."""


@dataclass(frozen=True)
class Seen:
    """What comes of an answer.

    Attributes:
        text: of choice 0, as are reasoning, calls and finish reason.
        usage: tokens of the prompt and of the answer.
        others: the text and the finish reason of the other choices.
        details: the structured reasoning.
        parts: the content, where it came as a list of parts.
        audio: its data, its transcript, and until when the server keeps it.
        extra: what the completion and the parts of choice 0 have in `extra`; "usage.cost" is `cost` of the usage.
        failure: its class and its words; "" for a whole answer.
    """

    text: str = "Hello"
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    finish: str | None = "stop"
    usage: tuple[int, int] | None = None
    others: Mapping[int, tuple[str, str | None]] = field(default_factory=dict[int, tuple[str, str | None]])
    details: list[Any] | None = None
    parts: list[Any] | None = None
    audio: tuple[str | None, str | None, int | None] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    failure: str = ""


@dataclass(frozen=True)
class Example:
    """A response, and what comes of it."""

    body: bytes
    seen: Seen = Seen()
    status: int = 200
    content_type: str = "text/event-stream"


def seen(completion: ChatCompletion | None, failure: ChatCompletionError | None) -> Seen:
    """What came of an answer."""
    words = "" if failure is None else f"{type(failure).__name__}: {failure}"
    if completion is None or not completion.choices:
        extra = _extra({"": completion}) if completion else {}
        usage = (
            (completion.usage.prompt_tokens, completion.usage.completion_tokens)
            if completion and completion.usage
            else None
        )
        return Seen(text="", finish=None, usage=usage, extra=extra, failure=words)
    usage = completion.usage
    others = {choice.index: (choice.message.content or "", choice.finish_reason) for choice in completion.choices}
    others.pop(0, None)
    first = next((choice for choice in completion.choices if choice.index == 0), None)
    message = first and first.message
    audio = message and message.audio
    parts = {
        "": completion,
        "choice.": first,
        "message.": message,
        "usage.": usage,
        "logprobs.": first and first.logprobs,
    }
    return Seen(
        text=completion.text,
        reasoning=message.reasoning_text if message else "",
        calls=tuple(_call(call) for call in (message.tool_calls if message else None) or ()),
        finish=first.finish_reason if first else None,
        usage=(usage.prompt_tokens, usage.completion_tokens) if usage else None,
        others=others,
        details=message.reasoning_details if message else None,
        parts=message.content_parts if message else None,
        audio=(audio.data, audio.transcript, audio.expires_at) if audio else None,
        extra=_extra(parts),
        failure=words,
    )


def _call(call: Any) -> Call:
    return call.id, call.function.name, call.function.arguments


def _extra(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        prefix + name: value for prefix, part in parts.items() if part is not None for name, value in part.extra.items()
    }


def stream(*events: Json | bytes, done: bool = True) -> bytes:
    """The body of a stream: objects as events, bytes as they are."""
    return b"".join([*map(_event, events), DONE * done])


def _event(value: Json | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    return b"data: " + json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


def delta(finish: str | None = None, /, *, index: int = 0, **fields: Any) -> Json:
    """A chunk whose choice has these fields in its delta."""
    return {"choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


def says(content: str, finish: str | None = None) -> Json:
    """A chunk with text."""
    return delta(finish, content=content)


def choice(**fields: Any) -> Json:
    """A chunk whose choice has these fields."""
    return {"choices": [{"index": 0, **fields}]}


def call(finish: str | None = None, /, **fields: Any) -> Json:
    """A chunk with a piece of a tool call."""
    return delta(finish, tool_calls=[fields])


def usage(prompt: int, completion: int, **fields: Any) -> Json:
    """The usage of a chunk."""
    return {
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        | fields
    }


END = delta("stop")
HEL, LO = says("Hel"), says("lo")
HELLO = (HEL, LO, END)
