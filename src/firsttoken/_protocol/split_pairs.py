"""Joins characters that a server cut in two surrogates across the chunks of a stream: the first half waits.

So the text of a chunk, an event's delta and what a callback gets is text that can be encoded. JSON with half a pair is
refused by the typed decode; so a stream pays for this only from the first such chunk on.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from firsttoken._models.chunk import (
    ChatCompletionChunk,
    ChoiceDelta,
    ChunkChoice,
    CustomToolCallDelta,
    FunctionCallDelta,
    ToolCallDelta,
)
from firsttoken._protocol.text_buffer import SurrogateJoiner

_FIELDS: Final = ("content", "reasoning_content", "reasoning", "thinking", "refusal")


def has_half(chunk: ChatCompletionChunk) -> bool:
    """Whether a text of a chunk ends in the first half of a pair."""
    return any("\ud800" <= text[-1:] <= "\udbff" for choice in chunk.choices for text in _texts_of(choice.delta))


def _texts_of(delta: ChoiceDelta) -> Iterator[str]:
    for name in _FIELDS:
        yield getattr(delta, name) or ""
    for call in delta.tool_calls or ():
        if call.function is not None:
            yield call.function.arguments or ""
        if call.custom is not None:
            yield call.custom.input or ""


class SplitPairs:
    """The halves that wait, by choice."""

    __slots__ = ("_choices",)

    def __init__(self) -> None:
        self._choices: dict[int, _ChoiceHalves] = {}

    def apply(self, chunks: Iterable[ChatCompletionChunk]) -> None:
        """Move the first halves at the ends of texts to where the second ones are."""
        for chunk in chunks:
            for choice in chunk.choices:
                if choice.replacement is not None:
                    continue
                halves = self._choices.get(choice.index)
                if halves is None:
                    halves = self._choices[choice.index] = _ChoiceHalves()
                halves.apply(choice.delta)
                if choice.finish_reason:
                    halves.flush(choice.delta)

    def flush(self) -> list[ChunkChoice]:
        """What waits when the stream has ended."""
        choices = [ChunkChoice(index=index) for index in self._choices]
        for choice in choices:
            self._choices[choice.index].flush(choice.delta)
        return [choice for choice in choices if choice.delta != ChoiceDelta()]


class _ChoiceHalves:
    __slots__ = ("_calls", "_texts")

    def __init__(self) -> None:
        self._texts: dict[str, SurrogateJoiner] = {}
        self._calls: dict[tuple[int | None, bool], SurrogateJoiner] = {}  # by index, and whether it is a custom tool's

    def apply(self, delta: ChoiceDelta) -> None:
        for name in _FIELDS:
            text = getattr(delta, name)
            if text:
                setattr(delta, name, self._texts.setdefault(name, SurrogateJoiner()).feed(text))
        for call in delta.tool_calls or ():
            if call.function is not None and call.function.arguments:
                joiner = self._calls.setdefault((call.index, False), SurrogateJoiner())
                call.function.arguments = joiner.feed(call.function.arguments)
            if call.custom is not None and call.custom.input:
                joiner = self._calls.setdefault((call.index, True), SurrogateJoiner())
                call.custom.input = joiner.feed(call.custom.input)

    def flush(self, delta: ChoiceDelta) -> None:
        for name, joiner in self._texts.items():
            if joiner.is_holding:
                setattr(delta, name, (getattr(delta, name) or "") + joiner.flush())
        for (index, is_custom), joiner in self._calls.items():
            if joiner.is_holding:
                half = joiner.flush()
                call = ToolCallDelta(
                    index=index,
                    function=None if is_custom else FunctionCallDelta(arguments=half),
                    custom=CustomToolCallDelta(input=half) if is_custom else None,
                )
                delta.tool_calls = [*(delta.tool_calls or ()), call]
