"""Turns chunks into typed events.

Which call a piece belongs to is for `tool_calls` to decide; whether the answer is complete, for `stream`.

Linear in the input: an event holds the growing text and its length at that moment, not a copy.
"""

from collections import deque
from typing import TypeVar

from firsttoken._models.chunk import ChatCompletionChunk, ChunkChoice, ToolCallDelta
from firsttoken._models.completion import ChatCompletion, Choice
from firsttoken._models.tables import TRUNCATED_BY, finish_class
from firsttoken._protocol.pieces import TextBuffer
from firsttoken._protocol.tool_calls import ToolCallBuilder, ToolCalls
from firsttoken.events import (
    FinishedEvent,
    ReasoningEvent,
    RefusalEvent,
    StreamEvent,
    TextEvent,
    ToolCallArgumentsEvent,
    ToolCallFinishedEvent,
    ToolCallStartedEvent,
    UsageEvent,
    with_snapshot,
)

_TextLike = TypeVar("_TextLike", TextEvent, ReasoningEvent, RefusalEvent)


class EventBuilder:
    """Builds the events of a stream.

    Attributes:
        ready: the events that are built and not yet yielded.
        chunks: how many chunks were added.
        finished: whether the last events were built.
    """

    __slots__ = ("_choices", "chunks", "finished", "ready")

    def __init__(self) -> None:
        self.ready: deque[StreamEvent] = deque()
        self.chunks = 0
        self.finished = False
        self._choices: dict[int, _ChoiceEvents] = {}

    def add(self, chunk: ChatCompletionChunk) -> None:
        """Build the events of a chunk."""
        self.chunks += 1
        for choice in chunk.choices:
            events = self._choices.get(choice.index)
            if events is None:
                events = self._choices[choice.index] = _ChoiceEvents(choice.index, self.ready)
            events.add(choice)

    def finish(self, completion: ChatCompletion) -> None:
        """Build the events of the end of a complete answer."""
        self.finished = True
        if completion.usage is not None:
            self.ready.append(UsageEvent(usage=completion.usage))
        for choice in completion.choices:
            events = self._choices.get(choice.index)
            if events is not None:
                events.finish(choice)


class _ChoiceEvents:
    """Builds the events of one choice."""

    __slots__ = ("_calls", "_index", "_ready", "_reasoning", "_refusal", "_text", "_waiting", "_written")

    def __init__(self, index: int, ready: deque[StreamEvent]) -> None:
        self._index = index
        self._ready = ready
        self._text = _GrowingText()
        self._reasoning = _GrowingText()
        self._refusal = _GrowingText()
        self._calls = ToolCalls()
        self._written: list[int | None] = []  # characters of each call's arguments; None for one that has not started
        self._waiting: list[ToolCallBuilder] = []  # calls that have not started: more of the name may come

    def add(self, choice: ChunkChoice) -> None:
        delta = choice.delta
        reasoning = delta.reasoning_text
        if reasoning:
            self._ready.append(self._reasoning.extended_by(ReasoningEvent(choice_index=self._index, delta=reasoning)))
        if delta.content:
            self._ready.append(self._text.extended_by(TextEvent(choice_index=self._index, delta=delta.content)))
        if delta.refusal:
            self._ready.append(self._refusal.extended_by(RefusalEvent(choice_index=self._index, delta=delta.refusal)))
        for piece in delta.tool_calls or ():
            self._add_piece(piece)
        if choice.finish_reason:
            self._start_waiting()

    def _add_piece(self, piece: ToolCallDelta) -> None:
        call = self._calls.add(piece)
        if call.position == len(self._written):
            self._start_waiting()
            self._written.append(None)
            self._waiting.append(call)
        part = piece.custom.input if piece.custom else piece.function.arguments if piece.function else None
        arguments = part or ""
        if arguments:
            self._start_waiting(call)
            self._written[call.position] = written = (self._written[call.position] or 0) + len(arguments)
            self._ready.append(self._arguments(call, arguments, written))

    def _start_waiting(self, written: ToolCallBuilder | None = None) -> None:
        """Start the calls whose names are complete: other calls or the end have followed, or arguments of `written`."""
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            if call.name or call is written:
                self._written[call.position] = 0
                self._ready.append(self._started(call.position, call.id, call.name))
            else:
                self._waiting.append(call)

    def _started(self, position: int, call_id: str, name: str) -> ToolCallStartedEvent:
        return ToolCallStartedEvent(choice_index=self._index, call_index=position, id=call_id, name=name)

    def _arguments(self, call: ToolCallBuilder, delta: str, length: int) -> ToolCallArgumentsEvent:
        event = ToolCallArgumentsEvent(
            choice_index=self._index, call_index=call.position, id=call.id, name=call.name, delta=delta
        )
        return with_snapshot(event, call.input if call.is_custom else call.arguments, length)

    def finish(self, choice: Choice) -> None:
        calls = choice.message.tool_calls or ()
        for position, call in enumerate(calls):
            if position >= len(self._written) or self._written[position] is None:  # it came with the message alone
                self._ready.append(self._started(position, call.id, call.name))
            if finish_class(choice.finish_reason) not in TRUNCATED_BY:
                self._ready.append(
                    ToolCallFinishedEvent(
                        choice_index=self._index, call_index=position, id=call.id, name=call.name, call=call
                    )
                )
        self._ready.append(FinishedEvent(choice_index=self._index, finish_reason=choice.finish_reason))


class _GrowingText:
    """A text that grows, and how many characters it has."""

    __slots__ = ("_length", "_parts")

    def __init__(self) -> None:
        self._parts = TextBuffer()
        self._length = 0

    def extended_by(self, event: _TextLike) -> _TextLike:
        self._parts.append(event.delta)
        self._parts.compact()
        self._length += len(event.delta)
        return with_snapshot(event, self._parts, self._length)
