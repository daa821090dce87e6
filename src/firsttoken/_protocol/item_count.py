"""Counts the tool calls and the parts of an answer, which come in pieces: a server may not open them without end.

How many choices there are is bounded by the indexes that they are kept under; a piece of what is known may have a
larger one. What is counted here is what may have been opened: where only the accumulated text could tell a new call
from a repeated name, the looks of its last piece decide.
"""

from collections.abc import Iterable

from firsttoken._json import as_array, as_object
from firsttoken._models.base import MAX_INDEX, MAX_ITEMS
from firsttoken._models.chunk import ChoiceDelta, ToolCallDelta
from firsttoken._models.completion import ChatCompletionMessage
from firsttoken._models.reasoning import BLOCK_FIELDS, GROWING


class ItemCount:
    """How many tool calls and parts an answer has opened so far, in all its choices.

    Attributes:
        calls: tool calls.
        parts: content parts and blocks of reasoning.
        excess: what there is too much of; "" where the bounds are kept.
    """

    __slots__ = ("_known_calls", "_last_parts", "calls", "excess", "parts")

    def __init__(self) -> None:
        self.calls = 0
        self.parts = 0
        self.excess = ""
        self._known_calls: dict[int, dict[str | int | None, bool]] = {}
        self._last_parts: dict[tuple[int, str], tuple[object, ...] | None] = {}

    def add(self, index: int, delta: ChoiceDelta) -> None:
        """Count what a delta opens in the choice with this index."""
        if delta.tool_calls:
            known = self._known_calls.setdefault(index, {})
            for call in delta.tool_calls:
                if _opens_call(call, known):
                    self.calls += 1
                    if call.index is not None and call.index > MAX_INDEX:
                        self.excess = index_excess(call.index, -1)
        for name, parts in _lists_of_parts(delta):
            self.parts += len(parts) - 1
            piece = as_object(parts[0])
            self.parts += piece is None or not _may_continue(piece, self._last_parts.get((index, name)))
            self._last_parts[index, name] = _growing_part(as_object(parts[-1]))
        self._check_counts()

    def add_message(self, message: ChatCompletionMessage) -> None:
        """Count what a complete message has."""
        self.calls += len(message.tool_calls or ())
        self.parts += sum(len(parts) for _, parts in _lists_of_parts(message))
        self._check_counts()

    def _check_counts(self) -> None:
        for name, count in (("tool calls", self.calls), ("content parts", self.parts)):
            if count > MAX_ITEMS:
                self.excess = self.excess or f"too many {name} in an answer (more than {MAX_ITEMS})"


def index_excess(index: int, low: int) -> str:
    """What is wrong with an index that is out of bounds."""
    return f"an index must be {low} to {MAX_INDEX}, not {index!r:.40}"


def _lists_of_parts(message: ChoiceDelta | ChatCompletionMessage) -> Iterable[tuple[str, list[object]]]:
    if message.content_parts:
        yield "content", message.content_parts
    if message.reasoning_details:
        yield "reasoning_details", message.reasoning_details
    if message.extra:
        for name in BLOCK_FIELDS.intersection(message.extra):
            if parts := as_array(message.extra[name]):
                yield name, parts


def _opens_call(piece: ToolCallDelta, known: dict[str | int | None, bool]) -> bool:
    """Whether a piece may open a call.

    Args:
        piece: of a call.
        known: by id and by index, whether the call's arguments may be complete; changed.
    """
    part = piece.function or piece.custom
    name = "" if part is None else (part.name or "").strip()
    call_id, index = (piece.id or "").strip(), piece.index
    if call_id:
        opens = call_id not in known and (bool(name) or index is None or index not in known)
        known[call_id] = False
    elif index is not None:
        opens = bool(name) and known[index] if index in known else bool(name) or not known
    else:
        opens = bool(name) or not known
    arguments = piece.function.arguments if piece.function is not None else None
    place = None if index is not None and index > MAX_INDEX else index
    known[place] = arguments.rstrip().endswith("}") if arguments else known.get(place, False)
    return opens


def _growing_part(piece: dict[str, object] | None) -> tuple[object, ...] | None:
    """What the next piece of a part is known by; None where there is none, since it is complete."""
    if piece is None or piece.get("signature") or GROWING.isdisjoint(as_object(piece.get("delta")) or piece):
        return None
    return piece.get("type"), piece.get("index"), piece.get("id")


def _may_continue(piece: dict[str, object], last: tuple[object, ...] | None) -> bool:
    if last is None:
        return False
    kind, index, identifier = last
    return (
        piece.get("type") in (None, "", kind)
        and piece.get("index") == index
        and (not identifier or piece.get("id") in (None, "", identifier))
    )
