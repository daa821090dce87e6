"""Redaction in place: secrets become asterisks of the same length, so that all lengths and boundaries stay true.

Owns what is a secret in bytes. Refuses to know of reads: those are `_masked_reads`'s.
"""

import json
import re
from collections.abc import Iterable

from firsttoken._core.redaction import PUBLIC_PARAMETERS, holds_secret, runs_of

STAR = b"*"
"""Stands for a byte that may not be seen."""

_NAMES = ("organization", "project")  # no secrets, but nobody's business
_PUBLIC_NAME = "ratelimit"  # "x-ratelimit-remaining-tokens" counts what is no secret

_HEADER = re.compile(rb"(?m)^([^\s:]+):[ \t]*([^\r\n]*(?:\r?\n[ \t]+[^\r\n]*)*)")
_QUERY = re.compile(rb"\?([^ #]*)")
_PARAMETER = re.compile(rb"([^&=]+)(=?)([^&]*)")


class Redaction:
    """Finds and masks words.

    Args:
        words: what must not be seen; so are longer beginnings of one, as a server quotes them. Each also as JSON
            writes it.
    """

    def __init__(self, words: Iterable[str]) -> None:
        spelt = {spelling for word in words if word for spelling in _spellings(word)}
        # As text with a character for each byte: what is searched for may be cut anywhere.
        self._words = sorted(spelling.encode("utf-8", "surrogatepass").decode("latin-1") for spelling in spelt)

    def runs(self, data: bytes) -> list[tuple[int, int]]:
        """Where the data has a word, or as much of its beginning as counts: start and end."""
        text = data.decode("latin-1")
        return [run for word in self._words for run in runs_of(text, word)]

    def open_end(self, data: bytes) -> int:
        """Where the data's end may be the beginning of a word that goes on elsewhere; its length where it is none."""
        text = data.decode("latin-1")
        return min((_open_end(text, word) for word in self._words), default=len(text))

    def masked(self, data: bytes) -> bytes:
        """The data without the words."""
        shown = bytearray(data)
        for start, end in self.runs(data):
            shown[start:end] = STAR * (end - start)
        return bytes(shown)

    def masked_text(self, text: str) -> str:
        """The text without the words."""
        return self.masked(text.encode("utf-8", "replace")).decode()

    def masked_head(self, head: bytes) -> bytes:
        """A head without the words, without the values of headers that hold secrets, and without those of a query."""
        line, newline, headers = head.partition(b"\n")
        line = line if line.startswith(b"HTTP/") else _QUERY.sub(_masked_query, line, count=1)
        return self.masked(line + newline + _HEADER.sub(_masked_header, headers))


def _spellings(word: str) -> tuple[str, ...]:
    """As it is, and as JSON writes it inside a text: some servers escape the slash too."""
    escaped = json.dumps(word, ensure_ascii=False)[1:-1]
    return word, escaped, escaped.replace("/", "\\/"), json.dumps(word)[1:-1]


def _open_end(text: str, word: str) -> int:
    start = text.find(word[0], max(0, len(text) - len(word) + 1))
    while start >= 0:
        if word.startswith(text[start:]):
            return start
        start = text.find(word[0], start + 1)
    return len(text)


def _masked_header(found: re.Match[bytes]) -> bytes:
    name = found[1].decode("latin-1").lower()
    if _PUBLIC_NAME in name or not (holds_secret(name) or any(part in name for part in _NAMES)):
        return found[0]
    value = found[2]
    scheme, blank, rest = value.partition(b" ")
    shown, hidden = (scheme + blank, rest) if name.endswith("authorization") and rest else (b"", value)
    return found[0][: found.start(2) - found.start()] + shown + re.sub(rb"[^\r\n]", STAR, hidden)


def _masked_query(found: re.Match[bytes]) -> bytes:
    return b"?" + _PARAMETER.sub(_masked_parameter, found[1])


def _masked_parameter(found: re.Match[bytes]) -> bytes:
    if found[1].decode("latin-1") in PUBLIC_PARAMETERS:
        return found[0]
    if not found[2]:
        return STAR * len(found[0])
    return found[1] + found[2] + STAR * len(found[3])
