"""`reasoning_tags`: reasoning that a model writes into the content, on every client and in every style."""

import json
from typing import Any

import pytest

from firsttoken import Timeout
from firsttoken.errors import ConfigurationError, StreamTruncatedError
from firsttoken.events import ReasoningEvent, TextEvent
from tests.support.clients import REQUEST, MakeClient
from tests.support.server import Peer, Server, completion, respond_sequentially

TAGS = ("<think>", "</think>")
JSON = {"content-type": "application/json"}


def think(peer: Peer) -> None:
    peer.stream("<thi", "nk>H", "m.</thin", "k>H", "i")


def whole(peer: Peer) -> None:
    peer.answer(200, json.dumps(completion("<think>Hm.</think>Hi")).encode(), JSON)


def texts(answer: Any) -> tuple[str | None, str | None]:
    return answer.message.content, answer.message.reasoning_content


def test_a_stream_in_every_style(make_client: MakeClient) -> None:
    with Server(respond_sequentially(think, think, think, whole)) as server:
        client = make_client(server, reasoning_tags=TAGS)
        stream = client.chat_completion_stream(REQUEST)
        assert "".join(stream.iter_text()) == "Hi"
        assert texts(stream.completion) == ("Hi", "Hm.")
        pieces: list[str] = []
        answer = client.chat_completion_stream(REQUEST, lambda chunk: pieces.append(chunk.text))
        assert ("".join(pieces), texts(answer)) == ("Hi", ("Hi", "Hm."))
        events = list(client.chat_completion_stream(REQUEST).iter_events())
        assert "".join(event.delta for event in events if isinstance(event, TextEvent)) == "Hi"
        assert "".join(event.delta for event in events if isinstance(event, ReasoningEvent)) == "Hm."
        assert texts(client.chat_completion_stream(REQUEST).final_completion()) == ("Hi", "Hm.")


def test_a_blocking_answer(make_client: MakeClient) -> None:
    with Server(respond_sequentially(whole, whole)) as server:
        answer = make_client(server, reasoning_tags=TAGS).chat_completion(REQUEST)
        assert texts(answer) == ("Hi", "Hm.")
        assert texts(type(answer).from_dict(answer.to_dict())) == ("Hi", "Hm.")
        assert make_client(server).chat_completion(REQUEST).text == "<think>Hm.</think>Hi"


@pytest.mark.parametrize("how", ["ends", "falls silent"])
def test_a_tag_that_is_cut_with_the_stream_is_in_the_partial(make_client: MakeClient, how: str) -> None:
    def cut(peer: Peer) -> None:
        peer.begin_stream()
        peer.send_event({"choices": [{"index": 0, "delta": {"content": "Hi <th"}}]})
        if how == "ends":
            peer.socket.close()
        else:
            peer.wait_for_disconnect()

    with Server(respond_sequentially(cut)) as server:
        client = make_client(server, reasoning_tags=TAGS, timeout=Timeout(idle_s=0.2))
        with pytest.raises((StreamTruncatedError, TimeoutError)) as caught:
            client.chat_completion_stream(REQUEST).final_completion()
        partial = getattr(caught.value, "partial")  # noqa: B009
        assert partial.text == "Hi <th"


@pytest.mark.parametrize("tags", ["<think>", ("<think>",), ("<think>", "<think>"), ("<think>", " "), ("", "x"), 5])
def test_tags_that_can_not_be_told_apart_are_refused(make_client: MakeClient, tags: Any) -> None:
    with pytest.raises(ConfigurationError, match="reasoning_tags must be two different texts, not ") as caught:
        make_client("http://127.0.0.1:9/v1", reasoning_tags=tags)
    assert caught.value.hint == 'as in reasoning_tags=("<think>", "</think>")'
