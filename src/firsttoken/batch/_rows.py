"""Rows of an input: what each sends, and its id; also those of a transcript of `firsttoken chat`."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from firsttoken._json import as_array, as_object
from firsttoken._protocol.request import encode_body
from firsttoken.errors import ConfigurationError
from firsttoken.types import ChatCompletionRequest

Value = str | Mapping[str, object] | ChatCompletionRequest
"""A row of the input, in any of the forms that `RowReader` knows."""

_OWN_FIELDS: Final = frozenset({"messages", "stream", "stream_options", "extra"})
_REQUEST_FIELDS: Final = frozenset(ChatCompletionRequest.__struct_fields__) - _OWN_FIELDS
_NAMES: Final = frozenset({"custom_id", "id", "messages", "prompt", "extra", "stream", "stream_options"})
_TOKEN_LIMITS: Final = frozenset({"max_tokens", "max_completion_tokens"})
_PLACEHOLDER: Final = re.compile(r"\{\{(\w+)\}\}|\{(\w+)\}")
_MAX_IGNORED: Final = 20


class Row(NamedTuple):
    """One row.

    Attributes:
        number: its place in the input, from 1; of a text file its line.
        id: its own, else a hash of its content.
        digest: 64 bits that tell contents apart.
        body: what is sent: a request's JSON; {} where `problem` says why it can't be.
        problem: why nothing can be sent; "" where it can.
        value: what the input held.
    """

    number: int
    id: str
    digest: int
    body: dict[str, object]
    problem: str
    value: object

    def request(self) -> ChatCompletionRequest:
        """The request to send."""
        fields = {name: value for name, value in self.body.items() if name not in ("model", "messages")}
        model, messages = self.body["model"], as_array(self.body["messages"])
        return ChatCompletionRequest(model=str(model), messages=messages or [], extra=fields)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class InputError(ConfigurationError):
    """An input can't be sent as it is, or an output is not one to go on with."""


class InvalidRow(NamedTuple):
    """What stands in the input in place of a row."""

    problem: str


class RowReader:
    """Makes rows of the values of an input.

    A value is one of: a line of OpenAI's Batch API (`custom_id`, `method`, `url`, `body`), an object with `messages`,
    one with `prompt`, one with the fields of the template, a `str`, which is a prompt, or a `ChatCompletionRequest`. Of
    an object the fields of a request are sent, and what stands in its `extra`. Lines of a transcript of `firsttoken
    chat` make a row for each question that counts.

    Args:
        model: for all rows, whatever they name.
        default_model: for those that name none.
        template: makes the prompt of a row: `{name}` is replaced by the row's field; `{{name}}` is `{name}`.
        system: the system message of rows that have none.
        defaults: fields of the request, for rows that do not have them.

    Attributes:
        ignored: names of fields that were not sent, the first few.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        default_model: str | None = None,
        template: str | None = None,
        system: str | None = None,
        defaults: Mapping[str, object] | None = None,
    ) -> None:
        self.ignored: dict[str, None] = {}
        self._model = model
        self._default_model = default_model
        self._template = template
        self._system = system
        self._defaults = dict(defaults or {})

    def read(self, values: "Iterable[tuple[int, Value | InvalidRow]]") -> Iterator[Row]:
        """The rows of numbered values; the questions of a transcript, each with what was said before it."""
        transcript = Transcript()
        for number, value in values:
            if self._template is not None or not isinstance(value, Mapping) or not transcript.add(number, value):
                yield self.row(number, value)
        for number, messages in transcript.rows():
            yield self.row(number, messages)

    def row(self, number: int, value: "Value | InvalidRow") -> Row:
        """The row of one value; one that nothing can be made of has a `problem`."""
        if isinstance(value, InvalidRow):
            return Row(number, f"row-{number}", 0, {}, value.problem, value)
        row_id = _id_of(value) if isinstance(value, Mapping) else None
        try:
            canonical = _canonical(body := self._completed(self._read(value)))
        except (_ProblemError, ConfigurationError) as error:
            return Row(number, row_id or f"row-{number}", 0, {}, str(error), value)
        digest = blake2b(canonical, digest_size=12)
        content_id = int.from_bytes(digest.digest()[:8])
        return Row(number, row_id or digest.hexdigest(), content_id, body, "", value)

    def _read(self, value: Value) -> dict[str, object]:
        """The body that a value asks for."""
        if isinstance(value, ChatCompletionRequest):
            return msgspec.json.decode(encode_body(value, stream=False), type=dict[str, object])
        if isinstance(value, str):
            return self._prompted({}, value if self._template is None else self._filled({"prompt": value}))
        if not isinstance(value, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
            raise _ProblemError(f"a row must be an object, not {type(value).__name__}")
        fields = dict(value)
        body = as_object(fields.get("body"))
        if body is not None and ("url" in fields or "custom_id" in fields):
            url = fields.get("url", "/v1/chat/completions")
            if not str(url).rstrip("/").endswith("/chat/completions"):
                raise _ProblemError(f"unsupported url {url!r}: expected /v1/chat/completions")
            return {name: item for name, item in body.items() if name not in ("stream", "stream_options")}
        return self._plain(fields)

    def _plain(self, fields: dict[str, object]) -> dict[str, object]:
        sent = {name: fields[name] for name in fields.keys() & _REQUEST_FIELDS if fields[name] is not None}
        extra = as_object(fields.get("extra"))
        if extra is not None:
            sent |= {name: value for name, value in extra.items() if name not in ("stream", "stream_options")}
        if self._template is not None:
            return self._prompted(sent, self._filled(fields))
        self._note_ignored(fields)
        if "messages" in fields:
            return sent | {"messages": self._with_system(_messages(fields["messages"]))}
        if isinstance(prompt := fields.get("prompt"), str):
            return self._prompted(sent, prompt)
        if prompt is not None:
            raise _ProblemError(f"prompt must be text, not {type(prompt).__name__}")
        names = ", ".join(map(repr, list(fields)[:8])) or "no fields"
        raise _ProblemError(f"expected the field 'messages', 'prompt' or 'body', or a template; found {names}")

    def _note_ignored(self, fields: dict[str, object]) -> None:
        for name in fields.keys() - _REQUEST_FIELDS - _NAMES:
            if len(self.ignored) < _MAX_IGNORED:
                self.ignored[name] = None

    def _prompted(self, fields: dict[str, object], prompt: str) -> dict[str, object]:
        return fields | {"messages": self._with_system([{"role": "user", "content": prompt}])}

    def _with_system(self, messages: list[object]) -> list[object]:
        first = as_object(messages[0]) if messages else None
        if self._system is None or (first or {}).get("role") in ("system", "developer"):
            return messages
        return [{"role": "system", "content": self._system}, *messages]

    def _filled(self, fields: Mapping[str, object]) -> str:
        def replacement(match: "re.Match[str]") -> str:
            if match[1] is not None:
                return f"{{{match[1]}}}"
            if match[2] not in fields:
                raise _ProblemError(f"the row has no field {match[2]!r}, which the template needs")
            return _text(fields[match[2]])

        return _PLACEHOLDER.sub(replacement, self._template or "")

    def _completed(self, body: dict[str, object]) -> dict[str, object]:
        """The body with what the row leaves to the caller, checked."""
        for name, value in self._defaults.items():
            if name not in _TOKEN_LIMITS or _TOKEN_LIMITS.isdisjoint(body):
                body.setdefault(name, value)
        model = self._model or body.get("model") or self._default_model
        if not isinstance(model, str):
            raise _ProblemError("the row has no model, and no default model was given")
        body["model"] = model
        body["messages"] = _messages(body.get("messages"))
        return body


class _ProblemError(Exception):
    pass


def numbered(values: Iterable[Value]) -> "Iterator[tuple[int, Value | InvalidRow]]":
    """Values of the caller, from 1."""
    return iter(enumerate(values, 1))


def _id_of(fields: Mapping[str, object]) -> str | None:
    for name in ("custom_id", "id"):
        value = fields.get(name)
        if isinstance(value, int) or (isinstance(value, str) and value):
            return str(value)
    return None


def _messages(value: object) -> list[object]:
    if isinstance(value, str):
        if not value.lstrip().startswith("["):
            return [{"role": "user", "content": value}]
        try:
            value = msgspec.json.decode(value)  # a table's column
        except msgspec.DecodeError as error:
            raise _ProblemError(f"messages must be a list: {error}") from error
    messages = as_array(value)
    if not messages or not all(isinstance(message, Mapping) for message in messages):
        raise _ProblemError("messages must be a list of objects, at least one")
    return messages


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else _canonical(value).decode("utf-8", "replace")


_encode_sorted: Callable[[object], bytes] = msgspec.json.Encoder(order="sorted").encode


def _canonical(value: object) -> bytes:
    try:
        return _encode_sorted(value)
    except (TypeError, ValueError, RecursionError, OverflowError):
        pass
    try:
        import json

        return json.dumps(value, sort_keys=True).encode()  # lone surrogates
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise _ProblemError(f"the row can't be written as JSON: {error}") from error


_OURS: Final = "firsttoken"
_ROWS: Final = frozenset({"messages", "prompt", "body"})
_SYSTEM: Final = frozenset({"system", "developer"})


class Transcript:
    """The lines of a transcript: each question is a row, with what was said before it.

    Which of its questions count is known only at its end.
    """

    def __init__(self) -> None:
        self._system: dict[str, object] | None = None
        self._said: list[tuple[int, dict[str, object]]] = []

    def add(self, number: int, fields: Mapping[str, object]) -> bool:
        """Add a line, if it is one: a message by itself, or one that takes messages back; returns whether it is."""
        ours = as_object(fields.get(_OURS))
        role = fields.get("role")
        if fields.keys() & _ROWS or not (ours is not None or (isinstance(role, str) and "content" in fields)):
            return False
        message = {name: value for name, value in fields.items() if name != _OURS}
        if isinstance(count := (ours or {}).get("take_back"), int):
            del self._said[max(0, len(self._said) - count) :]
        elif role in _SYSTEM:
            self._system = message if message.get("content") else None
        else:
            self._said.append((number, message))
        return True

    def rows(self) -> Iterator[tuple[int, dict[str, object]]]:
        """For each question the number of its line, and the messages up to it."""
        messages = [] if self._system is None else [self._system]
        for number, message in self._said:
            messages.append(message)
            if message.get("role") == "user":
                yield number, {"messages": [*messages]}
