"""The steps of a script: each does one thing to the answer under way: sends a chunk, or bytes, or ends the connection.

Those that say when, in which pieces and how often others are played are in `flow`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from firsttoken.testing._server.response import ResponseWriter


JSON = Mapping[str, object]


@runtime_checkable
class Step(Protocol):
    """One thing that a script does to the answer under way."""

    def play(self, response: "ResponseWriter", /) -> None:
        """Do it."""
        ...


StepLike = Step | str | bytes | JSON
"""A step; a `str` is `text`, a dict is `chunk`, bytes are `body_bytes`."""


def reject_uncalled(value: object) -> None:
    """Refuse one of our functions or classes itself, where what it gives is meant.

    Raises:
        TypeError: it is one.
    """
    if not isinstance(value, (type, FunctionType)):
        return
    is_ours = f"{value.__module__}.".startswith("firsttoken.testing.")
    if is_ours or (isinstance(value, type) and issubclass(value, Step)):
        kind = "class" if isinstance(value, type) else "function"
        raise TypeError(f"{value.__name__} is a {kind}; hint: call it: {value.__name__}()")


def require_bytes(name: str, data: object) -> None:
    """Refuse what is not bytes.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(data, bytes):
        raise TypeError(f"{name}() takes bytes, not {type(data).__name__}; hint: as in {name}(b'...')")


@dataclass(frozen=True, slots=True)
class Steps:
    """Several steps as one."""

    steps: tuple[Step, ...]

    def play(self, response: "ResponseWriter") -> None:
        """Play them in order."""
        for step in self.steps:
            step.play(response)


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


@dataclass(frozen=True, slots=True)
class _Raw:
    data: bytes

    def play(self, response: "ResponseWriter") -> None:
        response.send_body(self.data)


def body_bytes(data: bytes) -> Step:
    """Send bytes of the body, which need be no event.

    Raises:
        TypeError: `data` is not bytes.
    """
    require_bytes("body_bytes", data)
    return _Raw(data)


def comment(words: str = "keep-alive") -> Step:
    """Send an SSE comment."""
    return body_bytes(f": {words}\n\n".encode())


@dataclass(frozen=True, slots=True)
class _Wire:
    data: bytes

    def play(self, response: "ResponseWriter") -> None:
        response.send_wire_bytes(self.data)


def wire_bytes(data: bytes) -> Step:
    """Put bytes on the connection as they are, outside of HTTP's framing.

    Raises:
        TypeError: `data` is not bytes.
    """
    require_bytes("wire_bytes", data)
    return _Wire(data)


@dataclass(frozen=True, slots=True)
class _Head:
    status: int
    headers: Mapping[str, str]
    framing: str
    interim: bool

    def play(self, response: "ResponseWriter") -> None:
        if self.interim:
            response.send_interim(self.status, self.headers)
        else:
            response.send_head(self.status, self.headers, self.framing)


def head(status: int = 200, headers: Mapping[str, str] | None = None, *, framing: str = "chunked") -> Step:
    """Send the head of a stream; without this step the first chunk sends it.

    Args:
        status: the HTTP status.
        headers: besides `content-type: text/event-stream`, or instead of it.
        framing: "chunked", or "close" for a body that ends with the connection.
    """
    if framing not in ("chunked", "close"):
        raise ValueError(f'framing must be "chunked" or "close": {framing!r}')
    return _Head(status, headers or {}, framing, interim=False)


def interim(status: int = 103, headers: Mapping[str, str] | None = None) -> Step:
    """Send a 1xx response, after which the real one is to come.

    Raises:
        ValueError: the status is not 1xx.
    """
    if not 100 <= status <= 199:
        raise ValueError(f"an interim response has a status of 1xx, not {status}; hint: head() sends the real one")
    return _Head(status, headers or {}, "chunked", interim=True)


@dataclass(frozen=True, slots=True)
class _Respond:
    status: int
    body: bytes
    headers: Mapping[str, str]

    def play(self, response: "ResponseWriter") -> None:
        response.send_response(self.status, self.body, self.headers)


def respond(status: int = 200, body: JSON | str | bytes = b"", headers: Mapping[str, str] | None = None) -> Step:
    """Send a complete response that is not a stream.

    Args:
        status: the HTTP status.
        body: a dict goes as JSON, a `str` as HTML; bytes go as they are, without a content type.
        headers: besides `content-type` and `content-length`, or instead of them.
    """
    if isinstance(body, bytes):
        return _Respond(status, body, headers or {})
    if isinstance(body, str):
        return _Respond(status, body.encode(), {"content-type": "text/html; charset=utf-8"} | dict(headers or {}))
    return _Respond(status, json.dumps(body).encode(), {"content-type": "application/json"} | dict(headers or {}))


def error(
    status: int = 500,
    message: str = "the server had an error",
    *,
    kind: str | None = "server_error",
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Step:
    """Refuse, with an error of OpenAI's shape, whose `type` is `kind`."""
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return respond(status, body, headers)


@dataclass(frozen=True, slots=True)
class _Disconnect:
    how: str

    def play(self, response: "ResponseWriter") -> None:
        response.disconnect(reset=self.how == "reset")


def close() -> Step:
    """Close the connection, wherever the answer is, with a FIN: the body's end is not sent."""
    return _Disconnect("close")


def reset() -> Step:
    """Break the connection, with a RST."""
    return _Disconnect("reset")


def end() -> Step:
    """End the body properly. A script that has come to its end does so by itself."""
    return _End()


@dataclass(frozen=True, slots=True)
class _End:
    def play(self, response: "ResponseWriter") -> None:
        response.end()
