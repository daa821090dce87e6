"""`http_client=`, with transports in place of a server, as users have them in their own tests."""

import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx2
import pytest

from firsttoken import STOP, ChatCompletionChunk, Client, Timeout, errors
from firsttoken.errors import APIStatusError, APITimeoutError, ChatCompletionError, ConfigurationError
from tests.support.clients import KEY, REQUEST, clean_env, drain, failure_of
from tests.support.errors import message_of
from tests.support.httpx2_clients import ClientOver, client_over
from tests.support.server import DONE, chunk, completion, event

__all__ = ["clean_env", "client_over"]

STREAM = event(chunk("Hel")) + event(chunk("lo", finish="stop")) + DONE
EVENTS = {"content-type": "text/event-stream"}
Handler = Callable[[httpx2.Request], httpx2.Response]


class Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that comes in pieces, and may break; it knows whether it was closed."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self.pieces = pieces
        self.error = error
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces
        if self.error is not None:
            raise self.error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


def answering(*answers: httpx2.Response | Exception) -> Handler:
    """A handler that gives each request the next answer."""
    remaining = iter(answers)

    def handle(request: httpx2.Request) -> httpx2.Response:
        answer = next(remaining)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handle


def stream_of(*pieces: bytes, error: Exception | None = None) -> httpx2.Response:
    return httpx2.Response(200, headers=EVENTS, stream=Body(*pieces, error=error))


@pytest.mark.parametrize("content", [STREAM, None], ids=["made at once", "in pieces"])
def test_the_three_styles(client_over: ClientOver, content: bytes | None) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        if json.loads(request.content).get("stream"):
            return (
                httpx2.Response(200, headers=EVENTS, content=content) if content else stream_of(STREAM[:9], STREAM[9:])
            )
        return httpx2.Response(200, json=completion("Hello"), headers={"x-request-id": "req_1"})

    client = client_over(handle)
    whole = client.chat_completion(REQUEST)
    assert (whole.text, whole.response.request_id) == ("Hello", "req_1")
    stream = client.chat_completion_stream(REQUEST)
    assert stream.state == "idle"
    assert drain(stream) == (["Hel", "lo"], None)
    assert (stream.state, stream.completion.text, stream.response.status) == ("complete", "Hello", 200)
    assert 0 < stream.timing.time_to_headers_s <= stream.timing.time_to_first_token_s <= stream.timing.duration_s
    with client.chat_completion_stream(REQUEST) as entered:
        assert list(entered.iter_text()) == ["Hel", "lo"]
    got: list[ChatCompletionChunk] = []
    assert client.chat_completion_stream(REQUEST, got.append).text == "Hello"
    assert [piece.text for piece in got] == ["Hel", "lo"]


def test_nothing_is_asked_before_the_first_chunk_is_wanted(client_over: ClientOver) -> None:
    asked: list[httpx2.Request] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return stream_of(STREAM)

    stream = client_over(handle).chat_completion_stream(REQUEST)
    assert not asked
    assert next(stream).text == "Hel"
    assert len(asked) == 1


def test_what_is_sent(client_over: ClientOver) -> None:
    """Our headers win, the client's others, its parameters and its cookies are added; its base URL is not looked at."""
    asked: list[httpx2.Request] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, json=completion())

    http = {
        "headers": {"x-team": "docs", "user-agent": "mine", "authorization": "Bearer theirs", "accept": "*/*"},
        "params": {"api-version": "1"},
        "cookies": {"session": "s1"},
        "base_url": "http://elsewhere.test/v9",
    }
    client_over(handle, http=http).chat_completion(REQUEST, headers={"x-call": "1"})
    (request,) = asked
    assert str(request.url) == "http://api.test/v1/chat/completions?api-version=1"
    assert request.method == "POST"
    sent = {name: request.headers[name] for name in ("x-team", "x-call", "authorization", "accept", "cookie")}
    assert sent == {
        "x-team": "docs",
        "x-call": "1",
        "authorization": f"Bearer {KEY}",
        "accept": "application/json",
        "cookie": "session=s1",
    }
    assert request.headers["user-agent"].startswith("firsttoken/")
    assert json.loads(request.content)["model"] == REQUEST.model


def test_the_clients_own_authentication_is_run(client_over: ClientOver) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=completion(request.headers["authorization"]))

    assert client_over(handle, http={"auth": ("user", "pass")}).chat_completion(REQUEST).text == "Basic dXNlcjpwYXNz"


def test_a_key_of_the_client_that_the_server_repeats_is_shown_nowhere(client_over: ClientOver) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(401, json={"error": {"message": f"no {request.headers['authorization']}"}})

    client = client_over(handle, http={"headers": {"authorization": "Bearer sk-of-the-client"}}, api_key="")
    with pytest.raises(errors.AuthenticationError) as caught:
        client.chat_completion(REQUEST)
    assert "sk-of-the-client" not in f"{caught.value} {caught.value.body}"


def test_redirects_are_not_followed(client_over: ClientOver) -> None:
    moved = httpx2.Response(307, headers={"location": "http://elsewhere.test/v1/chat/completions"})
    with pytest.raises(APIStatusError, match="the server answered 307") as caught:
        client_over(answering(moved), http={"follow_redirects": True}).chat_completion(REQUEST)
    assert "elsewhere.test" in message_of(caught.value)


MEANINGS: dict[str, tuple[Exception, type[Exception], str, bool]] = {
    "refused": (
        httpx2.ConnectError("refused"),
        errors.APIConnectionError,
        "no connection to api.test:80: refused",
        True,
    ),
    "connect timeout": (
        httpx2.ConnectTimeout("late"),
        APITimeoutError,
        "no connection to api.test:80 within 10 s (connect_s)",
        True,
    ),
    "pool timeout": (
        httpx2.PoolTimeout("late"),
        APITimeoutError,
        "no connection to api.test:80 within 10 s (connect_s)\nhint: all connections of the http_client are in use",
        True,
    ),
    "read timeout": (
        httpx2.ReadTimeout("late"),
        APITimeoutError,
        "no first chunk with anything in it from api.test:80 within 600 s (first_chunk_s)",
        False,
    ),
    "reset": (httpx2.ReadError("reset"), errors.APIConnectionError, "lost the connection to api.test:80: reset", True),
    "no answer": (
        httpx2.RemoteProtocolError("Server disconnected without sending a response."),
        errors.APIConnectionError,
        "lost the connection to api.test:80: the server closed the connection without an answer",
        True,
    ),
    "proxy says no": (httpx2.ProxyError("407 Any"), APIStatusError, "the server answered 407", False),
    "proxy": (httpx2.ProxyError("gone"), errors.APIConnectionError, "no connection to api.test:80: gone", True),
    "stream given up": (
        httpx2.RemoteProtocolError("<ConnectionTerminated>"),
        errors.APIConnectionError,
        "lost the connection to api.test:80: <ConnectionTerminated>",
        True,
    ),
    "protocol": (
        httpx2.UnsupportedProtocol("no gopher"),
        ConfigurationError,
        "httpx2 can't be asked for http://…: no gopher",
        False,
    ),
    "coding": (httpx2.DecodingError("x"), errors.ResponseFormatError, "the compressed body is broken: x", False),
    "a rule of httpx2": (
        httpx2.LocalProtocolError("Illegal header value"),
        errors.APIConnectionError,
        "the http_client could not ask api.test:80: LocalProtocolError: Illegal header value",
        False,
    ),
    "a mistake": (
        httpx2.StreamConsumed(),
        errors.APIConnectionError,
        "the http_client could not ask api.test:80: StreamConsumed: Attempted to read",
        False,
    ),
    "the system": (
        OSError(28, "No space"),
        errors.APIConnectionError,
        "lost the connection to api.test:80: No space",
        True,
    ),
}


@pytest.mark.parametrize("name", MEANINGS)
@pytest.mark.parametrize("style", ["whole", "stream"])
def test_what_httpx2_raises_becomes_ours(client_over: ClientOver, name: str, style: str) -> None:
    error, kind, words, retryable = MEANINGS[name]
    client = client_over(answering(error))
    with pytest.raises(kind) as caught:
        client.chat_completion(REQUEST) if style == "whole" else next(client.chat_completion_stream(REQUEST))
    assert message_of(caught.value).startswith(words)
    assert caught.value.__cause__ is error
    assert getattr(caught.value, "retryable", False) == retryable


BREAKS: dict[str, tuple[Exception, type[ChatCompletionError], str]] = {
    "cut": (
        httpx2.RemoteProtocolError("peer closed connection without sending complete message body (incomplete read)"),
        errors.StreamTruncatedError,
        "the connection was closed before the end of the response",
    ),
    "reset": (httpx2.ReadError("reset"), errors.APIConnectionError, "lost the connection to api.test:80: reset"),
    "timeout": (
        httpx2.ReadTimeout("late"),
        APITimeoutError,
        "no chunk with anything in it from api.test:80 within 300 s (idle_s)",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_stream_hands_out_what_came(client_over: ClientOver, name: str) -> None:
    error, kind, words = BREAKS[name]
    answer = stream_of(event(chunk("Hel")), error=error)
    stream = client_over(answering(answer), max_retries=2).chat_completion_stream(REQUEST)
    texts, failure = drain(stream)
    assert texts == ["Hel"]
    assert type(failure) is kind
    assert isinstance(failure, ChatCompletionError)
    assert message_of(failure) == words
    assert failure.partial is not None
    assert (failure.partial.text, failure.chunks_received, stream.state) == ("Hel", 1, "failed")


def test_a_body_that_ends_early_is_truncated(client_over: ClientOver) -> None:
    failure = failure_of(client_over(answering(stream_of(event(chunk("Hel"))))).chat_completion_stream(REQUEST))
    assert type(failure) is errors.StreamTruncatedError
    assert "the stream ended" in message_of(failure)


def test_failures_that_may_pass_are_retried(client_over: ClientOver) -> None:
    busy = httpx2.Response(503, headers={"retry-after": "0"}, json={"error": "busy"})
    answers = answering(busy, busy, httpx2.Response(200, headers=EVENTS, content=STREAM))
    stream = client_over(answers, max_retries=2).chat_completion_stream(REQUEST)
    assert drain(stream) == (["Hel", "lo"], None)


def test_what_the_callers_own_code_raises_is_left_alone(client_over: ClientOver) -> None:
    client = client_over(answering(LookupError("mine"), LookupError("mine"), LookupError("mine")), max_retries=2)
    with pytest.raises(LookupError, match="mine"):
        client.chat_completion(REQUEST)
    stream = client.chat_completion_stream(REQUEST)
    with pytest.raises(LookupError, match="mine"):
        next(stream)
    assert stream.state == "stopped"
    assert next(stream, None) is None


def test_a_builtin_error_that_httpx2_raised_is_ours(client_over: ClientOver) -> None:
    """A handler that gives no response is its own mistake; httpx2 says so."""

    def handle(request: httpx2.Request) -> Any:
        return None

    with pytest.raises(
        errors.APIConnectionError, match=r"the http_client could not ask api\.test:80: TypeError"
    ) as caught:
        client_over(handle).chat_completion(REQUEST)
    assert not caught.value.retryable


def test_a_hook_may_read_the_response(client_over: ClientOver) -> None:
    """It has lost its coding then."""
    body = gzip.compress(STREAM)

    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers=EVENTS | {"content-encoding": "gzip"}, stream=Body(body))

    def read(response: httpx2.Response) -> object:
        return response.aread() if isinstance(response.stream, httpx2.AsyncByteStream) else response.read()

    client = client_over(handle, http={"event_hooks": {"response": [read]}})
    assert drain(client.chat_completion_stream(REQUEST)) == (["Hel", "lo"], None)


def test_a_compressed_stream_is_decoded(client_over: ClientOver) -> None:
    body = gzip.compress(STREAM)
    answer = httpx2.Response(200, headers=EVENTS | {"content-encoding": "gzip"}, stream=Body(body[:20], body[20:]))
    assert drain(client_over(answering(answer)).chat_completion_stream(REQUEST)) == (["Hel", "lo"], None)
    cut = httpx2.Response(200, headers=EVENTS | {"content-encoding": "gzip"}, stream=Body(body[:-9]))
    failure = failure_of(client_over(answering(cut)).chat_completion_stream(REQUEST))
    assert message_of(failure) == "the compressed body ended before its data did"


def test_a_hook_that_refuses_a_status(client_over: ClientOver) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        response = httpx2.Response(
            429, headers={"retry-after": "7"}, json={"error": {"message": "slow"}}, request=request
        )
        return response.raise_for_status()

    with pytest.raises(errors.RateLimitError, match="the server answered 429 Too Many Requests: slow") as caught:
        client_over(handle).chat_completion(REQUEST)
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize("way", ["break", "close", "stop", "raise"])
def test_leaving_closes_the_response(client_over: ClientOver, way: str) -> None:
    body = Body(*[event(chunk("Hel"))] * 100)
    client = client_over(answering(httpx2.Response(200, headers=EVENTS, stream=body)))

    def leave(piece: ChatCompletionChunk) -> object:
        if way == "raise":
            raise LookupError("mine")
        return STOP

    if way == "break":
        for _ in client.chat_completion_stream(REQUEST):
            break
    elif way == "close":
        with client.chat_completion_stream(REQUEST) as stream:
            assert next(stream).text == "Hel"
        assert stream.state == "stopped"
        with pytest.raises(errors.StreamTruncatedError) as caught:
            stream.final_completion()
        assert caught.value.partial is not None
    elif way == "stop":
        assert client.chat_completion_stream(REQUEST, leave).text == "Hel"
    else:
        with pytest.raises(LookupError, match="mine"):
            client.chat_completion_stream(REQUEST, leave)
    if isinstance(client, Client):
        assert body.closed  # at once
    client.close()  # goes through the loop, where there is one
    client.close()
    assert body.closed


def test_the_callers_client_is_not_closed(client_over: ClientOver) -> None:
    client = client_over(answering(httpx2.Response(200, json=completion())))
    client.close()
    assert client.chat_completion(REQUEST).text == "Hello"


def test_odd_headers_do_no_harm(client_over: ClientOver) -> None:
    headers = {"content-length": "3", "connection": "upgrade", "upgrade": "x", "transfer-encoding": "chunked"}
    headers |= {"x-lines": "one\r\ntwo", "content-type": "text/event-stream", "x-request-id": "req_9"}
    answer = httpx2.Response(200, headers=headers, stream=Body(STREAM))
    stream = client_over(answering(answer)).chat_completion_stream(REQUEST)
    assert drain(stream) == (["Hel", "lo"], None)
    assert stream.response.headers["x-lines"] == "one  two"
    assert stream.response.request_id == "req_9"


def test_deadlines_longer_than_a_socket_can_wait(client_over: ClientOver) -> None:
    seen: list[Any] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.extensions["timeout"])
        return httpx2.Response(200, json=completion())

    client = client_over(handle)
    client.chat_completion(REQUEST, timeout=Timeout(connect_s=None, first_chunk_s=None, idle_s=1))
    client.chat_completion(REQUEST, timeout=Timeout(connect_s=1e300, first_chunk_s=1e300))
    client.chat_completion(REQUEST, timeout=Timeout(connect_s=3, first_chunk_s=20, idle_s=10))
    nothing = dict.fromkeys(("connect", "read", "write", "pool"))
    assert seen == [nothing, nothing, {"connect": 3, "read": 21, "write": 21, "pool": 3}]
