"""What the text of a stream is where a server cuts it in unusual ways: nothing is lost, nothing is cut in two."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from firsttoken.errors import StreamTruncatedError
from firsttoken.events import TextEvent, ToolCallArgumentsEvent
from firsttoken.sansio import Accumulator
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


MANY = 4200
"""More pieces than there may be choices or calls."""


def numbered_piece(number: int) -> bytes:
    call = {"index": number, "id": "a", "function": {"name": "f", "arguments": "x"}}
    return event(chunk(choices=[{"index": number, "delta": {"content": "x", "tool_calls": [call]}}]))


def test_any_number_of_pieces_may_be_numbered(make_client: MakeClient) -> None:
    end = event(chunk(choices=[{"index": MANY, "delta": {}, "finish_reason": "stop"}]))
    with server_of(*[[*map(numbered_piece, range(MANY)), end + DONE]] * 2) as server:
        client = make_client(server)
        events = client.chat_completion_stream(REQUEST).iter_events()
        deltas = [found.delta for found in events if isinstance(found, TextEvent | ToolCallArgumentsEvent)]
        seen: list[str] = []
        completion = client.chat_completion_stream(REQUEST, lambda piece: seen.append(piece.text))
    assert (len(completion.choices), completion.finish_reason) == (1, "stop")
    assert completion.text == completion.tool_calls[0].arguments == "".join(seen) == "x" * MANY
    assert "".join(deltas) == "x" * MANY * 2


FIELDS: dict[str, Callable[[str], dict[str, object]]] = {
    "content": lambda text: {"content": text},
    "reasoning_content": lambda text: {"reasoning_content": text},
    "reasoning": lambda text: {"reasoning": text},
    "refusal": lambda text: {"refusal": text},
    "arguments": lambda text: {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": text}}]},
    "input": lambda text: {"tool_calls": [{"index": 0, "custom": {"name": "f", "input": text}}]},
}


def pieces_of(field: str, *texts: str, finish: bool = True) -> list[bytes]:
    values = [chunk(choices=[{"index": 0, "delta": FIELDS[field](text)}]) for text in texts]
    if finish:
        values.append(chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    return [b"data: " + json.dumps(value).encode() + b"\n\n" for value in values]


def text_of(message: Any) -> str:
    calls = message.tool_calls
    return (calls[0].arguments if calls else "") or message.refusal or message.reasoning_text or message.content


@pytest.mark.parametrize("field", FIELDS)
def test_no_chunk_and_no_event_has_half_a_character(make_client: MakeClient, field: str) -> None:
    texts = ("a" + HIGH, "", LOW + "b" + HIGH, LOW)
    with server_of(*[[*pieces_of(field, *texts), DONE]] * 3) as server:
        client = make_client(server)
        stream = client.chat_completion_stream(REQUEST)
        whole = Accumulator()
        for piece in stream:
            repr(piece).encode()
            whole.add(piece)
        assert text_of(stream.completion.message) == text_of(whole.completion.message) == f"a{EMOJI}b{EMOJI}"
        events: list[Any] = [*client.chat_completion_stream(REQUEST).iter_events()]
        growing = [found for found in events if hasattr(found, "snapshot")]
        assert [found.delta for found in growing] == ["a", EMOJI + "b", EMOJI]
        assert growing[-1].snapshot == f"a{EMOJI}b{EMOJI}"
        seen: list[str] = []
        client.chat_completion_stream(REQUEST, lambda piece: seen.append(piece.text))
        assert "".join(seen) == (f"a{EMOJI}b{EMOJI}" if field == "content" else "")


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("finish", [True, False])
def test_a_half_without_the_other_is_kept(make_client: MakeClient, field: str, finish: bool) -> None:
    with server_of([*pieces_of(field, "a", HIGH, finish=finish), *[DONE] * finish]) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        with nullcontext() if finish else pytest.raises(StreamTruncatedError):
            list(stream)
        assert text_of(stream.completion.message) == "a" + HIGH
        assert stream.timing.chunks == 3
