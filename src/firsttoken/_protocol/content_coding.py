"""Content codings of a body: gzip and deflate, in case a proxy ignores that streams request `identity`.

It keeps the coded bytes that are not decoded yet: a small body may decode to gigabytes, so it is decoded in pieces.

Source: RFC 9110, section 8.4.1. "deflate" is zlib (RFC 1950); raw deflate (RFC 1951), which some servers send under
that name, is recognized by its first bytes.
"""

import zlib
from collections import deque

from firsttoken.errors import ResponseFormatError

MAX_PIECE_BYTES = 64 * 1024
"""The most that is decoded at once: as much as a read returns without a coding."""

_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS


class ContentDecoder:
    """Decodes a body piece by piece, each as soon as it can be decoded.

    Args:
        coding: the value of the header `content-encoding`.

    Attributes:
        has_pending_data: whether `process_pending` may return more before the next `receive_data`.
        failure: why no more can be decoded; None if nothing is wrong. All that came before was returned.
    """

    def __init__(self, coding: str) -> None:
        self.has_pending_data = False
        self.failure: ResponseFormatError | None = None
        self._is_gzip = coding != "deflate"
        self._stream = zlib.decompressobj(_GZIP) if self._is_gzip else None
        self._coded: deque[bytes] = deque()
        self._is_empty = True
        if coding not in ("gzip", "x-gzip", "deflate"):
            self.failure = ResponseFormatError(f"unsupported content-encoding {coding[:50]!r}")

    @property
    def ended(self) -> bool:
        """Whether the coded data came to its own end, or never began; a body that ends in between was cut."""
        return self._is_empty or (self._stream is not None and self._stream.eof)

    def receive_data(self, data: bytes) -> None:
        """Receive coded bytes."""
        if data and self.failure is None:
            self._coded.append(data)
            self._is_empty = False
            self.has_pending_data = True

    def process_pending(self) -> bytes:
        """Return decoded bytes, `MAX_PIECE_BYTES` at most; b"" where there are none before the next `receive_data`."""
        while self.has_pending_data:
            piece = self._decode()
            if piece:
                return piece
        return b""

    def _decode(self) -> bytes:
        """Take one step: decode coded bytes, or what zlib still holds of those it has consumed."""
        stream = self._stream or self._detect_deflate()
        if stream is None or stream.eof:
            self._begin_member()
            return b""
        data = self._coded.popleft() if self._coded else b""
        before = stream.copy()  # takes about 1 us; of a piece that breaks, zlib gives nothing
        try:
            piece = stream.decompress(data, MAX_PIECE_BYTES)
        except zlib.error as error:
            self.failure = ResponseFormatError(f"the compressed body is broken: {error}")
            self.failure.__cause__ = error
            self.has_pending_data = False
            return _decode_until_error(before, data)
        rest = stream.unused_data if stream.eof else stream.unconsumed_tail
        if rest:
            self._coded.appendleft(bytes(rest))
        self.has_pending_data = bool(self._coded) or len(piece) == MAX_PIECE_BYTES
        return piece

    def _begin_member(self) -> None:
        """Begin the next member of a gzip file, which is a series of them (RFC 1952, section 2.2).

        What follows deflated data is dropped, else it would grow with every read.
        """
        self.has_pending_data = self._is_gzip and bool(self._coded)
        if not self._is_gzip and self._stream is not None:
            self._coded.clear()
        elif self.has_pending_data:
            self._stream = zlib.decompressobj(_GZIP)

    def _detect_deflate(self) -> "zlib._Decompress | None":
        """The decompressor for this kind of deflate; None while only one byte was received."""
        data = b"".join(self._coded)
        self._coded = deque([data])
        if len(data) > 1:
            is_zlib = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0  # RFC 1950, section 2.2
            self._stream = zlib.decompressobj(_ZLIB if is_zlib else _RAW_DEFLATE)
        return self._stream


def _decode_until_error(stream: "zlib._Decompress", data: bytes) -> bytes:
    """What invalid coded bytes decode to before the error.

    zlib reports neither where the error is nor what it has decoded: try half of the bytes, again and again, then decode
    the one byte that breaks it, one decoded byte at a time. (If something stands in that byte before the error, its
    last decoded byte is lost.)
    """
    plain: list[bytes] = []
    while len(data) > 1:
        half = len(data) // 2
        trial = stream.copy()
        try:
            plain.append(trial.decompress(data[:half]))
        except zlib.error:
            data = data[:half]
        else:
            stream, data = trial, data[half:]
    while byte := _next_byte(stream, data):
        plain.append(byte)
        data = stream.unconsumed_tail
    return b"".join(plain)


def _next_byte(stream: "zlib._Decompress", data: bytes) -> bytes:
    try:
        return stream.decompress(data, 1)
    except zlib.error:
        return b""
