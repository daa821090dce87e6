"""Nothing that a client keeps secret is shown: by errors and all they refer to, by pickles, by frames' variables."""

import copy
import logging
import pickle
import ssl
import traceback
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from firsttoken import AsyncClient, Client
from firsttoken.errors import (
    APIConnectionError,
    AuthenticationError,
    ChatCompletionError,
    ConfigurationError,
    StreamTruncatedError,
)
from firsttoken.testing import ScriptedServer
from firsttoken.types import Attempt, CallInfo, CallObserver, Observer
from tests.support.clients import KEY, REQUEST, MakeClient, drain
from tests.support.server import DONE, EVENT_STREAM, Peer, Server, chunk, event
from tests.support.sync_adapter import BlockingAsyncClient

PASSWORD = "correct-horse-battery"
BEGINNING = KEY[:8]


def linked(failure: BaseException) -> Iterator[BaseException]:
    """An error, its causes and its contexts."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [failure]
    while waiting:
        link = waiting.pop()
        if link is not None and link not in seen:
            seen.append(link)
            waiting += (link.__cause__, link.__context__)
    return iter(seen)


def variables(failure: BaseException) -> str:
    """What a crash reporter shows of the frames that are firsttoken's."""
    return "\n".join(
        f"{frame.f_code.co_qualname}: {frame.f_locals!r}"
        for link in linked(failure)
        for frame, _ in traceback.walk_tb(link.__traceback__)
        if frame.f_globals.get("__name__", "").startswith("firsttoken.")
    )


def everything(failure: BaseException) -> str:
    """What can be seen of an error without leaving it."""
    parts = [variables(failure)]
    for link in linked(failure):
        parts += [repr(link), str(link), repr(vars(link)), repr(getattr(link, "__notes__", None))]
        parts += [repr(getattr(link, name, None)) for name in ("doc", "object", "filename", "headers")]
    if isinstance(failure, ChatCompletionError):
        parts += [str(pickle.dumps(failure)), str(failure.partial and failure.partial.response)]
        parts.append(repr(dict(failure.headers)))
    return "\n".join(parts)


def echo(peer: Peer) -> None:
    """Repeat the key in a header, send half an answer, and leave."""
    peer.read_request()
    peer.send_head(
        200, EVENT_STREAM | {"x-echo": f"you sent {KEY}", "x-request-id": KEY, "set-cookie": "id=0123456789"}
    )
    peer.send(event(chunk("Hello")))


def test_the_headers_of_a_response_do_not_repeat_the_key(make_client: MakeClient) -> None:
    with Server(echo) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        texts, failure = drain(stream)
    assert (texts, type(failure)) == (["Hello"], StreamTruncatedError)
    assert failure is not None
    assert stream.response is not None
    assert stream.response.headers["x-echo"] == failure.headers["x-echo"] == "you sent [redacted]"
    assert failure.request_id == stream.response.request_id == "[redacted]"
    assert BEGINNING not in everything(failure)
    assert "0123456789" not in str(pickle.dumps(failure)) + repr(failure.partial)


@pytest.mark.parametrize(
    "body", [b"data: %s\n\n", b'data: {"%s\n\n', b'data: {"choices": 5, "a": "%s"}\n\n', b"data: \xff%s\n\n"]
)
def test_an_event_that_repeats_the_key_is_in_no_cause(make_client: MakeClient, body: bytes) -> None:
    def serve(peer: Peer) -> None:
        peer.read_request()
        peer.begin_stream()
        peer.send_part(body % KEY.encode() + DONE)

    with Server(serve) as server:
        _, failure = drain(make_client(server).chat_completion_stream(REQUEST))
    assert failure is not None
    assert BEGINNING not in everything(failure)


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "a key with a line break": {"api_key": f"{KEY}\n"},
    "an impossible URL": {"api_key": KEY, "base_url": "ftp://x"},
    "a user in the URL": {"base_url": f"http://me:{KEY}@x/v1"},
    "a key in the URL": {"base_url": f"http://x:0/v1?key={KEY}"},
    "a bad header": {"api_key": KEY, "default_headers": {"a b": "c"}},
    "a header with a line break": {"default_headers": {"x-key": f"{KEY}\n"}},
    "a bad timeout": {"api_key": KEY, "timeout": 5},
}


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_frames_of_a_refused_configuration_have_no_key(name: str, kind: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind(**{"base_url": "http://x/v1", **CONFIGURATIONS[name]})
    assert BEGINNING not in everything(caught.value)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_the_frames_of_a_refused_configuration_of_azure_have_no_key(kind: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind.azure("ftp://x", api_key=KEY)
    assert BEGINNING not in everything(caught.value)


@pytest.mark.parametrize("method", ["chat_completion", "chat_completion_stream", "models"])
def test_the_frames_of_a_refused_call_have_no_key(make_client: MakeClient, method: str) -> None:
    client = make_client("http://x/v1")
    with pytest.raises(ConfigurationError) as caught:
        list(getattr(client, method)(*(() if method == "models" else (REQUEST,)), headers={"x-key": f"{KEY}\n"}))
    assert BEGINNING not in everything(caught.value)


def test_the_frames_of_a_failed_call_have_none_of_its_headers(make_client: MakeClient) -> None:
    client = make_client("http://127.0.0.1:9/v1")
    with pytest.raises(APIConnectionError) as caught:
        client.chat_completion(REQUEST, headers={"x-key": PASSWORD})
    assert PASSWORD not in everything(caught.value)


@pytest.mark.parametrize("kind", [Client, BlockingAsyncClient])
def test_the_frames_of_a_refused_proxy_have_no_password(kind: Any) -> None:
    with kind(base_url="http://x/v1", proxy=f"socks5://me:{PASSWORD}@p") as client:
        with pytest.raises(ConfigurationError) as caught:
            client.chat_completion(REQUEST)
        assert PASSWORD not in everything(caught.value)


@pytest.mark.parametrize("streamed", [True, False])
def test_the_frames_of_a_refused_token_do_not_have_it(make_client: MakeClient, streamed: bool) -> None:
    client = make_client("http://127.0.0.1:9/v1", api_key=lambda: f"{KEY}\n")
    with pytest.raises(ConfigurationError) as caught:
        list(client.chat_completion_stream(REQUEST)) if streamed else client.chat_completion(REQUEST)
    assert BEGINNING not in everything(caught.value)


SECRETIVE: dict[str, Any] = {
    "api_key": KEY,
    "base_url": f"http://x/v1?key={PASSWORD}&api-version=7",
    "default_headers": {"x-secret": PASSWORD, "x-plain": "shown"},
    "proxy": f"http://somebody:{PASSWORD}@p:1",
}


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_the_pickle_of_a_client_has_no_secret(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    client = kind(**SECRETIVE)
    client._config.prepare(REQUEST, streamed=True, timeout=None, max_retries=None, headers=None)  # has a route now
    data = pickle.dumps(client)
    for secret in (KEY, PASSWORD, "somebody"):
        assert secret.encode() not in data
    with caplog.at_level(logging.WARNING, "firsttoken"):
        again = pickle.loads(data)
    left_out = "the header authorization, the header x-secret, the query of the URL, the user of the proxy"
    assert caplog.messages == [f"left out of the pickle of a client, since it is secret: {left_out}"]
    assert repr(again) == repr(client)
    prepared = again._config.prepare(REQUEST, streamed=True, timeout=None, max_retries=None, headers=None)
    assert prepared.route.endpoint.target == "/v1/chat/completions?api-version=7"
    assert prepared.route.headers["x-plain"] == "shown"
    assert str(prepared.route.proxy) == "Proxy(p:1)"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("key", ['"sk-quoted-0123456789"', "Bearer sk-quoted-0123456789", "sk-quoted-0123456789"])
def test_a_key_of_the_environment_means_the_same_after_a_pickle(
    kind: Any, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    client = kind(base_url="http://x/v1")
    for made in (client, pickle.loads(pickle.dumps(client))):
        assert made._config.headers["authorization"] == "Bearer sk-quoted-0123456789"


class _Keyed(Observer):
    """Adds a key to the headers of each attempt."""

    def call_started(self, call: CallInfo) -> CallObserver:
        return _KeyedCall()


class _KeyedCall(CallObserver):
    def attempt_started(self, attempt: Attempt) -> None:
        attempt.headers["x-api-key"] = KEY


def test_a_key_that_an_observer_adds_is_in_no_error(make_client: MakeClient) -> None:
    def refuse(peer: Peer) -> None:
        request = peer.read_request()
        assert request is not None
        peer.answer_json(401, {"error": {"message": f"no such key: {request.headers['x-api-key']}"}})

    with Server(refuse) as server, pytest.raises(AuthenticationError) as caught:
        make_client(server, observer=_Keyed()).chat_completion(REQUEST)
    assert str(caught.value) == "the server answered 401 Unauthorized: no such key: [redacted]"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_the_pickle_of_a_client_of_azure_has_no_secret(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = kind.azure(f"https://x.test?key={PASSWORD}", api_key=KEY, deployment="d", api_version="2024-10-21")
    data = pickle.dumps(client)
    assert KEY.encode() not in data
    assert PASSWORD.encode() not in data
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "of-the-environment")
    again = pickle.loads(data)
    assert again._config.headers["api-key"] == "of-the-environment"
    assert again._config.endpoint_for("m").target == "/openai/deployments/d/chat/completions?api-version=2024-10-21"


@pytest.mark.parametrize(
    ("name", "value"), [("ssl_context", ssl.create_default_context()), ("http_client", httpx2.Client())]
)
def test_a_client_with_connections_of_its_own_kind_is_not_pickled(name: str, value: Any) -> None:
    client: Any = Client(base_url="http://x/v1", **{name: value})
    with pytest.raises(
        pickle.PicklingError, match=rf"^a client with {name}= can't be pickled: make one in each process"
    ):
        pickle.dumps(client)
    assert repr(copy.deepcopy(client)) == repr(client)


def test_a_client_that_is_unpickled_takes_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(api_key=KEY, base_url="http://x/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    again: Any = pickle.loads(pickle.dumps(client))
    assert again._config.headers["authorization"] == "Bearer sk-of-the-environment"


def test_a_copy_of_a_client_has_all_it_needs() -> None:
    with ScriptedServer("Hello", "Hello", "Hello") as server, Client(base_url=server.base_url, api_key=KEY) as client:
        assert client.chat_completion(REQUEST).text == "Hello"
        for twin in (copy.copy(client), copy.deepcopy(client)):
            with twin:
                assert twin.chat_completion(REQUEST).text == "Hello"
        assert {entry.request.headers["authorization"] for entry in server.journal.entries} == {f"Bearer {KEY}"}


AUTHENTICATED: dict[str, dict[str, Any]] = {
    "a user and a password": {"auth": ("somebody", PASSWORD)},
    "a cookie": {"cookies": {"id": PASSWORD}},
    "a parameter": {"params": {"key": PASSWORD}},
    "a header": {"headers": {"x-password": PASSWORD}},
}


@pytest.mark.parametrize("name", AUTHENTICATED)
def test_what_a_client_of_ones_own_adds_is_masked(name: str) -> None:
    def serve(peer: Peer) -> None:
        request = peer.read_request()
        assert request is not None
        said = f"{PASSWORD}, {request.line}, {request.headers.get('authorization')}, {request.headers.get('cookie')}"
        peer.answer(401, said.encode())

    with Server(serve) as server, httpx2.Client(**AUTHENTICATED[name]) as http_client:
        client = Client(base_url=server.base_url, http_client=http_client, max_retries=0)
        with pytest.raises(ChatCompletionError) as caught:
            client.chat_completion(REQUEST)
    assert "[redacted]" in str(caught.value)
    assert PASSWORD[:8] not in str(caught.value) + repr(vars(caught.value))
