"""firsttoken._protocol.content_coding: gzip and deflate that nobody asked for."""

import gzip
import tracemalloc
import zlib

import pytest

from firsttoken._protocol.content_coding import MAX_PIECE_BYTES, ContentDecoder
from firsttoken.errors import ResponseFormatError
from tests.support.core import cut_every

PLAIN = b"data: hello\n\n" * 100


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


CODED = {
    "gzip": ("gzip", gzip.compress(PLAIN)),
    "x-gzip": ("x-gzip", gzip.compress(PLAIN)),
    "gzip in members": ("gzip", gzip.compress(PLAIN[:50]) + gzip.compress(PLAIN[50:])),
    "deflate as zlib": ("deflate", zlib.compress(PLAIN)),
    "deflate as it is called": ("deflate", raw_deflate(PLAIN)),
}


def decoded(decoder: ContentDecoder, data: bytes) -> bytes:
    """What a decoder gives for a read, in pieces that are bounded."""
    decoder.receive_data(data)
    pieces: list[bytes] = []
    while decoder.has_pending_data:
        pieces.append(decoder.process_pending())
        assert len(pieces[-1]) <= MAX_PIECE_BYTES
    assert decoder.process_pending() == b""
    return b"".join(pieces)


@pytest.mark.parametrize("size", [1, 2, 7, 10**6])
@pytest.mark.parametrize("name", CODED)
def test_a_coding_is_undone(name: str, size: int) -> None:
    coding, data = CODED[name]
    decoder = ContentDecoder(coding)
    assert b"".join(decoded(decoder, piece) for piece in cut_every(data, size)) == PLAIN
    assert decoder.ended
    assert decoder.failure is None


@pytest.mark.parametrize("name", CODED)
def test_a_body_that_was_cut_is_noticed(name: str) -> None:
    coding, data = CODED[name]
    for length in (1, 2, len(data) // 2, len(data) - 1):
        decoder = ContentDecoder(coding)
        assert PLAIN.startswith(decoded(decoder, data[:length]))
        assert not decoder.ended


def test_an_empty_body_was_not_cut() -> None:
    for coding in ("gzip", "deflate"):
        decoder = ContentDecoder(coding)
        assert decoded(decoder, b"") == b""
        assert decoder.ended


def test_what_was_flushed_comes_out_at_once() -> None:
    packer = zlib.compressobj(wbits=31)
    decoder = ContentDecoder("gzip")
    assert decoded(decoder, packer.compress(b"data: a\n\n") + packer.flush(zlib.Z_SYNC_FLUSH)) == b"data: a\n\n"
    assert not decoder.ended


@pytest.mark.parametrize("size", [MAX_PIECE_BYTES - 1, MAX_PIECE_BYTES, MAX_PIECE_BYTES + 1, 40 * MAX_PIECE_BYTES])
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_small_body_that_is_a_large_one_comes_in_pieces(coding: str, size: int) -> None:
    packed = zlib.compress(b"x" * size, wbits=31 if coding == "gzip" else 15)
    decoder = ContentDecoder(coding)
    assert decoded(decoder, packed) == b"x" * size
    assert decoder.ended
    waiting = ContentDecoder(coding)
    waiting.receive_data(packed[:50])
    first = waiting.process_pending()
    assert 0 < len(first) <= MAX_PIECE_BYTES
    assert first + decoded(waiting, packed[50:]) == b"x" * size


def test_bytes_after_the_end_of_deflate_are_dropped() -> None:
    decoder = ContentDecoder("deflate")
    assert decoded(decoder, zlib.compress(PLAIN) + b"more") == PLAIN
    assert decoded(decoder, b"and more") == b""
    assert decoder.ended
    tracemalloc.start()
    try:
        for _ in range(100):
            assert decoded(decoder, bytes(MAX_PIECE_BYTES)) == b""
        assert tracemalloc.get_traced_memory()[0] < 2 * MAX_PIECE_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_is_not_of_the_coding(coding: str) -> None:
    decoder = ContentDecoder(coding)
    assert decoded(decoder, b"\xff\xff data: plain text\n\n") == b""
    assert str(decoder.failure).startswith("the compressed body is broken: Error -3 while decompressing data: ")
    assert isinstance(decoder.failure, ResponseFormatError)
    assert isinstance(decoder.failure.__cause__, zlib.error)
    assert decoded(decoder, gzip.compress(PLAIN)) == b""


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("wbits", [31, 15, -15])
def test_what_came_before_a_break_is_given_however_it_was_cut(level: int, wbits: int) -> None:
    packer = zlib.compressobj(level, wbits=wbits)
    text = b"".join(b"data: %d\n\n" % number**3 for number in range(500))
    good = packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH)
    for bad in (b"\xff\xff\xff\xff", good[:-4] + b"\xff" * 100):
        outcomes: set[tuple[bytes, str]] = set()
        for size in (1, 3, 100, 1000, 10**6):
            decoder = ContentDecoder("gzip" if wbits == 31 else "deflate")
            given = b"".join(decoded(decoder, piece) for piece in cut_every(good + bad, size))
            assert given.startswith(text)
            outcomes.add((given, str(decoder.failure)))
        assert len(outcomes) == 1
        assert outcomes.pop()[1].startswith("the compressed body is broken: Error -3 while decompressing data: ")


@pytest.mark.parametrize("count", range(300, 309))
def test_a_break_in_the_middle_of_a_byte(count: int) -> None:
    """Each letter is one bit, 0, then comes the end of the block, 1; all ones behind it are no block."""
    packer = zlib.compressobj(wbits=-15, strategy=zlib.Z_HUFFMAN_ONLY)
    *good, last = (packer.compress(b"a" * count) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")
    broken = bytes([*good, last | 0xFF << last.bit_length() & 0xFF, 0xFF])
    outcomes: set[bytes] = set()
    for size in (1, 7, 1000):
        decoder = ContentDecoder("deflate")
        outcomes.add(b"".join(decoded(decoder, piece) for piece in cut_every(broken, size)))
        assert str(decoder.failure).startswith("the compressed body is broken: Error -3 while decompressing data: ")
    assert outcomes <= {b"a" * count, b"a" * (count - 1)}
    assert len(outcomes) == 1


@pytest.mark.parametrize("name", CODED)
def test_a_byte_that_is_wrong_anywhere_has_the_same_outcome_however_the_body_was_cut(name: str) -> None:
    coding, data = CODED[name]
    for place in range(len(data)):
        for wrong in (0x00, 0xFF, data[place] ^ 0x40):
            broken = data[:place] + bytes([wrong]) + data[place + 1 :]
            outcomes: set[tuple[bytes, str, bool]] = set()
            for size in (1, 5, 10**6):
                decoder = ContentDecoder(coding)
                given = b"".join(decoded(decoder, piece) for piece in cut_every(broken, size))
                outcomes.add((given, str(decoder.failure), decoder.ended))
            assert len(outcomes) == 1


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "x" * 100])
def test_a_coding_that_is_not_understood(coding: str) -> None:
    decoder = ContentDecoder(coding)
    assert decoded(decoder, b"any") == b""
    assert isinstance(decoder.failure, ResponseFormatError)
    assert str(decoder.failure) == (f"unsupported content-encoding {coding[:50]!r}")
