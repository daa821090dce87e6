"""What changes the text of a stream before it is yielded: joining halves of characters, and taking reasoning out.

A server that cuts a character in two surrogates sends half of it at the end of a chunk: it waits for the other half, so
that the text of a chunk, an event's delta and what a callback gets can be encoded. JSON with half a pair is refused by
the typed decode; so a stream pays for this only from the first such chunk on.

Where a model writes its reasoning between tags, as in `<think>…</think>`, and only if asked to, the text between them
becomes `reasoning_content`, the tags vanish, and everything else stays content. What may be the beginning of a tag
waits for the next piece.
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
from firsttoken._models.completion import ChatCompletion, ChatCompletionMessage
from firsttoken._protocol.pieces import join_text

_TEXT_FIELDS: Final = ("content", "reasoning_content", "reasoning", "thinking", "refusal")


def has_half(chunk: ChatCompletionChunk) -> bool:
    """Whether a text of a chunk ends in the first half of a pair."""
    return any("\ud800" <= text[-1:] <= "\udbff" for choice in chunk.choices for text in _texts_of(choice.delta))


def _texts_of(delta: ChoiceDelta) -> Iterator[str]:
    for name in _TEXT_FIELDS:
        yield getattr(delta, name) or ""
    for call in delta.tool_calls or ():
        if call.function is not None:
            yield call.function.arguments or ""
        if call.custom is not None:
            yield call.custom.input or ""


class SurrogateJoiner:
    """Joins surrogate pairs across the pieces of a text that is passed on: a high half waits for the next piece."""

    __slots__ = ("_high",)

    def __init__(self) -> None:
        self._high = ""

    @property
    def is_holding(self) -> bool:
        """Whether a half waits."""
        return bool(self._high)

    def feed(self, piece: str) -> str:
        """The text that can be passed on; it may be ""."""
        if not self._high and (piece.isascii() or not "\ud800" <= piece[-1] <= "\udfff"):
            return piece if piece.isascii() else join_text(piece)
        text = join_text(self._high + piece)
        self._high = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        return text[:-1] if self._high else text

    def flush(self) -> str:
        """The half that was not followed by another, at the end of the text."""
        high, self._high = self._high, ""
        return high


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
        for name in _TEXT_FIELDS:
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


ReasoningTags = tuple[str, str]
"""The opening and the closing tag."""

_TAGGED_FIELDS: Final = ("content", "reasoning_content")


class TagSplitter:
    """The content of one choice, while it is being written."""

    __slots__ = ("_held", "_is_inside", "_tags")

    def __init__(self, tags: ReasoningTags) -> None:
        self._tags = tags
        self._is_inside = False
        self._held = ""  # what may be the beginning of a tag

    def feed(self, piece: str) -> tuple[str, str]:
        """The content and the reasoning in a piece."""
        text, start = self._held + piece, 0
        found: tuple[list[str], list[str]] = ([], [])
        while (place := text.find(self._tags[self._is_inside], start)) >= 0:
            found[self._is_inside].append(text[start:place])
            start = place + len(self._tags[self._is_inside])
            self._is_inside = not self._is_inside
        stop = len(text) - _length_of_beginning(text, start, self._tags[self._is_inside])
        found[self._is_inside].append(text[start:stop])
        self._held = text[stop:]
        return "".join(found[0]), "".join(found[1])

    def flush(self) -> tuple[str, str]:
        """What waited for the rest of a tag that did not come: content and reasoning."""
        held, self._held = self._held, ""
        return ("", held) if self._is_inside else (held, "")


def _length_of_beginning(text: str, start: int, tag: str) -> int:
    """How many characters at the end of a text may be the beginning of a tag."""
    longest = min(len(tag) - 1, len(text) - start)
    return next((length for length in range(longest, 0, -1) if text.endswith(tag[:length])), 0)


class StreamTags:
    """The tags in all choices of a stream."""

    __slots__ = ("_splitters", "_tags")

    def __init__(self, tags: ReasoningTags) -> None:
        self._tags = tags
        self._splitters: dict[int, TagSplitter] = {}

    def apply(self, chunks: Iterable[ChatCompletionChunk]) -> None:
        """Take the reasoning out of the content of chunks."""
        for chunk in chunks:
            for choice in chunk.choices:
                if choice.replacement is not None:
                    split_message(choice.replacement, self._tags)
                elif choice.delta.content and choice.delta.content_parts is None:
                    splitter = self._splitters.get(choice.index)
                    if splitter is None:
                        splitter = self._splitters[choice.index] = TagSplitter(self._tags)
                    _set_texts(choice.delta, splitter.feed(choice.delta.content))
                if choice.finish_reason and choice.index in self._splitters:
                    _add_texts(choice.delta, self._splitters[choice.index].flush())

    def flush(self) -> list[ChunkChoice]:
        """What waits when the stream has ended."""
        choices = [ChunkChoice(index=index) for index in self._splitters]
        for choice in choices:
            _add_texts(choice.delta, self._splitters[choice.index].flush())
        return [choice for choice in choices if choice.delta != ChoiceDelta()]


def split_completion(completion: ChatCompletion, tags: ReasoningTags) -> None:
    """Take the reasoning out of the content of a complete answer."""
    for choice in completion.choices:
        split_message(choice.message, tags)


def split_message(message: ChatCompletionMessage | ChoiceDelta, tags: ReasoningTags) -> None:
    """Take the reasoning out of the content of a complete message."""
    if message.content and message.content_parts is None:
        splitter = TagSplitter(tags)
        _set_texts(message, splitter.feed(message.content))
        _add_texts(message, splitter.flush())


def _set_texts(message: ChatCompletionMessage | ChoiceDelta, texts: tuple[str, str]) -> None:
    message.content = None
    _add_texts(message, texts)


def _add_texts(message: ChatCompletionMessage | ChoiceDelta, texts: tuple[str, str]) -> None:
    for name, text in zip(_TAGGED_FIELDS, texts, strict=True):
        if text:
            setattr(message, name, (getattr(message, name) or "") + text)
