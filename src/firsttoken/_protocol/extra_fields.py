"""Accumulates a server's own fields: lists are joined, of other values the last one counts.

Reasoning under a name that the types don't know is joined according to its form; null overwrites nothing.
"""

from collections.abc import Mapping

from firsttoken._json import as_array, as_object
from firsttoken._models.reasoning import BLOCK_FIELDS, OBJECT_FIELDS, TEXT_FIELDS
from firsttoken._protocol.blocks import Block, BlockList
from firsttoken._protocol.text_buffer import TextBuffer


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
