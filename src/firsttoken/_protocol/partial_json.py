"""JSON that is still being written, as the value that it is so far.

Decides when to parse again, and what of an unfinished end is shown. jiter parses; it is imported here and nowhere else,
when the first instance is made.
"""

import re
from collections.abc import Callable
from typing import Literal

from firsttoken._json import excerpt
from firsttoken._version import install_hint
from firsttoken.errors import ConfigurationError, ResponseFormatError

ALWAYS_PARSE_BYTES = 16 * 1024
"""Bytes; jiter parses from the start each time, which costs a few microseconds up to here."""

STEPS = 64
"""Beyond, it is parsed each time that it has grown by this fraction of the rest: so the work stays linear."""

_UNFINISHED_NUMBER = re.compile(rb"(?:^|[\[,:])\s*(-?[0-9.eE+-]*)\Z")
_LONGEST_NUMBER = 400
_NOTHING = object()


class PartialJSON:
    """A JSON text that grows.

    Attributes:
        value: what it is so far, as plain Python: text at its end may be cut, a number at its end is left out until
            something follows it. Meaningless before `update` was True.

    Raises:
        ConfigurationError: jiter is not installed.
    """

    def __init__(self) -> None:
        self.value: object = _NOTHING
        self._parse = _load_parser()
        self._data = bytearray()
        self._parsed_size = 0

    def add(self, text: str) -> None:
        """Add more of the text."""
        self._data += text.encode("utf-8", "surrogatepass")

    @property
    def is_due(self) -> bool:
        """Whether enough was added to parse it again."""
        size = len(self._data)
        return size > self._parsed_size and (size - self._parsed_size) * STEPS >= size - ALWAYS_PARSE_BYTES

    def update(self, *, is_complete: bool = False) -> bool:
        """Parse it; True where `value` has changed.

        Args:
            is_complete: nothing more will come.

        Raises:
            ResponseFormatError: it is not, and won't become, JSON; what follows a value is only checked
                at the last call.
        """
        size = len(self._data)
        if size == self._parsed_size and not is_complete:
            return False
        self._parsed_size = size
        data = bytes(self._data)
        if not is_complete:
            tail = _UNFINISHED_NUMBER.search(data, max(0, size - _LONGEST_NUMBER))
            data = data if tail is None else data[: tail.start(1)]
        try:
            if is_complete:
                self._check_end(data)
            value = self._parse(data, "trailing-strings")
        except ValueError as error:
            if _is_cut(error):  # no value yet
                return False
            raise ResponseFormatError(f"the answer is not JSON ({error}): {excerpt(bytes(self._data))}") from error
        has_changed = value != self.value
        self.value = value
        return has_changed

    def _check_end(self, data: bytes) -> None:
        """Check that nothing follows the value, which the partial mode ignores."""
        try:
            self._parse(data, False)
        except ValueError as error:
            if not _is_cut(error):
                raise


def _is_cut(error: ValueError) -> bool:
    """Whether jiter says no more than that the text ends too early."""
    return str(error).startswith("EOF")


def _load_parser() -> "Callable[[bytes, Literal['trailing-strings', False]], object]":
    try:
        import jiter
    except ImportError as error:
        raise ConfigurationError(
            "the value of an unfinished answer needs jiter, which is not installed",
            hint=install_hint("structured"),
        ) from error

    def parse(data: bytes, partial_mode: Literal["trailing-strings", False]) -> object:
        return jiter.from_json(data, allow_inf_nan=False, partial_mode=partial_mode)

    return parse
