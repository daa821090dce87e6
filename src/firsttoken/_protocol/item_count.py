"""Counts the tool calls and the parts of an answer, which come in pieces: a server may not open them without end.

How many choices there are is bounded by the indexes that they are kept under; a piece of what is known may have a
larger one. What is counted here is what may have been opened: where only the accumulated text could tell a new call
from a repeated name, the looks of its last piece decide.
"""

import itertools
from collections.abc import Iterable, Mapping

from firsttoken._json import as_array, as_object
from firsttoken._models.base import MAX_INDEX, MAX_ITEMS, index_excess
from firsttoken._models.chunk import ChoiceDelta, ToolCallDelta
from firsttoken._models.completion import ChatCompletionMessage
from firsttoken._models.tables import BLOCK_FIELDS, GROWING
from firsttoken._protocol.pieces import unwrapped


class ItemCount:
    """How many tool calls and parts an answer has opened so far, in all its choices.

    Attributes:
        calls: tool calls.
        parts: content parts and blocks of reasoning.
        excess: which bound was exceeded; "" if none was.
    """

    __slots__ = ("_known_calls", "_last_parts", "calls", "excess", "parts")

    def __init__(self) -> None:
        self.calls = 0
        self.parts = 0
        self.excess = ""
        self._known_calls: dict[int, dict[str | int | None, bool]] = {}
        self._last_parts: dict[tuple[int, str], _OpenPart | None] = {}

    def add(self, index: int, delta: ChoiceDelta) -> None:
        """Count what a delta opens in the choice with this index."""
        if delta.tool_calls:
            known = self._known_calls.setdefault(index, {})
            for call in delta.tool_calls:
                if _opens_call(call, known):
                    self.calls += 1
                    if call.index is not None and call.index > MAX_INDEX:
                        self.excess = index_excess(call.index, -1)
        if delta.content_parts:
            self._add_parts((index, "content"), delta.content_parts)
        if delta.reasoning_details:
            self._add_parts((index, "reasoning_details"), delta.reasoning_details)
        if delta.extra:
            for name in BLOCK_FIELDS.intersection(delta.extra):
                if parts := as_array(delta.extra[name]):
                    self._add_parts((index, name), parts)
        if self.calls > MAX_ITEMS or self.parts > MAX_ITEMS:
            self.excess = self.excess or _excess(self.calls, self.parts)

    def _add_parts(self, place: tuple[int, str], parts: list[object]) -> None:
        last, piece = self._last_parts.get(place), _part(parts[0])
        continues = last is not None and piece is not None and last.may_be_continued_by(piece)
        self.parts += len(parts) - continues
        if not continues or len(parts) > 1:
            piece = _part(parts[-1])
            self._last_parts[place] = None if piece is None else _OpenPart(piece)


def excess_of(messages: Iterable[ChatCompletionMessage]) -> str:
    """Which bound the messages of a complete answer exceed; "" where they exceed none."""
    calls = parts = 0
    for message in messages:
        calls += len(message.tool_calls or ())
        for items in _lists_of_parts(message):
            parts += len(items)
    return _excess(calls, parts)


def _excess(calls: int, parts: int) -> str:
    name = "tool calls" if calls > MAX_ITEMS else "content parts" if parts > MAX_ITEMS else ""
    return f"too many {name} in an answer (more than {MAX_ITEMS})" if name else ""


def _lists_of_parts(message: ChatCompletionMessage) -> Iterable[list[object]]:
    if message.content_parts:
        yield message.content_parts
    if message.reasoning_details:
        yield message.reasoning_details
    if message.extra:
        for name in BLOCK_FIELDS.intersection(message.extra):
            if parts := as_array(message.extra[name]):
                yield parts


_ANY, _OTHER = " ", ""  # no ids: those are neither blank nor begin with a blank


def _opens_call(piece: ToolCallDelta, known: dict[str | int | None, bool]) -> bool:
    """Whether a piece may open a call.

    Args:
        piece: of a call.
        known: by id and by index, whether the call's arguments may be complete; also of any call, and of one that is
            not looked up. It is changed.
    """
    part = piece.function or piece.custom
    name = "" if part is None else (part.name or "").strip()
    call_id, index = (piece.id or "").strip(), piece.index
    if call_id:
        if call_id in known:  # as of all calls of LocalAI
            opens = (
                bool(name)
                and index is not None
                and index <= MAX_INDEX
                and index not in known
                and known.get(_ANY, False)
            )
        else:
            opens = bool(name) or index is None or index not in known
        known[call_id] = False
    elif index is not None:
        may_be_complete = known.get(_OTHER, False) or known.get(index, False)
        opens = bool(name) and may_be_complete if index in known else bool(name) or not known
    else:
        opens = bool(name) or not known
    arguments = piece.function.arguments if piece.function is not None else None
    ends = bool(arguments) and (arguments or "").rstrip().endswith("}")
    if arguments and (call_id or index is None or index not in known):
        known[_OTHER] = known.get(_OTHER, False) or ends
    elif arguments:
        known[index] = ends
    known[_ANY] = known.get(_ANY, False) or ends
    if opens:
        known[None if index is not None and index > MAX_INDEX else index] = ends
    return opens


def _part(item: object) -> Mapping[str, object] | None:
    piece = as_object(item)
    return unwrapped(piece) if piece is not None and "delta" in piece else piece


class _OpenPart:
    """The last part of a list, as far as it matters to what continues it: what `pieces` may join to it, and no more."""

    __slots__ = ("_id", "_index", "_is_complete", "_kind", "_types")

    def __init__(self, piece: Mapping[str, object]) -> None:
        self._kind = piece.get("type")
        self._index = piece.get("index")
        self._id = piece.get("id")
        self._types: dict[str, type] = {}  # of what grows
        self._is_complete = bool(piece.get("signature"))
        self._is_complete = not self._fits(piece) or not self._types or self._is_complete

    def may_be_continued_by(self, piece: Mapping[str, object]) -> bool:
        """Whether a piece may be one of this part, which it is added to then."""
        kind, identifier = piece.get("type"), piece.get("id")
        if self._is_complete or (kind and kind != self._kind) or piece.get("index") != self._index:
            return False
        if identifier and self._id and identifier != self._id:
            return False
        self._id = self._id or identifier
        self._is_complete = bool(piece.get("signature"))
        return self._fits(piece)

    def _fits(self, piece: Mapping[str, object]) -> bool:
        """Note what of a piece grows, and what completes the part; whether that is text or a list, as it was before."""
        for name in GROWING.intersection(piece):
            value = piece[name]
            if value is None:
                continue
            kind = value.__class__
            if kind not in _GROWING_TYPES or self._types.setdefault(name, kind) is not kind:
                self._is_complete = True
                return False
            if kind is list and any(map(_is_signed, as_array(value) or ())):
                self._is_complete = True
        return True


_GROWING_TYPES = (str, list)


def _is_signed(item: object) -> bool:
    """Whether a piece, or one inside it, has a signature, which is the last that comes of a part."""
    piece = as_object(item)
    if piece is None:
        return False
    if piece.get("signature"):
        return True
    lists = [items for name in GROWING.intersection(piece) if (items := as_array(piece[name]))]
    return any(map(_is_signed, itertools.chain.from_iterable(lists))) if lists else False
