"""Content codings of a body: gzip and deflate, in case a proxy ignores that streams ask for `identity`.

Owns the coded bytes that are not decoded yet: a small body may stand for gigabytes, so that it comes out in pieces.

Source: RFC 9110, section 8.4.1. "deflate" is zlib (RFC 1950); raw deflate (RFC 1951), which some servers send under
that name, is told apart by its first bytes.
"""

import zlib
from collections import deque

from firsttoken.errors import ResponseFormatError

MAX_PIECE_BYTES = 64 * 1024
"""The most that is decoded at once: what a read brings where there is no coding."""

_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS


class ContentDecoder:
    """Undoes a coding, piece by piece; what is complete so far comes out at once.

    Args:
        coding: the value of the header `content-encoding`.

    Attributes:
        has_pending_data: whether `process_pending` may have more to give before it is fed again.
        failure: why no more can be decoded, None where nothing is wrong; all that came before was given.
    """

    def __init__(self, coding: str) -> None:
        self.has_pending_data = False
        self.failure: ResponseFormatError | None = None
        self._is_gzip = coding != "deflate"
        self._stream = zlib.decompressobj(_GZIP) if self._is_gzip else None
        self._coded: deque[bytes] = deque()
        self._is_empty = True
        if coding not in ("gzip", "x-gzip", "deflate"):
            self.failure = ResponseFormatError(
                f"the response has the content-encoding {coding[:50]!r}, which was not asked for and is not understood"
            )

    @property
    def ended(self) -> bool:
        """Whether the coded data came to its own end, or never began; a body that ends in between was cut."""
        return self._is_empty or (self._stream is not None and self._stream.eof)

    def receive_data(self, data: bytes) -> None:
        """Take coded bytes."""
        if data and self.failure is None:
            self._coded.append(data)
            self._is_empty = False
            self.has_pending_data = True

    def process_pending(self) -> bytes:
        """Give plain bytes, `MAX_PIECE_BYTES` at most; b"" where there are none before it is fed again."""
        while self.has_pending_data:
            piece = self._decode()
            if piece:
                return piece
        return b""

    def _decode(self) -> bytes:
        """Take one step: decode coded bytes, or what is left in zlib of some that were used up."""
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
        """Begin the next member of a gzip file, which is a series of them (RFC 1952, section 2.2)."""
        self.has_pending_data = self._is_gzip and bool(self._coded)
        if self.has_pending_data:
            self._stream = zlib.decompressobj(_GZIP)

    def _detect_deflate(self) -> "zlib._Decompress | None":
        """What decodes this deflate; None as long as only one byte of it is there."""
        data = b"".join(self._coded)
        self._coded = deque([data])
        if len(data) > 1:
            is_zlib = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0  # RFC 1950, section 2.2
            self._stream = zlib.decompressobj(_ZLIB if is_zlib else _RAW_DEFLATE)
        return self._stream


def _decode_until_error(stream: "zlib._Decompress", data: bytes) -> bytes:
    """What coded bytes that are broken somewhere give before that.

    zlib tells neither where the break is nor what it has decoded: try half of them, again and again, then have the
    one byte that breaks it give what it can, a plain byte at a time. (If something stands in that byte before the
    break, its last plain byte is lost.)
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
