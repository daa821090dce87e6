"""Accumulates one choice of a completion."""

import base64
import re
from typing import TypeVar

from firsttoken._json import as_object
from firsttoken._models.chunk import ChoiceDelta, ChunkChoice, FunctionCallDelta
from firsttoken._models.completion import (
    Audio,
    ChatCompletionMessage,
    Choice,
    ChoiceLogprobs,
    TokenLogprob,
)
from firsttoken._models.tables import parts_text
from firsttoken._models.tool_call import FunctionCall
from firsttoken._protocol.pieces import BlockList, ExtraFields, TextBuffer, add_extra, plain
from firsttoken._protocol.tool_calls import ToolCalls


class ChoiceAccumulator:
    """One choice while it is being written."""

    __slots__ = (
        "_content",
        "_extra",
        "_logprobs",
        "_message_extra",
        "_rare",
        "_reasoning",
        "_reasoning_content",
        "finish_reason",
        "index",
        "role",
    )

    def __init__(self, index: int) -> None:
        self.index = index
        self.role = ""
        self.finish_reason: str | None = None
        self._content = TextBuffer()
        self._reasoning = TextBuffer()
        self._reasoning_content = TextBuffer()
        self._rare: RareFields | None = None
        self._logprobs: ChoiceLogprobs | None = None
        self._extra: dict[str, object] = {}
        self._message_extra: ExtraFields | None = None

    def add(self, choice: ChunkChoice) -> None:
        """Add a chunk's part of this choice; texts may grow long until `compact`."""
        delta = choice.delta
        if choice.finish_reason:
            self.finish_reason = choice.finish_reason
            if choice.replacement is not None:
                self._replace(choice.replacement)
                delta = _NO_DELTA
        if delta.content is not None:
            self._content.append(delta.content)
        if delta.reasoning_content is not None:
            self._reasoning_content.append(delta.reasoning_content)
        if delta.reasoning is not None:
            self._reasoning.append(delta.reasoning)
        if delta.role is not None and not self.role:
            self.role = delta.role.strip()
        if (
            delta.tool_calls is not None
            or delta.refusal is not None
            or delta.thinking is not None
            or delta.reasoning_details is not None
            or delta.function_call is not None
            or delta.audio is not None
            or delta.annotations is not None
            or delta.content_parts is not None
        ):
            if self._rare is None:
                self._rare = RareFields()
            self._rare.add(delta)
        if choice.logprobs is not None:
            self._add_logprobs(choice.logprobs)
        if choice.extra:
            add_extra(self._extra, choice.extra)
        if delta.extra:
            if self._message_extra is None:
                self._message_extra = ExtraFields()
            self._message_extra.add(delta.extra)

    def _replace(self, message: ChoiceDelta) -> None:
        """Replace what the deltas made with a complete message; fields that it lacks stay."""
        new = ChoiceAccumulator(self.index)
        new.add(ChunkChoice(index=self.index, delta=message))
        self._content = new._content or self._content
        self._reasoning = new._reasoning or self._reasoning
        self._reasoning_content = new._reasoning_content or self._reasoning_content
        self._message_extra = new._message_extra or self._message_extra
        self.role = self.role or new.role
        if new._rare is not None:
            new._rare.keep_from(self._rare)
            self._rare = new._rare

    @property
    def content_length(self) -> int:
        """How many characters of text were received."""
        return sum(map(len, self._content))

    @property
    def fields(self) -> set[str]:
        """The fields of the message that have anything, found without joining what has come."""
        texts = {"content": self._content, "reasoning": self._reasoning, "reasoning_content": self._reasoning_content}
        found = {name for name, pieces in texts.items() if any(pieces)}
        return found if self._rare is None else found | self._rare.fields

    @property
    def has_tokens(self) -> bool:
        """Whether any text, reasoning or call has come."""
        buffers = (self._content, self._reasoning, self._reasoning_content)
        return any(map(any, buffers)) or self._rare is not None or self._message_extra is not None

    def compact(self) -> None:
        """Join the pieces of long texts."""
        self._content.compact()
        self._reasoning_content.compact()
        self._reasoning.compact()

    def _add_logprobs(self, new: ChoiceLogprobs) -> None:
        known = self._logprobs
        if known is None:
            known = self._logprobs = ChoiceLogprobs(extra={})
        known.content = _joined(known.content, new.content)
        known.refusal = _joined(known.refusal, new.refusal)
        known.extra.update(new.extra)

    def snapshot(self) -> Choice:
        """The choice so far."""
        message = ChatCompletionMessage(
            role=self.role or "assistant",
            content=self._content.joined(),
            reasoning_content=self._reasoning_content.joined(),
            reasoning=self._reasoning.joined(),
            extra={} if self._message_extra is None else self._message_extra.snapshot(),
        )
        if self._rare is not None:
            self._rare.write(message)
        logprobs = self._logprobs
        if logprobs is not None:
            logprobs = ChoiceLogprobs(
                content=_copied(logprobs.content), refusal=_copied(logprobs.refusal), extra=dict(logprobs.extra)
            )
        return Choice(
            index=self.index,
            message=message,
            finish_reason=self.finish_reason,
            logprobs=logprobs,
            extra=plain(self._extra),
        )


class RareFields:
    """The fields that most messages lack, kept apart so that the common ones are cheap to accumulate."""

    __slots__ = (
        "_annotations",
        "_audio",
        "_details",
        "_function_call",
        "_parts",
        "_refusal",
        "_thinking",
        "_tool_calls",
    )

    def __init__(self) -> None:
        self._refusal = TextBuffer()
        self._thinking = TextBuffer()
        self._tool_calls: ToolCalls | None = None
        self._function_call: FunctionParts | None = None
        self._audio: AudioParts | None = None
        self._annotations: list[object] | None = None
        self._details: BlockList | None = None
        self._parts: BlockList | None = None

    def add(self, delta: ChoiceDelta) -> None:
        """Add a delta."""
        if delta.tool_calls is not None:
            if self._tool_calls is None:
                self._tool_calls = ToolCalls()
            for call in delta.tool_calls:
                self._tool_calls.add(call)
        if delta.refusal is not None:
            self._refusal.append(delta.refusal)
            self._refusal.compact()
        if delta.thinking is not None:
            self._thinking.append(delta.thinking)
            self._thinking.compact()
        if delta.function_call is not None:
            if self._function_call is None:
                self._function_call = FunctionParts()
            self._function_call.add(delta.function_call)
        if delta.audio is not None:
            if self._audio is None:
                self._audio = AudioParts()
            self._audio.add(delta.audio)
        self._annotations = _joined(self._annotations, delta.annotations)
        if delta.reasoning_details is not None:
            if self._details is None:
                self._details = BlockList()
            self._details.add(delta.reasoning_details)
        if delta.content_parts is not None:
            if self._parts is None:
                self._parts = BlockList()
            self._parts.add(delta.content_parts)

    @property
    def fields(self) -> set[str]:
        """The fields that are not empty."""
        texts = {"refusal": self._refusal, "thinking": self._thinking}
        others = {
            "tool_calls": self._tool_calls,
            "function_call": self._function_call,
            "audio": self._audio,
            "annotations": self._annotations,
            "reasoning_details": self._details,
            "content_parts": self._parts,
        }
        return {name for name, pieces in texts.items() if any(pieces)} | {name for name in others if others[name]}

    def keep_from(self, other: "RareFields | None") -> None:
        """Take over what an earlier state had and this one lacks."""
        for name in self.__slots__:
            if other is not None and not getattr(self, name):
                setattr(self, name, getattr(other, name))

    def write(self, message: ChatCompletionMessage) -> None:
        """Write the fields into a message."""
        message.refusal = self._refusal.joined()
        message.thinking = self._thinking.joined()
        message.tool_calls = self._tool_calls.snapshot() or None if self._tool_calls else None
        message.function_call = self._function_call.snapshot() if self._function_call else None
        message.audio = self._audio.snapshot() if self._audio else None
        message.annotations = _copied(self._annotations)
        message.reasoning_details = self._details.snapshot() if self._details else None
        if self._parts is not None:
            message.content_parts = _with_rest(self._parts.snapshot(), message.content or "")


def _with_rest(parts: list[object], text: str) -> list[object]:
    """Content parts, with what of the text came as a string before or after them."""
    known = parts_text(parts, "text")
    if known == text:
        return parts
    if text.startswith(known):
        before, after = "", text[len(known) :]
    elif text.endswith(known):
        before, after = text[: -len(known)], ""
    else:
        before, after = "", text
        parts = [part for part in parts if not parts_text([part], "text")]
    last = as_object(parts[-1]) if parts else None
    if after and last is not None and last.get("type") == "text" and isinstance(last.get("text"), str):
        parts = [*parts[:-1], {**last, "text": f"{last['text']}{after}"}]
        after = ""
    return [{"type": "text", "text": before}] * bool(before) + parts + [{"type": "text", "text": after}] * bool(after)


class FunctionParts:
    """A legacy function call: its name is set once, its arguments grow."""

    __slots__ = ("_arguments", "_extra", "_name")

    def __init__(self) -> None:
        self._name = ""
        self._arguments = TextBuffer()
        self._extra: dict[str, object] = {}

    def add(self, delta: FunctionCallDelta) -> None:
        """Add a piece."""
        self._name = self._name or delta.name or ""
        if delta.arguments:
            self._arguments.append(delta.arguments)
            self._arguments.compact()
        self._extra.update(delta.extra)

    def snapshot(self) -> FunctionCall:
        """The call so far."""
        return FunctionCall(name=self._name, arguments=self._arguments.text, extra=dict(self._extra))


class AudioParts:
    """An audio answer: base64 pieces and transcript grow, the rest is set by the last that has it.

    Pieces that are padded one by one can't just be joined: decoders stop at the padding, or refuse what follows.
    """

    __slots__ = ("_data", "_ends_padded", "_expires_at", "_extra", "_id", "_padded_within", "_transcript")

    def __init__(self) -> None:
        self._id: str | None = None
        self._expires_at: int | None = None
        self._data = TextBuffer()
        self._ends_padded = self._padded_within = False
        self._transcript = TextBuffer()
        self._extra: dict[str, object] = {}

    def add(self, audio: Audio) -> None:
        """Add a piece."""
        self._id = audio.id or self._id
        self._expires_at = audio.expires_at if audio.expires_at is not None else self._expires_at
        if audio.data is not None:
            self._padded_within = self._padded_within or (bool(audio.data) and self._ends_padded)
            self._ends_padded = audio.data.endswith("=") or (not audio.data and self._ends_padded)
            self._data.append(audio.data)
            self._data.compact()
        if audio.transcript is not None:
            self._transcript.append(audio.transcript)
            self._transcript.compact()
        self._extra.update(audio.extra)

    def snapshot(self) -> Audio:
        """The audio so far."""
        return Audio(
            id=self._id,
            data=_repadded("".join(self._data)) if self._padded_within else self._data.joined(),
            expires_at=self._expires_at,
            transcript=self._transcript.joined(),
            extra=dict(self._extra),
        )


def _repadded(data: str) -> str:
    """The same bytes in base64 padded only at its end, as decoders require; other text unchanged."""
    try:
        parts = [base64.b64decode(part, validate=True) for part in _PADDED.findall(data)]
    except ValueError:
        return data
    return base64.b64encode(b"".join(parts)).decode("ascii")


_NO_DELTA = ChoiceDelta()
_PADDED = re.compile(r"[^=]*=*")

_Item = TypeVar("_Item", TokenLogprob, object)


def _joined(known: list[_Item] | None, new: list[_Item] | None) -> list[_Item] | None:
    if new is None:
        return known
    if known is None:
        return list(new)
    known.extend(new)
    return known


def _copied(items: list[_Item] | None) -> list[_Item] | None:
    return None if items is None else list(items)
