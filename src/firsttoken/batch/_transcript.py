"""Transcripts of `firsttoken chat` as an input: each question is a row, with what was said before it."""

from collections.abc import Iterator, Mapping
from typing import Final

from firsttoken._json import as_object

_OURS: Final = "firsttoken"
_ROWS: Final = frozenset({"messages", "prompt", "body"})
_SYSTEM: Final = frozenset({"system", "developer"})


class Transcript:
    """The lines of a transcript; which of its questions count is known only at its end."""

    def __init__(self) -> None:
        self._system: dict[str, object] | None = None
        self._said: list[tuple[int, dict[str, object]]] = []

    def add(self, number: int, fields: Mapping[str, object]) -> bool:
        """Add a line, if it is one: a message by itself, or one that takes messages back; returns whether it is."""
        ours = as_object(fields.get(_OURS))
        role = fields.get("role")
        if fields.keys() & _ROWS or not (ours is not None or (isinstance(role, str) and "content" in fields)):
            return False
        message = {name: value for name, value in fields.items() if name != _OURS}
        if isinstance(count := (ours or {}).get("take_back"), int):
            del self._said[max(0, len(self._said) - count) :]
        elif role in _SYSTEM:
            self._system = message if message.get("content") else None
        else:
            self._said.append((number, message))
        return True

    def rows(self) -> Iterator[tuple[int, dict[str, object]]]:
        """For each question the number of its line, and the messages up to it."""
        messages = [] if self._system is None else [self._system]
        for number, message in self._said:
            messages.append(message)
            if message.get("role") == "user":
                yield number, {"messages": [*messages]}
