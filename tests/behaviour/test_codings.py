"""Compressed streams, which nobody asked for: all that was sent before one breaks is yielded, piece by piece."""

import zlib

import pytest

from tests.support.clients import REQUEST, MakeClient, drain
from tests.support.server import Peer, Server, chunk, event, respond_sequentially

CODINGS = {"gzip": 31, "deflate": 15}
WORDS = [f"{number} " for number in range(3000)]
BROKEN = "the compressed body is broken: Error -3 while decompressing data: invalid block type"


def packed(coding: str, plain: bytes) -> bytes:
    packer = zlib.compressobj(wbits=CODINGS[coding])
    return packer.compress(plain) + packer.flush(zlib.Z_SYNC_FLUSH)


EVENTS = b"".join(event(chunk(word)) for word in WORDS)


@pytest.mark.parametrize("coding", CODINGS)
def test_chunks_before_a_break_are_handed_out(make_client: MakeClient, coding: str) -> None:
    """The break comes in the same read as they do."""
    data = packed(coding, EVENTS) + b"\xff" * 10

    def answer(peer: Peer) -> None:
        peer.begin_stream({"content-encoding": coding})
        peer.send_part(data)

    with Server(respond_sequentially(answer)) as server:
        texts, failure = drain(make_client(server).chat_completion_stream(REQUEST))
    assert texts == WORDS
    assert str(failure) == BROKEN
    assert failure is not None
    assert failure.partial is not None
    assert failure.partial.text == "".join(WORDS)
    assert failure.chunks_received == len(WORDS)
