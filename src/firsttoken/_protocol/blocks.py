"""Joins pieces of content parts and of structured reasoning into complete blocks.

Servers send them word by word. They expect complete blocks in the next request, and refuse a signed block whose text
is in pieces; so pieces are joined into what the blocking call returns.

A piece continues the block before it if both are of the same type and index, no other id says otherwise, and that
block is not signed yet. `index` alone would not do: while streaming, some servers give all blocks the same one. Of
several in one delta only the first can continue: a list is several blocks.
"""

from collections.abc import Sequence

from firsttoken._json import as_array, as_object
from firsttoken._models.reasoning import GROWING, part_type
from firsttoken._protocol.text_buffer import TextBuffer


class Block:
    """A block that is still being written: its text grows; of other fields the last non-empty value counts."""

    __slots__ = ("_fields", "_nested", "_texts")

    def __init__(self, piece: dict[str, object]) -> None:
        self._fields: dict[str, object] = {}
        self._texts: dict[str, TextBuffer] = {}
        self._nested: dict[str, BlockList] = {}
        self.add(piece)

    def add(self, piece: dict[str, object]) -> None:
        """Add a piece."""
        for name, value in piece.items():
            if name not in GROWING or (items := _growing(value)) is None:
                if name not in self._fields or value not in (None, ""):
                    self._fields[name] = value
                continue
            if isinstance(items, str):
                text = self._texts.get(name)
                if text is None:
                    text = self._texts[name] = TextBuffer()
                text.append(items)
                text.compact()
            else:
                nested = self._nested.get(name)
                if nested is None:
                    nested = self._nested[name] = BlockList()
                nested.add(items)
            if name not in self._fields:
                self._fields[name] = None  # in the order in which they came

    def is_continued_by(self, piece: dict[str, object]) -> bool:
        """Whether a piece belongs to this block."""
        fields = self._fields
        kind, identifier, other = piece.get("type"), fields.get("id"), piece.get("id")
        if (kind and kind != fields.get("type")) or piece.get("index") != fields.get("index") or self.is_signed:
            return False
        if identifier and other and identifier != other:
            return False
        has_text = False
        for name in fields:
            if name in GROWING:
                has_text = True
                if not self._may_grow(name, piece.get(name)):
                    return False
        return has_text

    def _may_grow(self, name: str, value: object) -> bool:
        if name in self._nested:
            return value is None or as_array(value) is not None
        if name in self._texts:
            return isinstance(value, str | None)
        return self._fields[name] is None and isinstance(value, str | list | None)

    @property
    def is_signed(self) -> bool:
        """Whether the block has its signature, which comes last."""
        if self._fields.get("signature"):
            return True
        for blocks in self._nested.values():  # noqa: SIM110 - asked for each piece, where a generator costs
            if blocks.ends_signed:
                return True
        return False

    def snapshot(self) -> dict[str, object]:
        """The block so far."""
        block = dict(self._fields)
        for name, text in self._texts.items():
            block[name] = text.joined()
        for name, blocks in self._nested.items():
            block[name] = blocks.snapshot()
        return block


class BlockList:
    """The blocks of one field of a message, while they are being written; only the last can grow."""

    __slots__ = ("_blocks", "_last")

    def __init__(self) -> None:
        self._blocks: list[object] = []  # those before the last
        self._last: Block | None = None

    def add(self, pieces: Sequence[object]) -> None:
        """Add the pieces of a delta."""
        for position, item in enumerate(pieces):
            piece = as_object(item)
            if piece is not None:
                piece = unwrapped(piece) if "delta" in piece else piece
                if position == 0 and self._last is not None and self._last.is_continued_by(piece):
                    self._last.add(piece)
                    continue
            if self._last is not None:
                self._blocks.append(self._last.snapshot())
                self._last = None
            if piece is None or position + 1 < len(pieces):
                self._blocks.append(item if piece is None else piece)
            else:
                self._last = Block(piece)

    def snapshot(self) -> list[object]:
        """The blocks so far."""
        blocks = [item if (block := as_object(item)) is None else dict(block) for item in self._blocks]
        return blocks if self._last is None else [*blocks, self._last.snapshot()]

    @property
    def ends_signed(self) -> bool:
        """Whether the last block has its signature."""
        return self._last is not None and self._last.is_signed


def _growing(value: object) -> str | list[object] | None:
    return value if isinstance(value, str) else as_array(value)


def unwrapped(piece: dict[str, object]) -> dict[str, object]:
    """A piece as its block has it: Portkey's stand under `delta`."""
    delta = as_object(piece.get("delta"))
    if delta is None:
        return piece
    rest = {name: value for name, value in piece.items() if name != "delta"}
    kind = part_type(delta)
    return {**({"type": kind} if kind else {}), **rest, **delta}
