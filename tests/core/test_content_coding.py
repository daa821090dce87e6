"""firsttoken._core.content_coding: gzip and deflate that nobody asked for."""

import gzip
import zlib

import pytest

from firsttoken._core.content_coding import ContentDecoder
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


@pytest.mark.parametrize("size", [1, 2, 7, 10**6])
@pytest.mark.parametrize("name", CODED)
def test_a_coding_is_undone(name: str, size: int) -> None:
    coding, data = CODED[name]
    decoder = ContentDecoder(coding)
    assert b"".join(decoder.decode(piece) for piece in cut_every(data, size)) == PLAIN
    assert decoder.ended


@pytest.mark.parametrize("name", CODED)
def test_a_body_that_was_cut_is_noticed(name: str) -> None:
    coding, data = CODED[name]
    for length in (1, 2, len(data) // 2, len(data) - 1):
        decoder = ContentDecoder(coding)
        plain = decoder.decode(data[:length])
        assert PLAIN.startswith(plain)
        assert not decoder.ended


def test_an_empty_body_was_not_cut() -> None:
    for coding in ("gzip", "deflate"):
        decoder = ContentDecoder(coding)
        assert decoder.decode(b"") == b""
        assert decoder.ended


def test_what_was_flushed_comes_out_at_once() -> None:
    packer = zlib.compressobj(wbits=31)
    decoder = ContentDecoder("gzip")
    assert decoder.decode(packer.compress(b"data: a\n\n") + packer.flush(zlib.Z_SYNC_FLUSH)) == b"data: a\n\n"
    assert not decoder.ended


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_is_not_of_the_coding(coding: str) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        ContentDecoder(coding).decode(b"\xff\xff data: plain text\n\n")
    assert str(caught.value).startswith("the compressed body is broken: Error -3 while decompressing data: ")
    assert isinstance(caught.value.__cause__, zlib.error)


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "x" * 100])
def test_a_coding_that_is_not_understood(coding: str) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        ContentDecoder(coding)
    assert str(caught.value) == (
        f"the response has the content-encoding {coding[:50]!r}, which was not asked for and is not understood"
    )
