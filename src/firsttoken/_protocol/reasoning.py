"""Joins pieces of structured reasoning to complete blocks.

OpenRouter and others send `reasoning_details` word by word. They want the complete blocks back with the next request,
and refuse a signed block whose text is in pieces; so pieces are joined as the blocking call would have them.

A piece continues the block before it if both are of the same type (text or summary) and index, no other id says
otherwise, and that block is not signed yet. `index` alone would not do: while streaming, some servers give all blocks
the same one. Of several in one delta only the first can continue: a list is several blocks.
"""

from firsttoken._json import as_object
from firsttoken._protocol.text_buffer import TextBuffer

_GROWING = {"reasoning.text": "text", "reasoning.summary": "summary"}
"""The types that come in pieces, and the field that grows; encrypted blocks come complete."""


class ReasoningDetails:
    """The blocks of one message, while they are being written."""

    __slots__ = ("_block", "_blocks", "_grows", "_text")

    def __init__(self) -> None:
        self._blocks: list[object] = []
        self._block: dict[str, object] = {}  # the last of them, where it may grow
        self._grows = ""  # the field of it that grows; "" where none does
        self._text = TextBuffer()  # what it has so far

    def add(self, details: list[object]) -> None:
        """Add the pieces of a delta."""
        for position, detail in enumerate(details):
            piece = as_object(detail)
            if position == 0 and piece is not None and self._continues(piece):
                self._join(piece)
            else:
                self._begin(detail, piece)

    def snapshot(self) -> list[object]:
        """The blocks so far."""
        self._write()
        return [detail if (block := as_object(detail)) is None else dict(block) for detail in self._blocks]

    def _continues(self, piece: dict[str, object]) -> bool:
        block = self._block
        return (
            bool(self._grows)
            and piece.get("type") == block.get("type")
            and piece.get("index") == block.get("index")
            and not block.get("signature")
            and not (block.get("id") and piece.get("id") and piece["id"] != block["id"])
            and isinstance(piece.get(self._grows), str | None)
        )

    def _join(self, piece: dict[str, object]) -> None:
        block, grows = self._block, self._grows
        text = piece.get(grows)
        if isinstance(text, str):
            self._text.append(text)
            self._text.compact()
        for name in piece:
            if name != grows and block.get(name) is None:
                block[name] = piece[name]

    def _begin(self, detail: object, block: dict[str, object] | None) -> None:
        self._write()
        self._block = dict(block or {})
        self._blocks.append(detail if block is None else self._block)
        kind = self._block.get("type")
        grows = _GROWING.get(kind, "") if isinstance(kind, str) else ""
        text = self._block.get(grows)
        self._grows = grows if isinstance(text, str | None) else ""
        self._text = TextBuffer()
        if isinstance(text, str):
            self._text.append(text)

    def _write(self) -> None:
        """Put the text of the last block into it."""
        if self._grows and self._text:
            self._block[self._grows] = self._text.joined()
