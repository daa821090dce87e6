"""The reads of a response, masked: also a secret that two reads or two chunks of HTTP's framing share."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from firsttoken._protocol.http1 import ResponseParser
from firsttoken._protocol.redaction import PUBLIC_PARAMETERS, find_secrets, holds_secret, spellings

MASK_BYTE = b"*"
"""Stands for a byte that may not be seen."""

_NAMES = ("organization", "project")  # no secrets, but nobody's business
_PUBLIC_NAME = "ratelimit"  # "x-ratelimit-remaining-tokens" counts what is not secret

_HEADER = re.compile(rb"(?m)^([^\s:]+):[ \t]*([^\r\n]*(?:\r?\n[ \t]+[^\r\n]*)*)")
_QUERY = re.compile(rb"\?([^ #]*)")
_PARAMETER = re.compile(rb"([^&=]+)(=?)([^&]*)")


class Redaction:
    """Finds and masks words.

    Args:
        words: what must not be seen; so are longer beginnings of one, as a server quotes them. Each also as it stands
            in JSON, in a URL, in base64 and in hexadecimal digits.
    """

    def __init__(self, words: Iterable[str]) -> None:
        # As text with a character for each byte: what is searched for may be cut anywhere.
        self._words = sorted(word.encode("utf-8", "surrogatepass").decode("latin-1") for word in spellings(words))

    def runs(self, data: bytes) -> list[tuple[int, int]]:
        """Where the data has a word, or as much of its beginning as counts: start and end."""
        text = data.decode("latin-1")
        return [run for word in self._words for run in find_secrets(text, word)]

    def open_end(self, data: bytes) -> int:
        """Where the data's end may be the beginning of a word that goes on elsewhere; its length where it is none."""
        text = data.decode("latin-1")
        return min((_open_end(text, word) for word in self._words), default=len(text))

    def masked(self, data: bytes) -> bytes:
        """The data without the words."""
        shown = bytearray(data)
        for start, end in self.runs(data):
            shown[start:end] = MASK_BYTE * (end - start)
        return bytes(shown)

    def masked_text(self, text: str) -> str:
        """The text without the words."""
        return self.masked(text.encode("utf-8", "replace")).decode()

    def masked_head(self, head: bytes) -> bytes:
        """A head without the words, without the values of headers that hold secrets, and without those of a query."""
        line, newline, headers = head.partition(b"\n")
        line = line if line.startswith(b"HTTP/") else _QUERY.sub(_masked_query, line, count=1)
        return self.masked(line + newline + _HEADER.sub(_masked_header, headers))


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
    return found[0][: found.start(2) - found.start()] + shown + re.sub(rb"[^\r\n]", MASK_BYTE, hidden)


def _masked_query(found: re.Match[bytes]) -> bytes:
    return b"?" + _PARAMETER.sub(_masked_parameter, found[1])


def _masked_parameter(found: re.Match[bytes]) -> bytes:
    if found[1].decode("latin-1") in PUBLIC_PARAMETERS:
        return found[0]
    if not found[2]:
        return MASK_BYTE * len(found[0])
    return found[1] + found[2] + MASK_BYTE * len(found[3])


_LONGEST_SIZE_LINE = 64 * 1024
_MAX_PENDING = 256
"""So many reads may wait to be settled: each read looks through all of them."""

_HEX_DIGITS = b"0123456789abcdefABCDEF"

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_INTERIM = re.compile(rb"HTTP/\d\.\d 1\d\d")
_CHUNKED = re.compile(rb"(?mi)^transfer-encoding:[^\r\n]*chunked")
_CODED = re.compile(rb"(?mi)^content-encoding:[ \t]*(?!identity)\w")

_Spans = list[tuple[int, int]]
"""Places in the bytes of a read: start and end of each."""


class _Framing:
    """Tells the content of a body from the chunk sizes of HTTP (RFC 9112, section 7.1) that may stand in a word."""

    def __init__(self, *, chunked: bool) -> None:
        self._chunked = chunked
        self._left = 0
        self._connection = b""

    def split(self, data: bytes, at: int = 0) -> tuple[_Spans, _Spans]:
        """Where these bytes, from there on, are content, and where the framing has words: extensions, trailers."""
        spans: _Spans = []
        framing_spans: _Spans = []
        while self._chunked and at < len(data):
            begin = at
            if self._left:
                at = min(len(data), at + self._left)
                spans.append((begin, at))
                self._left -= at - begin
            else:
                is_size = not self._connection.strip(_HEX_DIGITS)
                at = self._take_size(data, begin)
                words = data[begin:at]
                # With the line's end, at which no word goes on.
                framing_spans.append((at - len(words.lstrip(_HEX_DIGITS)) if is_size else begin, at))
        if not self._chunked:
            spans.append((at, len(data)))
        return spans, [(start, end) for start, end in framing_spans if start < end]

    def _take_size(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at) + 1
        self._connection += data[at : end or len(data)]
        if not end:
            self._chunked = len(self._connection) < _LONGEST_SIZE_LINE
            return len(data)
        size, self._connection = self._connection.partition(b";")[0].strip(), b""
        try:
            self._left = int(size, 16) if size else 0
        except ValueError:  # a trailer, or no chunk at all
            self._chunked = False
        return end


@dataclass(slots=True)
class MaskedRead:
    """A read, and what may be seen of it.

    Attributes:
        ns: when, in nanoseconds.
        data: the bytes.
        shown: those that may be seen, as many.
        head_size: how many of them belong to the head.
        spans: where the content of the body is.
        asides: where the framing around it has words.
    """

    ns: int
    data: bytes
    shown: bytearray
    head_size: int = 0
    spans: _Spans = field(default_factory=list[tuple[int, int]])
    framing_spans: _Spans = field(default_factory=list[tuple[int, int]])


class MaskedReads:
    """The reads of one response, given out when it is known what of them may be seen.

    Those of the head wait for its end, and one whose last bytes may be the beginning of a secret waits for the next.
    Those of a compressed body wait for its end: what it says is known by then.
    """

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._pending: list[MaskedRead] = []
        self._head = bytearray()
        self._head_begin = 0  # of the last head: 1xx come before it
        self._framing: _Framing | None = None  # None before the head's end
        self._parser: ResponseParser | None = None  # of a compressed body
        self._has_secret = False
        self._tail = b""

    def feed(self, ns: int, data: bytes) -> list[MaskedRead]:
        """Take a read; give those that are settled."""
        read = MaskedRead(ns, data, bytearray(data))
        self._pending.append(read)
        if self._framing is None:
            self._take_head(read)
        else:
            read.spans, read.framing_spans = self._framing.split(data)
        if self._parser is not None:
            self._look_into(self._parser, data)
            return []
        return [] if self._framing is None else self._settle()

    def finish(self) -> list[MaskedRead]:
        """Give those that are left: there are no more."""
        if self._framing is None:
            self._mask_head(len(self._head))
        else:
            self._mask()
            if self._has_secret:
                for read in self._pending:
                    for start, end in read.spans:
                        read.shown[start:end] = MASK_BYTE * (end - start)
        pending, self._pending = self._pending, []
        return pending

    def _take_head(self, read: MaskedRead) -> None:
        before = len(self._head)
        self._head += read.data
        at = max(self._head_begin, before - 3)
        while found := _END_OF_HEAD.search(self._head, at):
            at = found.end()
            if not _INTERIM.match(self._head, self._head_begin):
                self._end_head(read, at, at - before)
                return
            self._head_begin = at

    def _end_head(self, read: MaskedRead, size: int, size_in_read: int) -> None:
        head = bytes(self._head[self._head_begin : size])
        self._mask_head(size)
        framing = self._framing = _Framing(chunked=_CHUNKED.search(head) is not None)
        read.spans, read.framing_spans = framing.split(read.data, size_in_read)
        if _CODED.search(head):
            self._parser = ResponseParser()
            for earlier in self._pending[:-1]:
                self._look_into(self._parser, earlier.data)

    def _mask_head(self, size: int) -> None:
        shown = b"".join(
            self._redaction.masked_head(part) for part in _parts_of(bytes(self._head[:size]))
        )  # a secret is in one head
        at = 0
        for read in self._pending:
            read.head_size = min(len(read.data), size - at)
            read.shown[: read.head_size] = shown[at : at + read.head_size]
            at += read.head_size

    def _look_into(self, parser: ResponseParser, data: bytes) -> None:
        """See whether the content of a compressed body holds a secret."""
        piece = parser.receive_data(data)
        while True:
            content = self._tail + piece
            self._has_secret = self._has_secret or bool(self._redaction.runs(content))
            self._tail = content[self._redaction.open_end(content) :]
            if not parser.has_pending_data:
                return
            piece = parser.process_pending()

    def _settle(self) -> list[MaskedRead]:
        """Mask what is there, and part with the reads that what comes can't change."""
        count = self._mask()
        if len(self._pending) - count > _MAX_PENDING:
            count = len(self._pending)
        settled, self._pending = self._pending[:count], self._pending[count:]
        return settled

    def _mask(self) -> int:
        """Mask the words, in the content and beside it; give how many of the reads what comes can't change."""
        return min(
            self._mask_in([read.spans for read in self._pending]),
            self._mask_in([read.framing_spans for read in self._pending]),
        )

    def _mask_in(self, spans: list[_Spans]) -> int:
        places = [
            (read, start, end) for read, of_read in zip(self._pending, spans, strict=True) for start, end in of_read
        ]
        content = b"".join([read.data[start:end] for read, start, end in places])
        for start, end in self._redaction.runs(content):
            _mask_across(places, start, end)
        open_at = self._redaction.open_end(content)
        size = 0
        for number, of_read in enumerate(spans):
            size += sum(end - start for start, end in of_read)
            if size > open_at:
                return number
        return len(spans)


def _mask_across(places: list[tuple[MaskedRead, int, int]], start: int, end: int) -> None:
    """Mask a stretch of content that may lie in several places."""
    at = 0
    for read, first, last in places:
        low, high = max(start, at), min(end, at + last - first)
        if low < high:
            read.shown[first + low - at : first + high - at] = MASK_BYTE * (high - low)
        at += last - first


def _parts_of(heads: bytes) -> list[bytes]:
    """The heads one by one, 1xx first."""
    ends = [found.end() for found in _END_OF_HEAD.finditer(heads)]
    cuts = [0, *ends, len(heads)]
    return [heads[begin:end] for begin, end in pairwise(cuts)]
