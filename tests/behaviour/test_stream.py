"""The stream that a caller holds: its styles, its views, and its end."""

import threading
from typing import Any

import pytest

from firsttoken import STOP, ChatCompletionChunk, chat_completion_request
from firsttoken.errors import InternalServerError, StreamTruncatedError
from firsttoken.events import TextEvent
from tests.support.clients import OVER_SOCKETS, REQUEST, MakeClient, drain
from tests.support.collector import without_gc
from tests.support.server import Peer, Server, chunk, completion, endless, hello, refuse, respond_sequentially

pytestmark = OVER_SOCKETS


def test_the_three_styles_agree(make_client: MakeClient) -> None:
    with Server(respond_sequentially(lambda peer: peer.answer_json(200, completion()), *[hello] * 5)) as server:
        client = make_client(server)
        whole = client.chat_completion(REQUEST)
        texts = [chunk.text for chunk in client.chat_completion_stream(REQUEST)]
        with client.chat_completion_stream(REQUEST) as stream:
            parts = list(stream.iter_text())
        seen: list[str] = []
        called_back = client.chat_completion_stream(REQUEST, lambda chunk: seen.append(chunk.text))
        final = client.chat_completion_stream(REQUEST).final_completion()
    assert whole.text == "Hello"
    assert texts == seen == ["Hel", "", "lo", ""]
    assert parts == ["Hel", "lo"]
    assert called_back == final == stream.completion
    assert final.text == "Hello"
    assert final.choices[0].finish_reason == whole.choices[0].finish_reason == "stop"
    assert final.choices[0].message.content == whole.choices[0].message.content
    bodies = [request.json for request in server.requests]
    assert "stream" not in bodies[0]
    assert all(body["stream"] is True and body["stream_options"] == {"include_usage": True} for body in bodies[1:5])


def test_the_request_is_never_changed(make_client: MakeClient) -> None:
    request = chat_completion_request("m", [{"role": "user", "content": "Hi"}], stream=False, extra={"top_k": 1})
    before = repr(request)
    with Server(respond_sequentially(hello)) as server:
        assert make_client(server).chat_completion_stream(request).final_completion().text == "Hello"
        assert server.requests[0].json["stream"] is True
        assert server.requests[0].json["top_k"] == 1
    assert repr(request) == before


def test_it_is_lazy(make_client: MakeClient) -> None:
    with Server(respond_sequentially(hello)) as server:
        client = make_client(server)
        stream = client.chat_completion_stream(REQUEST)
        assert iter(stream) is stream
        texts = stream.iter_text()
        assert stream.state == "idle"
        assert stream.response is None
        assert stream.timing.chunks == 0
        assert stream.timing.duration_s is None
        assert stream.completion.choices == []
        assert repr(stream).endswith("ChatCompletionStream idle, 0 chunks>")
        assert client.chat_completion_stream(REQUEST, lambda _: STOP).choices[0].message.content == "Hel"
        assert len(server.requests) == 1  # the callback's
        del texts


def test_with_returns_once_the_head_is_there(make_client: MakeClient) -> None:
    go_on = threading.Event()

    def answer(peer: Peer) -> None:
        peer.begin_stream({"x-request-id": "req_1", "X-Thing": "Some"})
        assert go_on.wait(10)
        peer.send_event(chunk("Hello", finish="stop"))
        peer.end_stream()

    with Server(respond_sequentially(answer)) as server, make_client(server).chat_completion_stream(REQUEST) as stream:
        assert stream.state == "open"
        assert stream.response is not None
        assert (stream.response.status, stream.response.request_id) == (200, "req_1")
        assert stream.response.headers["x-thing"] == "Some"
        assert stream.timing.time_to_headers_s is not None
        assert stream.timing.time_to_first_chunk_s is None
        assert stream.completion.choices == []
        with stream as again:
            assert again is stream
            go_on.set()
            assert drain(stream) == (["Hello"], None)


def test_the_views_move_with_the_reader(make_client: MakeClient) -> None:
    def answer(peer: Peer) -> None:
        peer.begin_stream({"x-request-id": "req_1"})
        peer.send_event(chunk() | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
        for text in ("Hel", "lo"):
            peer.send_event(chunk(text))
        peer.send_event(chunk(finish="stop"))
        peer.end_stream()

    with Server(respond_sequentially(answer)) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        seen: list[str | None] = []
        for position, _ in enumerate(stream, 1):
            seen.append(stream.completion.text)
            assert stream.state == "open"
            assert stream.timing.chunks == position
            assert stream.timing.duration_s is None
        timing = stream.timing
    assert seen == ["", "Hel", "Hello", "Hello"]
    assert stream.state == "complete"
    assert timing.time_to_headers_s is not None
    assert timing.time_to_first_chunk_s is not None
    assert timing.time_to_first_token_s is not None
    assert timing.duration_s is not None
    assert (
        0
        < timing.time_to_headers_s
        <= timing.time_to_first_chunk_s
        <= timing.time_to_first_token_s
        <= timing.duration_s
    )
    assert stream.timing == timing
    final = stream.final_completion()
    assert final.timing == timing
    assert final.response == stream.response
    assert next(stream, None) is None
    stream.close()
    assert stream.state == "complete"
    assert repr(stream).endswith("ChatCompletionStream complete, 4 chunks>")


def test_the_blocking_call_has_a_response_and_a_timing(make_client: MakeClient) -> None:
    with Server(
        respond_sequentially(lambda peer: peer.answer_json(200, completion(), {"x-request-id": "req_1"}))
    ) as server:
        answer = make_client(server).chat_completion(REQUEST)
    assert answer.response is not None
    assert answer.response.request_id == "req_1"
    assert answer.timing is not None
    assert answer.timing.time_to_headers_s is not None
    assert answer.timing.duration_s is not None
    assert answer.timing.time_to_headers_s <= answer.timing.duration_s


# --- ends -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "first"),
    [("__iter__", "Hel"), ("iter_text", "Hel"), ("iter_events", TextEvent(choice_index=0, delta="Hel"))],
)
def test_break_closes_the_connection_at_once(make_client: MakeClient, view: str, first: object) -> None:
    with Server(respond_sequentially(endless)) as server, without_gc():
        for item in getattr(make_client(server).chat_completion_stream(REQUEST), view)():
            assert getattr(item, "text", item) == first
            break
        assert server.was_left()


def test_leaving_the_with_stops_it(make_client: MakeClient) -> None:
    with Server(respond_sequentially(endless)) as server:
        with make_client(server).chat_completion_stream(REQUEST) as stream:
            assert next(stream).text == "Hel"
        assert server.was_left()
    assert stream.state == "stopped"
    assert next(stream, None) is None
    assert stream.completion.text == "Hel"
    assert stream.timing.chunks == 1
    assert stream.timing.duration_s is not None
    with pytest.raises(StreamTruncatedError) as caught:
        stream.final_completion()
    assert str(caught.value) == "the stream was stopped after 1 chunk, before the answer was complete"
    assert caught.value.partial == stream.completion
    assert caught.value.chunks_received == 1
    assert caught.value.request_id == "req_1"


def test_an_idle_stream_that_is_closed_sends_nothing(make_client: MakeClient) -> None:
    with Server(respond_sequentially()) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        stream.close()
        stream.close()
        assert stream.state == "stopped"
        with stream as entered:
            assert drain(entered) == ([], None)
        with pytest.raises(StreamTruncatedError, match="stopped after 0 chunks") as caught:
            stream.final_completion()
    assert caught.value.partial is None
    assert caught.value.request_id is None
    assert server.connections == 0


def test_closing_behind_the_last_chunk_is_complete(make_client: MakeClient) -> None:
    with (
        Server(respond_sequentially(lambda peer: peer.answer_json(200, completion()))) as server,
        make_client(server).chat_completion_stream(REQUEST) as stream,
    ):
        assert next(stream).text == "Hello"
    assert stream.state == "complete"
    assert stream.final_completion().text == "Hello"


def test_stop_ends_it_early(make_client: MakeClient) -> None:
    seen: list[str] = []

    def on_chunk(part: ChatCompletionChunk) -> Any:
        seen.append(part.text)
        return STOP if part.text == "lo" else None

    with Server(respond_sequentially(endless)) as server:
        answer = make_client(server).chat_completion_stream(REQUEST, on_chunk)
        assert server.was_left()
    assert seen == ["Hel", "lo"]
    assert answer.text == "Hello"
    assert answer.choices[0].finish_reason is None
    assert answer.timing is not None
    assert answer.timing.chunks == 2
    assert repr(STOP) == "STOP"


def test_what_a_callback_raises_propagates_after_the_end(make_client: MakeClient) -> None:
    def on_chunk(part: ChatCompletionChunk) -> None:
        raise KeyError(part.text)

    with Server(respond_sequentially(endless)) as server:
        with pytest.raises(KeyError, match="Hel"):
            make_client(server).chat_completion_stream(REQUEST, on_chunk)
        assert server.was_left()


def test_a_failure_raises_once_and_the_loop_stays_ended(make_client: MakeClient) -> None:
    with Server(respond_sequentially(refuse)) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        with pytest.raises(InternalServerError), stream:
            pytest.fail("a refused stream is not entered")
        assert stream.state == "failed"
        assert drain(stream) == ([], None)
        stream.close()
        assert stream.state == "failed"
        with pytest.raises(InternalServerError, match="500 Internal Server Error: no"):
            stream.final_completion()
