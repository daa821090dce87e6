"""Takes reasoning out of content where a model writes it between tags, as in `<think>…</think>`; only if asked to.

The text between the tags becomes `reasoning_content`, the tags vanish, everything else stays content. A server may cut
a tag anywhere: what may be the beginning of one waits for the next piece.
"""

from collections.abc import Iterable
from typing import Final

from firsttoken._models.chunk import ChatCompletionChunk, ChoiceDelta, ChunkChoice
from firsttoken._models.completion import ChatCompletion, ChatCompletionMessage

ReasoningTags = tuple[str, str]
"""The opening and the closing tag."""

_FIELDS: Final = ("content", "reasoning_content")


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
    for name, text in zip(_FIELDS, texts, strict=True):
        if text:
            setattr(message, name, (getattr(message, name) or "") + text)
