"""However the bytes of a response are cut on the wire, the result is the same."""

import random

import pytest

from tests.support.clients import REQUEST, MakeClient, drain
from tests.support.server import DONE, Peer, Server, chunk, event

EVENTS = [
    b"\xef\xbb\xbf: hello\r\n\r\n",
    event(chunk("Grüße 🌍\u2028", role="x")),
    b"event: message\r\nid: 7\r\ndata: " + event(chunk(" two"))[6:-2] + b"\r\n\r\n",
    b'data: {"choices": [{"index": 0, "delta":\ndata: {"content": " lines"}}]}\n\n',
    event(chunk(finish="stop")),
    DONE,
]
BODY = b"".join(EVENTS)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
RESPONSES = {
    "length": HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY,
    "chunked": b"HTTP/1.1 103 Early Hints\r\n\r\n"
    + HEAD
    + b"transfer-encoding: chunked\r\n\r\n"
    + b"".join(b"%x\r\n%s\r\n" % (len(BODY[at : at + 37]), BODY[at : at + 37]) for at in range(0, len(BODY), 37))
    + b"0\r\n\r\n",
    "error": HEAD + b"\r\n" + BODY[:-120] + event({"error": {"message": "boom", "code": 500}}),
}


@pytest.mark.parametrize("kind", RESPONSES)
def test_any_cut_gives_the_same(make_client: MakeClient, kind: str) -> None:
    response = RESPONSES[kind]
    cuts: list[list[int]] = [[], list(range(len(response)))]
    rng = random.Random(kind)
    cuts += [sorted(rng.sample(range(len(response)), rng.randint(1, 12))) for _ in range(60)]
    turn = iter(cuts)

    def serve(peer: Peer) -> None:
        while peer.read_request() is not None:
            at = 0
            for cut in [*next(turn), len(response)]:
                peer.send(response[at:cut])
                at = cut
            if kind == "error":
                return

    with Server(serve) as server:
        client = make_client(server)
        results: set[tuple[str, ...]] = set()
        for _ in cuts:
            stream = client.chat_completion_stream(REQUEST)
            texts, failure = drain(stream)
            results.add((*texts, str(failure), stream.state, repr(stream.completion.choices)))
    assert len(results) == 1
    expected = ("Grüße 🌍\u2028", " two", " lines")
    assert results.pop()[:3] == expected
    assert server.connections == (len(cuts) if kind == "error" else 1)
