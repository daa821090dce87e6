"""Content codings of a body: gzip and deflate, in case a proxy ignores that streams ask for `identity`.

Source: RFC 9110, section 8.4.1. "deflate" is zlib (RFC 1950); raw deflate (RFC 1951), which some servers send under
that name, is told apart by its first bytes.
"""

import zlib

from firsttoken.errors import ResponseFormatError

_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS


class ContentDecoder:
    """Undoes a coding, piece by piece; what is complete so far comes out at once.

    Args:
        coding: the value of the header `content-encoding`.

    Raises:
        ResponseFormatError: it is neither gzip nor deflate.
    """

    def __init__(self, coding: str) -> None:
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise ResponseFormatError(
                f"the response has the content-encoding {coding[:50]!r}, which was not asked for and is not understood"
            )
        self._is_gzip = coding != "deflate"
        self._stream = zlib.decompressobj(_GZIP) if self._is_gzip else None
        self._head: bytes = b""
        self._is_empty = True

    def decode(self, data: bytes) -> bytes:
        """Take coded bytes, give plain ones.

        Raises:
            ResponseFormatError: `data` is not of the coding.
        """
        self._is_empty = self._is_empty and not data
        if self._stream is None:
            data = self._head + data
            if len(data) < 2:
                self._head = data
                return b""
            is_zlib = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0  # RFC 1950, section 2.2
            self._stream = zlib.decompressobj(_ZLIB if is_zlib else _RAW_DEFLATE)
        try:
            plain = [self._stream.decompress(data)]
            while self._is_gzip and self._stream.unused_data:  # a gzip file is a series of members: RFC 1952, 2.2
                data = bytes(self._stream.unused_data)
                self._stream = zlib.decompressobj(_GZIP)
                plain.append(self._stream.decompress(data))
        except zlib.error as error:
            raise ResponseFormatError(f"the compressed body is broken: {error}") from error
        return b"".join(plain)

    @property
    def ended(self) -> bool:
        """Whether the coded data came to its own end, or never began; a body that ends in between was cut."""
        return self._is_empty or (self._stream is not None and self._stream.eof)
