"""Accumulates chunks into the completion that they are pieces of.

Text grows, lists are joined, other values are set once or replaced. Nothing is added up or made up: only a missing
total of the usage is computed. Whether the completion is complete is for `stream` to decide.

Chunks are accumulated a list at a time, and `completion` is built only when it is asked for.
"""

import copy
from collections.abc import Iterable, Sequence
from typing import TypeVar

from firsttoken._models.base import MAX_INDEX, ResponseObject, index_excess
from firsttoken._models.chunk import ChatCompletionChunk, ChoiceDelta
from firsttoken._models.completion import ChatCompletion, CompletionUsage
from firsttoken._protocol.choice import ChoiceAccumulator
from firsttoken._protocol.pieces import add_chunk_extra, merged, plain
from firsttoken.errors import ResponseFormatError

COMPACT_AFTER = 1024
"""In chunks: how long pieces of text are kept separate, or for as many chunks as there are choices."""


class Accumulator:
    """Accumulates chunks, from anywhere, into a `ChatCompletion`."""

    __slots__ = (
        "_choices",
        "_created",
        "_extra",
        "_has_total",
        "_id",
        "_metadata",
        "_model",
        "_moderation",
        "_needs_head",
        "_service_tier",
        "_system_fingerprint",
        "_uncompacted",
        "_usage",
    )

    def __init__(self) -> None:
        self._needs_head = True
        self._id = ""
        self._created = 0
        self._model = ""
        self._service_tier: str | None = None
        self._system_fingerprint: str | None = None
        self._moderation: dict[str, object] | None = None
        self._metadata: dict[str, object] | None = None
        self._usage: CompletionUsage | None = None
        self._has_total = False
        self._extra: dict[str, object] = {}
        self._choices: dict[int, ChoiceAccumulator] = {}
        self._uncompacted = 0  # chunks since the texts were last made compact

    def add(self, chunk: ChatCompletionChunk) -> None:
        """Add a chunk.

        Raises:
            ResponseFormatError: the index of a choice is larger than 4,095.
        """
        self.add_all((chunk,))

    def add_all(self, chunks: Iterable[ChatCompletionChunk]) -> None:
        """Add chunks, in order."""
        for chunk in chunks:
            for choice in chunk.choices:
                parts = self._choices.get(choice.index)
                if parts is None:
                    if choice.index > MAX_INDEX:
                        raise ResponseFormatError(index_excess(choice.index, 0))
                    parts = self._choices[choice.index] = ChoiceAccumulator(choice.index)
                parts.add(choice)
            if self._needs_head:
                self._add_head(chunk)
            if chunk.usage is not None:
                self._usage = chunk.usage if self._usage is None else merged_usage(self._usage, chunk.usage)
                self._has_total = self._has_total or has_total(chunk.usage, chunk.raw)
            if chunk.service_tier:
                self._service_tier = chunk.service_tier
            if chunk.system_fingerprint:
                self._system_fingerprint = chunk.system_fingerprint
            if chunk.moderation is not None:
                self._moderation = chunk.moderation
            if chunk.metadata is not None:
                self._metadata = chunk.metadata
            if chunk.extra and (chunk.choices or chunk.event == "message"):
                add_chunk_extra(self._extra, chunk.extra)
            self._uncompacted += 1
        if self._uncompacted >= COMPACT_AFTER and self._uncompacted >= len(self._choices):
            self._uncompacted = 0
            for parts in self._choices.values():
                parts.compact()

    def _add_head(self, chunk: ChatCompletionChunk) -> None:
        """Set id, model and time from the first chunk that has them: some servers leave them out of the first."""
        self._id = self._id or chunk.id
        self._model = self._model or chunk.model
        self._created = self._created or chunk.created
        self._needs_head = not (self._id and self._model and self._created)

    def resolve_replacements(self, chunks: Sequence[ChatCompletionChunk]) -> None:
        """Decide whether complete messages repeat deltas that came before, or are the whole answer.

        Of a repetition only what has not been streamed stays in the delta; the message replaces what was accumulated.
        One that does not come as a "chat.completion" repeats only if it has the same text: it may be a piece.

        Args:
            chunks: those that follow what was accumulated, in order.
        """
        choices = {
            choice.index: known
            for chunk in chunks
            for choice in chunk.choices
            if (known := self._choices.get(choice.index)) is not None
        }
        streamed = {index: {_KINDS[name] for name in known.fields} for index, known in choices.items()}
        started = {index for index, known in choices.items() if known.has_tokens}
        lengths = {index: known.content_length for index, known in choices.items()}
        pieces: dict[int, list[str]] = {}  # of the text in `chunks`
        for chunk in chunks:
            for choice in chunk.choices:
                index, message = choice.index, choice.replacement
                if message is not None and choice.delta is message:
                    length, text = lengths.get(index, 0), message.content or ""
                    if index in started and (
                        chunk.object == "chat.completion"
                        or (0 < length == len(text) and text == self._text(index) + "".join(pieces.get(index, ())))
                    ):
                        choice.delta = _without_kinds(message, streamed[index])
                    else:
                        choice.replacement = None
                if choice.delta.content:
                    lengths[index] = lengths.get(index, 0) + len(choice.delta.content)
                    pieces.setdefault(index, []).append(choice.delta.content)
                kinds = _kinds_in(choice.delta)
                streamed.setdefault(index, set()).update(kinds)
                if kinds:
                    started.add(index)

    def _text(self, index: int) -> str:
        choice = self._choices.get(index)
        return "" if choice is None else choice.snapshot().message.content or ""

    @property
    def completion(self) -> ChatCompletion:
        """What was accumulated so far, as a copy: later chunks don't change it."""
        return ChatCompletion(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=[self._choices[index].snapshot() for index in sorted(self._choices)],
            usage=copy.copy(self._usage) if self._usage is None or self._has_total else with_total(self._usage),
            service_tier=self._service_tier,
            system_fingerprint=self._system_fingerprint,
            moderation=copy.copy(self._moderation),
            metadata=copy.copy(self._metadata),
            extra=plain(self._extra),
        )


_KINDS = {
    "content": "text",
    "content_parts": "text",
    "reasoning": "reasoning",
    "reasoning_content": "reasoning",
    "reasoning_details": "reasoning",
    "thinking": "reasoning",
    "tool_calls": "calls",
    "function_call": "calls",
    "refusal": "refusal",
    "audio": "audio",
    "annotations": "annotations",
}
"""The fields of a message, with the kind of what they hold: servers stream it in one field and repeat it in another."""


def _kinds_in(message: ChoiceDelta) -> set[str]:
    return {kind for name, kind in _KINDS.items() if getattr(message, name)}


def _without_kinds(message: ChoiceDelta, streamed: set[str]) -> ChoiceDelta:
    left = {name: getattr(message, name) for name, kind in _KINDS.items() if kind not in streamed}
    return ChoiceDelta(role=message.role, **left)


_Counts = TypeVar("_Counts", bound=ResponseObject)


def merged_usage(known: CompletionUsage, new: CompletionUsage) -> CompletionUsage:
    """The usage of an answer, of what was known and what a chunk says: the last of each count wins.

    Zeros and missing counts overwrite nothing; neither argument is changed.
    """
    if (
        new.completion_tokens
        and new.prompt_tokens
        and new.total_tokens
        and not known.extra
        and known.completion_tokens_details is None
        and known.prompt_tokens_details is None
    ):
        return new
    return _merged(known, new)


def _merged(known: _Counts, new: _Counts) -> _Counts:
    made = copy.copy(known)
    for name in known.__struct_fields__:
        before, value = getattr(known, name), getattr(new, name)
        if name == "extra":
            made.extra = {**before, **{key: merged(key, before.get(key), value[key]) for key in value}}
        elif isinstance(before, ResponseObject) and isinstance(value, ResponseObject):
            setattr(made, name, _merged(before, value))
        elif value or before is None:
            setattr(made, name, value)
    return made


def has_total(usage: CompletionUsage, raw: bytes) -> bool:
    """Whether the server sent a total of any count, in the JSON that the usage stands in."""
    return usage.total_tokens != 0 or (
        b'"total_tokens"' in raw and (usage.prompt_tokens != 0 or usage.completion_tokens != 0)
    )


def with_total(usage: CompletionUsage) -> CompletionUsage:
    """A copy, whose total is the sum."""
    made = copy.copy(usage)
    made.total_tokens = made.prompt_tokens + made.completion_tokens
    return made
