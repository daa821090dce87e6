"""`client.models()`: the ids that a server lists."""

import pytest

from firsttoken.errors import (
    APIStatusError,
    AuthenticationError,
    ChatCompletionError,
    NotFoundError,
    ResponseFormatError,
)
from tests.support.clients import KEY, REQUEST, MakeClient
from tests.support.errors import message_of
from tests.support.server import Server, completion, respond_sequentially


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        ({"object": "list", "data": [{"id": "zeta", "object": "model"}, {"id": "alpha"}]}, ["zeta", "alpha"]),
        ([{"id": "together/one", "type": "chat"}], ["together/one"]),
        ({"data": []}, []),
        ([], []),
        ({"data": [{"id": "a"}, {"name": "no id"}, {"id": None}, {"id": 7}, "text"]}, ["a", "7"]),
    ],
)
def test_the_ids_come_in_the_order_of_the_server(make_client: MakeClient, body: object, ids: list[str]) -> None:
    with Server(respond_sequentially(lambda peer: peer.answer_json(200, body))) as server:
        assert make_client(server).models() == ids
        (request,) = server.requests
    assert request.line == "GET /v1/models HTTP/1.1"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert not {"content-type", "content-length"} & set(request.headers)


def test_a_call_follows_over_the_same_connection(make_client: MakeClient) -> None:
    answers = respond_sequentially(
        lambda peer: peer.answer_json(200, {"data": [{"id": "m"}]}),
        lambda peer: peer.answer_json(200, completion("Hi")),
    )
    with Server(answers) as server:
        client = make_client(server)
        assert client.models(headers={"x-mine": "1"}) == ["m"]
        assert client.chat_completion(REQUEST).text == "Hi"
        first, second = server.requests
    assert first.headers["x-mine"] == "1"
    assert second.line == "POST /v1/chat/completions HTTP/1.1"
    assert server.connections == 1


def test_an_attempt_that_failed_is_repeated(make_client: MakeClient) -> None:
    answers = respond_sequentially(
        lambda peer: peer.answer(503, b"", {"retry-after": "0"}),
        lambda peer: peer.answer_json(200, {"data": [{"id": "m"}]}),
    )
    with Server(answers) as server:
        assert make_client(server).models(max_retries=1) == ["m"]


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, b'{"error": {"message": "no"}}', AuthenticationError, "the server answered 401 Unauthorized: no"),
        (404, b"", NotFoundError, "404 Not Found to GET http://127.0.0.1:"),
        (200, b'{"error": {"message": "broken"}}', APIStatusError, "error response with status 200: broken"),
        (200, b"<html>", ResponseFormatError, "expected a list of models, got status 200 with text/html: '<html>'"),
        (200, b'{"models": 1}', ResponseFormatError, "expected a list of models, got status 200"),
        (200, b"", ResponseFormatError, "expected a list of models, got status 200 with an empty body"),
    ],
)
def test_another_answer_is_an_error(
    make_client: MakeClient, status: int, body: bytes, kind: type[ChatCompletionError], words: str
) -> None:
    answers = respond_sequentially(lambda peer: peer.answer(status, body, {"content-type": "text/html"}))
    with Server(answers) as server, pytest.raises(kind) as caught:
        make_client(server).models()
    assert words in message_of(caught.value)
    assert caught.value.attempts == 1
