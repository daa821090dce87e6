"""What the text of a stream is where a server cuts it in unusual ways: nothing is lost, nothing is cut in two."""

import json
from collections.abc import Callable

import pytest

from firsttoken.errors import StreamTruncatedError
from firsttoken.events import TextEvent
from tests.support.clients import REQUEST, MakeClient
from tests.support.server import Peer, Server, chunk, event, respond_sequentially

EMOJI = "\U0001f600"
HIGH, LOW = "\ud83d", "\ude00"
DONE = event("[DONE]")


def sent(*texts: str, finish: str | None = "stop") -> list[bytes]:
    """Events in ASCII: a half of a pair is an escape in JSON, and can't be anything else."""
    chunks = [chunk(text) for text in texts] + ([chunk("", finish=finish)] if finish else [])
    return [b"data: " + json.dumps(value).encode() + b"\n\n" for value in chunks]


def server_of(*streams: list[bytes]) -> Server:
    def answer_with(events: list[bytes]) -> Callable[[Peer], None]:
        def answer(peer: Peer) -> None:
            peer.begin_stream()
            for data in events:
                peer.send_part(data)
            peer.send(b"0\r\n\r\n")

        return answer

    return Server(respond_sequentially(*map(answer_with, streams)))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("a", HIGH, LOW, "b"), ["a", EMOJI, "b"]),
        (("a" + HIGH, "", LOW + "b", "c"), ["a", EMOJI + "b", "c"]),
        ((HIGH, LOW + HIGH, LOW), [EMOJI, EMOJI]),
        ((HIGH, "x", EMOJI), [HIGH + "x", EMOJI]),
        (("x", LOW), ["x", LOW]),
        (("x", HIGH), ["x", HIGH]),
    ],
)
def test_texts_join_the_halves_of_surrogate_pairs(
    make_client: MakeClient, texts: tuple[str, ...], expected: list[str]
) -> None:
    with server_of([*sent(*texts), DONE]) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        given = list(stream.iter_text())
    assert given == expected
    assert stream.completion.text == "".join(expected)


def test_a_half_that_is_held_back_comes_before_the_error(make_client: MakeClient) -> None:
    with server_of(sent("a" + HIGH, finish=None)) as server:
        texts = make_client(server).chat_completion_stream(REQUEST).iter_text()
        assert [next(texts), next(texts)] == ["a", HIGH]
        with pytest.raises(StreamTruncatedError):
            next(texts)
        assert list(texts) == []


def test_pieces_that_are_numbered_are_all_shown(make_client: MakeClient) -> None:
    def numbered() -> list[bytes]:
        chunks = [chunk("The"), chunk(" sky"), chunk(" is", finish="stop")]
        for number, value in enumerate(chunks):
            value["choices"][0]["index"] = number
        return [*map(event, chunks), DONE]

    with server_of(*[numbered()] * 4) as server:
        client = make_client(server)
        assert list(client.chat_completion_stream(REQUEST).iter_text()) == ["The", " sky", " is"]
        assert [chunk.text for chunk in client.chat_completion_stream(REQUEST)] == ["The", " sky", " is"]
        events = client.chat_completion_stream(REQUEST).iter_events()
        assert [found.snapshot for found in events if isinstance(found, TextEvent)] == ["The", "The sky", "The sky is"]
        assert client.chat_completion_stream(REQUEST).final_completion().text == "The sky is"
