"""Compressed streams, which nobody asked for: all that was sent before one breaks is yielded, piece by piece."""

import zlib

import pytest

from tests.support.clients import REQUEST, MakeClient, drain
from tests.support.server import DONE, EVENT_STREAM, Peer, Server, chunk, event, respond_sequentially

CODINGS = {"gzip": 31, "deflate": 15}
WORDS = [f"{number} " for number in range(3000)]
BROKEN = "the compressed body is broken: Error -3 while decompressing data: invalid block type"


def packed(coding: str, plain: bytes) -> bytes:
    packer = zlib.compressobj(wbits=CODINGS[coding])
    return packer.compress(plain) + packer.flush(zlib.Z_SYNC_FLUSH)


EVENTS = b"".join(event(chunk(word)) for word in WORDS)


@pytest.mark.parametrize("framing", ["length", "chunked", "eof"])
@pytest.mark.parametrize("coding", CODINGS)
def test_chunks_before_a_break_are_handed_out(make_client: MakeClient, coding: str, framing: str) -> None:
    """The break comes in the same read as they do."""
    data = packed(coding, EVENTS) + b"\xff" * 10

    def answer(peer: Peer) -> None:
        headers = EVENT_STREAM | {"content-encoding": coding}
        if framing == "chunked":
            peer.begin_stream(headers)
            peer.send_part(data)
        else:
            peer.send_head(200, headers | ({"content-length": str(len(data))} if framing == "length" else {}))
            peer.send(data)
        if framing == "eof":
            peer.socket.close()

    with Server(respond_sequentially(answer)) as server:
        texts, failure = drain(make_client(server).chat_completion_stream(REQUEST))
    assert texts == WORDS
    assert str(failure) == BROKEN
    assert failure is not None
    assert failure.partial is not None
    assert failure.partial.text == "".join(WORDS)
    assert failure.chunks_received == len(WORDS)


@pytest.mark.parametrize("coding", CODINGS)
def test_chunks_before_a_lost_connection_are_handed_out(make_client: MakeClient, coding: str) -> None:
    data = packed(coding, EVENTS)

    def answer(peer: Peer) -> None:
        peer.begin_stream({"content-encoding": coding})
        peer.send_part(data)
        peer.socket.close()

    with Server(respond_sequentially(answer)) as server:
        texts, failure = drain(make_client(server).chat_completion_stream(REQUEST))
    assert texts == WORDS
    assert str(failure) == "the connection was closed before the end of the response"


@pytest.mark.parametrize("coding", CODINGS)
def test_a_break_behind_the_end_of_the_answer_does_not_matter(make_client: MakeClient, coding: str) -> None:
    end = event(chunk(finish="stop")) + DONE
    data = packed(coding, EVENTS + end) + b"\xff" * 10

    def answer(peer: Peer) -> None:
        peer.answer(200, data, EVENT_STREAM | {"content-encoding": coding})

    with Server(respond_sequentially(answer)) as server:
        texts, failure = drain(make_client(server).chat_completion_stream(REQUEST))
    assert texts == [*WORDS, ""]
    assert failure is None
