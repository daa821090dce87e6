"""A tool call and a value are returned only when the stream is complete; with both clients."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from firsttoken import STOP, ChatCompletionRequest, chat_completion_request
from firsttoken.errors import APIConnectionError, ConfigurationError, StreamTruncatedError
from firsttoken.types import ChatCompletion
from tests.support.clients import REQUEST, MakeClient
from tests.support.server import Peer, Server, chunk, completion, respond_sequentially

ARGUMENTS = '{"city": "Rome"}'
NOT_WHOLE = "the answer is not complete, so its tool calls may be cut: "


@dataclass
class City:
    name: str


CITY = chat_completion_request("test-model", "Which city?", response_format=City)


def call(arguments: str, **fields: Any) -> dict[str, Any]:
    """A chunk with a piece of a tool call."""
    delta = {"tool_calls": [{"index": 0, "function": {"arguments": arguments}} | fields]}
    return chunk() | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


FIRST = call("", id="call_1", type="function", function={"name": "get_weather", "arguments": ""})


def begin_call(peer: Peer, arguments: str = ARGUMENTS) -> None:
    peer.begin_stream()
    peer.send_event(FIRST)
    for piece in arguments:
        peer.send_event(call(piece))


def whole(peer: Peer) -> None:
    begin_call(peer)
    peer.send_event(chunk(finish="tool_calls"))
    peer.end_stream()


def done_without_finish(peer: Peer) -> None:
    begin_call(peer)
    peer.end_stream()


def whole_without_done(peer: Peer) -> None:
    begin_call(peer)
    peer.send_event(chunk(finish="tool_calls"))
    peer.end_stream(done=False)


def cut(peer: Peer) -> None:
    begin_call(peer)
    peer.send(b"0\r\n\r\n")


def cut_behind_its_finish(peer: Peer) -> None:
    """Choice 0 has finished, choice 1 has not."""
    begin_call(peer)
    peer.send_event(chunk(finish="tool_calls"))
    peer.send_event(chunk() | {"choices": [{"index": 1, "delta": {"content": "a"}, "finish_reason": None}]})
    peer.send(b"0\r\n\r\n")


def reset(peer: Peer) -> None:
    begin_call(peer)
    peer.socket.close()


@pytest.mark.parametrize("answer", [whole, whole_without_done])
def test_the_calls_of_a_complete_stream(make_client: MakeClient, answer: Callable[[Peer], None]) -> None:
    with Server(respond_sequentially(answer, answer)) as server:
        client = make_client(server)
        final = client.chat_completion_stream(REQUEST).final_completion()
        called_back = client.chat_completion_stream(REQUEST, lambda _: None)
    for found in (final, called_back):
        assert found.complete is True
        assert [(it.id, it.name, it.parse()) for it in found.tool_calls] == [
            ("call_1", "get_weather", {"city": "Rome"})
        ]


def test_the_calls_of_a_blocking_answer(make_client: MakeClient) -> None:
    wire = completion()
    wire["choices"][0]["message"] |= {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}
    with Server(respond_sequentially(lambda peer: peer.answer_json(200, wire))) as server:
        found = make_client(server).chat_completion(REQUEST)
    assert found.complete is True
    assert [it.parse() for it in found.tool_calls] == [{}]


def check_kept_back(found: ChatCompletion, why: str) -> None:
    with pytest.raises(StreamTruncatedError) as caught:
        _ = found.tool_calls
    assert str(caught.value).startswith(NOT_WHOLE + why)
    calls = found.choices[0].message.tool_calls
    assert calls is not None
    assert ARGUMENTS.startswith(calls[0].arguments)


@pytest.mark.parametrize("answer", [cut, done_without_finish, cut_behind_its_finish, reset])
def test_the_calls_of_a_stream_that_failed_are_kept_back(
    make_client: MakeClient, answer: Callable[[Peer], None]
) -> None:
    with Server(respond_sequentially(answer)) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        with pytest.raises((StreamTruncatedError, APIConnectionError)) as caught:
            stream.final_completion()
        partial = caught.value.partial
        assert partial is not None
        for found in (partial, stream.completion, pickle.loads(pickle.dumps(caught.value)).partial):
            assert found.complete is False
            check_kept_back(found, "the stream was stopped or broke off before its end")


def test_the_calls_of_a_stream_that_was_left_are_kept_back(make_client: MakeClient) -> None:
    with Server(respond_sequentially(whole, whole)) as server:
        client = make_client(server)
        stream = client.chat_completion_stream(REQUEST)
        assert (stream.completion.complete, stream.completion.tool_calls) == (False, [])
        with stream:
            for count, _ in enumerate(stream, 1):
                if count == len(ARGUMENTS) + 1:
                    check_kept_back(stream.completion, "the stream was stopped")
                    break
        seen: list[object] = []

        def stop(it: object) -> Any:
            seen.append(it)
            return STOP if len(seen) == 3 else None

        stopped = client.chat_completion_stream(REQUEST, stop)
    check_kept_back(stream.completion, "the stream was stopped")
    check_kept_back(stopped, "the stream was stopped")


def test_a_completion_knows_the_type_that_was_asked_for(make_client: MakeClient) -> None:
    text = '{"name": "Rome"}'
    with Server(
        respond_sequentially(lambda peer: peer.answer_json(200, completion(text)), lambda peer: peer.stream(*text))
    ) as server:
        client = make_client(server)
        blocking = client.chat_completion(CITY)
        streamed = client.chat_completion_stream(CITY).final_completion()
    for found in (blocking, streamed, pickle.loads(pickle.dumps(streamed))):
        assert found.parse() == found.parse(City) == City("Rome")
    assert [request.json["response_format"]["json_schema"]["name"] for request in server.requests] == ["City"] * 2


@pytest.mark.parametrize("request_", [chat_completion_request("m", "Hi", response_format=int)])
def test_a_type_that_can_not_be_asked_for_is_refused_before_anything_is_sent(
    make_client: MakeClient, request_: ChatCompletionRequest
) -> None:
    client = make_client("http://127.0.0.1:1/v1")
    for ask in (client.chat_completion, client.chat_completion_stream):
        with pytest.raises(ConfigurationError, match="an answer must be a JSON object"):
            ask(request_)
