"""Joins what comes in pieces and has no type of its own: text, blocks of content, and a server's own fields.

Text is kept in pieces and joined in blocks, so that growing is linear and a long answer stays small.

Content parts and structured reasoning come word by word. Servers expect complete blocks in the next request, and refuse
a signed block whose text is in pieces; so pieces are joined into what the blocking call returns. A piece continues the
block before it if both are of the same type and index, no other id says otherwise, and that block is not signed yet.
`index` alone would not do: while streaming, some servers give all blocks the same one. Of several in one delta only the
first can continue: a list is several blocks.

Of other fields lists are joined, and otherwise the last value counts; null overwrites nothing. Reasoning under a name
that the types don't know is joined according to its form.
"""

from collections.abc import Mapping, Sequence

from firsttoken._json import as_array, as_object
from firsttoken._models.tables import BLOCK_FIELDS, GROWING, OBJECT_FIELDS, TEXT_FIELDS, part_type

_BLOCK = 1024


class TextBuffer(list[str]):
    """Pieces of one text; None before the first piece, even if that is empty."""

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        super().__init__()
        self._blocks = 0  # how many items at the front are blocks, never to be touched again

    def joined(self) -> str | None:
        """The text so far."""
        return join_text("".join(self)) if self else None

    @property
    def text(self) -> str:
        """The text so far, "" before the first piece."""
        return join_text("".join(self))

    def compact(self) -> None:
        """Join the newest pieces once there are many: a million of them take ten times the memory of their text."""
        if len(self) - self._blocks >= _BLOCK:
            self[self._blocks :] = ["".join(self[self._blocks :])]
            self._blocks += 1


def join_text(text: str) -> str:
    """The text, with the halves of surrogate pairs joined, which servers cut in two; a lone half stays one."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return text


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


class ExtraFields:
    """The fields of one message that the types don't know, while they are being written."""

    __slots__ = ("_fields",)

    def __init__(self) -> None:
        self._fields: dict[str, object] = {}

    def add(self, extra: Mapping[str, object]) -> None:
        """Add the fields of a delta."""
        fields = self._fields
        for name, value in extra.items():
            known = fields.get(name)
            node, items = as_object(value), as_array(value)
            if name in TEXT_FIELDS and isinstance(value, str):
                if not isinstance(known, TextBuffer):
                    known = fields[name] = TextBuffer()
                known.append(value)
                known.compact()
            elif name in OBJECT_FIELDS and node is not None:
                if isinstance(known, Block):
                    known.add(node)
                else:
                    fields[name] = Block(node)
            elif name in BLOCK_FIELDS and items is not None:
                if not isinstance(known, BlockList):
                    known = fields[name] = BlockList()
                known.add(items)
            else:
                fields[name] = merged(name, known, value)

    def snapshot(self) -> dict[str, object]:
        """The fields so far."""
        return {name: _value(value) for name, value in self._fields.items()}


def merged(name: str, known: object, value: object) -> object:
    """The value of a field from its old and its new value; nothing is changed except lists that were made here."""
    if known is not None and (value is None or (value == "" and name.endswith(_SIGNATURES))):
        return known
    items = as_array(value)
    if items is not None:
        if not isinstance(known, _JoinedList):
            known = _JoinedList(as_array(_value(known)) or ())
        known.extend(items)
        return known
    if name == "extra_content":  # Gemini's, whose parts come one by one
        return _united(known, value)
    return value


def _united(known: object, value: object) -> object:
    node, other = as_object(known), as_object(value)
    return value if node is None or other is None else {**node, **{k: _united(node.get(k), other[k]) for k in other}}


_SIGNATURES = ("signature", "opaque", "encrypted_content")
"""Ends of names of fields that are "" until their value comes, and may be so again after it."""


class _JoinedList(list[object]):
    __slots__ = ()


def _value(value: object) -> object:
    if isinstance(value, TextBuffer):
        return value.joined()
    if isinstance(value, Block | BlockList):
        return value.snapshot()
    return list(value) if isinstance(value, _JoinedList) else value


def add_extra(known: dict[str, object], extra: Mapping[str, object]) -> None:
    """Add the fields of a choice or of a tool call to those that came before."""
    for name, value in extra.items():
        known[name] = merged(name, known.get(name), value)


def add_chunk_extra(known: dict[str, object], extra: Mapping[str, object]) -> None:
    """Add the fields of a chunk: some servers repeat a list as far as it has come in every chunk."""
    for name, value in extra.items():
        items = as_array(value) if value.__class__ is list else None
        before = None if items is None else as_array(known.get(name))
        if items is None or before is None:
            if value is not None or name not in known:
                known[name] = value
        elif items[: len(before)] == before:
            known[name] = items
        else:
            known[name] = merged(name, before, value)


def plain(fields: Mapping[str, object]) -> dict[str, object]:
    """A copy of accumulated fields, in which no list is one that still grows."""
    return {name: _value(value) for name, value in fields.items()}
