"""A function in place of a key: when it is called, where its token goes, and what it may do."""

import itertools
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

from firsttoken import Timeout
from firsttoken.errors import APITimeoutError, AuthenticationError, ConfigurationError
from tests.support.clients import KEY, REQUEST, MakeClient, drain, failure_of
from tests.support.server import Peer, Server, completion, respond_sequentially


def answer(peer: Peer) -> None:
    peer.answer_json(200, completion())


def hello(peer: Peer) -> None:
    peer.stream("Hello")


def busy(peer: Peer) -> None:
    peer.answer_json(429, {"error": {"message": "later"}}, {"retry-after-ms": "1"})


class Tokens:
    """A provider of ever new tokens."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def __call__(self) -> str:
        self.given.append(f"token-number-{len(self.given)}")
        return self.given[-1]


def bearers(server: Server) -> list[str]:
    return [request.headers["authorization"].removeprefix("Bearer ") for request in server.requests]


def test_each_attempt_asks_for_a_token(make_client: MakeClient) -> None:
    tokens = Tokens()
    with Server(respond_sequentially(busy, answer, hello)) as server:
        client = make_client(server, api_key=tokens, max_retries=1)
        assert client.chat_completion(REQUEST).text == "Hello"
        assert drain(client.chat_completion_stream(REQUEST)) == (["Hello", ""], None)
    assert bearers(server) == tokens.given == ["token-number-0", "token-number-1", "token-number-2"]


def test_a_stream_asks_when_it_is_sent(make_client: MakeClient) -> None:
    tokens = Tokens()
    with Server(respond_sequentially(hello)) as server:
        stream = make_client(server, api_key=tokens).chat_completion_stream(REQUEST)
        assert tokens.given == []
        with stream:
            assert tokens.given == ["token-number-0"]


@pytest.mark.parametrize("where", ["default_headers", "headers"])
def test_an_explicit_header_goes_before_it(make_client: MakeClient, where: str) -> None:
    tokens, header = Tokens(), {"Authorization": "Basic abcdefgh"}
    with Server(respond_sequentially(answer)) as server:
        if where == "headers":
            make_client(server, api_key=tokens).chat_completion(REQUEST, headers=header)
        else:
            make_client(server, api_key=tokens, default_headers=header).chat_completion(REQUEST)
    assert server.requests[0].headers["authorization"] == "Basic abcdefgh"
    assert tokens.given == []


def test_its_token_is_in_no_error(make_client: MakeClient) -> None:
    def refuse(peer: Peer) -> None:
        peer.answer_json(401, {"error": {"message": f"what is {server.requests[-1].headers['authorization']}?"}})

    with Server(respond_sequentially(refuse)) as server:
        failure = failure_of(make_client(server, api_key=Tokens()).chat_completion_stream(REQUEST))
    assert isinstance(failure, AuthenticationError)
    assert "what is Bearer [redacted]?" in str(failure)
    assert b"token-number" not in pickle.dumps(failure)
    assert "token-number" not in repr(vars(failure))


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
def test_one_that_has_run_out_does_not_end_the_loop(make_client: MakeClient, kind: type[Exception]) -> None:
    def provider() -> str:
        raise kind

    stream = make_client("http://127.0.0.1:1/v1", api_key=provider).chat_completion_stream(REQUEST)
    with pytest.raises(RuntimeError, match=f"^the token provider raised {kind.__name__}$"):
        drain(stream)
    assert stream.state == "stopped"


def test_what_it_raises_is_left_as_it_is(make_client: MakeClient) -> None:
    class OwnError(Exception):
        pass

    def provider() -> str:
        raise OwnError("no luck")

    with Server(respond_sequentially(answer)) as server:
        client = make_client(server, api_key=provider, max_retries=2)
        with pytest.raises(OwnError, match="no luck"):
            client.chat_completion(REQUEST)
        stream = client.chat_completion_stream(REQUEST)
        with pytest.raises(OwnError, match="no luck"):
            next(stream)
        assert stream.state == "stopped"
    assert server.connections == 0


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (None, "the token provider must return a str, not NoneType"),
        ("", "the token provider must return a str, not an empty one"),
        (
            "two\nlines",
            "the value of the token has a line break, leading or trailing whitespace, or a character outside",
        ),
    ],
)
def test_what_is_no_token(make_client: MakeClient, token: Any, words: str) -> None:
    with Server(respond_sequentially(answer)) as server:
        stream = make_client(server, api_key=lambda: token).chat_completion_stream(REQUEST)
        with pytest.raises(ConfigurationError) as caught:
            next(stream)
        assert str(caught.value).startswith(words)
        assert stream.state == "failed"
    assert server.connections == 0


def test_a_token_that_comes_too_late_is_not_sent(make_client: MakeClient) -> None:
    def provider() -> str:
        late.wait(0.05)
        return KEY

    late = threading.Event()
    with Server(respond_sequentially(answer)) as server:
        client = make_client(server, api_key=provider, timeout=Timeout(total_s=0.01), max_retries=2)
        with pytest.raises(APITimeoutError) as caught:
            client.chat_completion(REQUEST)
        assert str(caught.value) == "timed out after 0.01 s (total_s) waiting for the token provider"
        assert caught.value.phase == "total"
    assert server.connections == 0


def test_it_may_use_the_client_that_it_is_of(make_client: MakeClient) -> None:
    """No lock is held while it runs, or this would stand still."""
    entered: list[Callable[[], object]] = []

    def provider() -> str:
        stream = entered.pop() if entered else None
        if stream is not None:
            stream()
        return KEY

    with Server(respond_sequentially(hello, hello)) as server:
        stream = make_client(server, api_key=provider).chat_completion_stream(REQUEST)
        entered.append(lambda: stream.completion)
        assert drain(stream)[0] == ["Hello", ""]


def test_a_lost_connection_is_replaced_with_a_token_of_its_own(make_client: MakeClient) -> None:
    turn = itertools.count()

    def serve(peer: Peer) -> None:
        while peer.read_request() is not None:
            if next(turn) == 0:
                return  # closed without an answer
            answer(peer)

    tokens = Tokens()
    with Server(serve) as server:
        client = make_client(server, api_key=tokens, max_retries=1)
        client.chat_completion(REQUEST)
        client.chat_completion(REQUEST)
    assert bearers(server) == tokens.given == ["token-number-0", "token-number-1", "token-number-2"]
