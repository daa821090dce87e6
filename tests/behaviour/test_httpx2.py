"""`http_client=`, with transports in place of a server, as users have them in their own tests."""

import gzip
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx2
import pytest

from firsttoken import STOP, AsyncClient, ChatCompletionChunk, Client, Timeout, errors
from firsttoken.errors import APIStatusError, APITimeoutError, ConfigurationError
from tests.support.clients import KEY, REQUEST, drain, make_httpx2_client
from tests.support.errors import message_of
from tests.support.server import DONE, chunk, completion, event

__all__ = ["make_httpx2_client"]

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
def test_the_three_styles(make_client: Any, content: bytes | None) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        if json.loads(request.content).get("stream"):
            return (
                httpx2.Response(200, headers=EVENTS, content=content) if content else stream_of(STREAM[:9], STREAM[9:])
            )
        return httpx2.Response(200, json=completion("Hello"), headers={"x-request-id": "req_1"})

    client = make_client(handle)
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


def test_what_is_sent(make_client: Any) -> None:
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
    make_client(handle, http=http).chat_completion(REQUEST, headers={"x-call": "1"})
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


def test_the_clients_own_authentication_is_run(make_client: Any) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=completion(request.headers["authorization"]))

    assert make_client(handle, http={"auth": ("user", "pass")}).chat_completion(REQUEST).text == "Basic dXNlcjpwYXNz"


def test_a_key_of_the_client_that_the_server_repeats_is_shown_nowhere(make_client: Any) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(401, json={"error": {"message": f"no {request.headers['authorization']}"}})

    client = make_client(handle, http={"headers": {"authorization": "Bearer sk-of-the-client"}}, api_key="")
    with pytest.raises(errors.AuthenticationError) as caught:
        client.chat_completion(REQUEST)
    assert "sk-of-the-client" not in f"{caught.value} {caught.value.body}"


def test_redirects_are_not_followed(make_client: Any) -> None:
    moved = httpx2.Response(307, headers={"location": "http://elsewhere.test/v1/chat/completions"})
    with pytest.raises(APIStatusError, match="the server answered 307") as caught:
        make_client(answering(moved), http={"follow_redirects": True}).chat_completion(REQUEST)
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
        "timed out after 10 s (connect_s) connecting to api.test:80",
        True,
    ),
    "pool timeout": (
        httpx2.PoolTimeout("late"),
        APITimeoutError,
        (
            "timed out after 10 s (connect_s) connecting to api.test:80\n"
            "hint: all connections of the http_client are in use"
        ),
        True,
    ),
    "read timeout": (
        httpx2.ReadTimeout("late"),
        APITimeoutError,
        "the response from api.test:80 was not complete after 600 s (response_s)",
        False,
    ),
    "reset": (httpx2.ReadError("reset"), errors.APIConnectionError, "lost the connection to api.test:80: reset", True),
    "no answer": (
        httpx2.RemoteProtocolError("Server disconnected without sending a response."),
        errors.APIConnectionError,
        "lost the connection to api.test:80: the server closed the connection without a response",
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
        "httpx2 does not support http://…: no gopher",
        False,
    ),
    "coding": (httpx2.DecodingError("x"), errors.ResponseFormatError, "the compressed body is broken: x", False),
    "a rule of httpx2": (
        httpx2.LocalProtocolError("Illegal header value"),
        errors.APIConnectionError,
        "the http_client failed to send to api.test:80: LocalProtocolError: Illegal header value",
        False,
    ),
    "a mistake": (
        httpx2.StreamConsumed(),
        errors.APIConnectionError,
        "the http_client failed to send to api.test:80: StreamConsumed: Attempted to read",
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
def test_what_httpx2_raises_becomes_ours(make_client: Any, name: str, style: str) -> None:
    error, kind, words, retryable = MEANINGS[name]
    if (name, style) == ("read timeout", "stream"):
        words = "timed out after 600 s (first_chunk_s) waiting for the first token from api.test:80"
    client = make_client(answering(error))
    with pytest.raises(kind) as caught:
        client.chat_completion(REQUEST) if style == "whole" else next(client.chat_completion_stream(REQUEST))
    assert message_of(caught.value).startswith(words)
    assert caught.value.__cause__ is error
    assert getattr(caught.value, "retryable", False) == retryable


def test_what_the_callers_own_code_raises_is_left_alone(make_client: Any) -> None:
    client = make_client(answering(LookupError("mine"), LookupError("mine"), LookupError("mine")), max_retries=2)
    with pytest.raises(LookupError, match="mine"):
        client.chat_completion(REQUEST)
    stream = client.chat_completion_stream(REQUEST)
    with pytest.raises(LookupError, match="mine"):
        next(stream)
    assert stream.state == "stopped"
    assert next(stream, None) is None


def test_a_builtin_error_that_httpx2_raised_is_ours(make_client: Any) -> None:
    """A handler that gives no response is its own mistake; httpx2 says so."""

    def handle(request: httpx2.Request) -> Any:
        return None

    with pytest.raises(
        errors.APIConnectionError, match=r"the http_client failed to send to api\.test:80: TypeError"
    ) as caught:
        make_client(handle).chat_completion(REQUEST)
    assert not caught.value.retryable


def test_a_hook_may_read_the_response(make_client: Any) -> None:
    """It has lost its coding then."""
    body = gzip.compress(STREAM)

    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers=EVENTS | {"content-encoding": "gzip"}, stream=Body(body))

    def read(response: httpx2.Response) -> object:
        return response.aread() if isinstance(response.stream, httpx2.AsyncByteStream) else response.read()

    client = make_client(handle, http={"event_hooks": {"response": [read]}})
    assert drain(client.chat_completion_stream(REQUEST)) == (["Hel", "lo"], None)


def test_a_hook_that_refuses_a_status(make_client: Any) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        response = httpx2.Response(
            429, headers={"retry-after": "7"}, json={"error": {"message": "slow"}}, request=request
        )
        return response.raise_for_status()

    with pytest.raises(errors.RateLimitError, match="the server answered 429 Too Many Requests: slow") as caught:
        make_client(handle).chat_completion(REQUEST)
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize("way", ["break", "close", "stop", "raise"])
def test_leaving_closes_the_response(make_client: Any, way: str) -> None:
    body = Body(*[event(chunk("Hel"))] * 100)
    client = make_client(answering(httpx2.Response(200, headers=EVENTS, stream=body)))

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


def test_odd_headers_do_no_harm(make_client: Any) -> None:
    headers = {"content-length": "3", "connection": "upgrade", "upgrade": "x", "transfer-encoding": "chunked"}
    headers |= {"x-lines": "one\r\ntwo", "content-type": "text/event-stream", "x-request-id": "req_9"}
    answer = httpx2.Response(200, headers=headers, stream=Body(STREAM))
    stream = make_client(answering(answer)).chat_completion_stream(REQUEST)
    assert drain(stream) == (["Hel", "lo"], None)
    assert stream.response.headers["x-lines"] == "one  two"
    assert stream.response.request_id == "req_9"


def test_deadlines_longer_than_a_socket_can_wait(make_client: Any) -> None:
    seen: list[Any] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.extensions["timeout"])
        return httpx2.Response(200, json=completion())

    client = make_client(handle)
    client.chat_completion(REQUEST, timeout=Timeout(connect_s=None, first_chunk_s=None, idle_s=1))
    client.chat_completion(REQUEST, timeout=Timeout(connect_s=1e300, first_chunk_s=1e300))
    client.chat_completion(REQUEST, timeout=Timeout(connect_s=3, first_chunk_s=20, idle_s=10))
    nothing = dict.fromkeys(("connect", "read", "write", "pool"))
    assert seen == [nothing, nothing, {"connect": 3, "read": 21, "write": 21, "pool": 3}]


def test_a_closed_client_is_said_to_be() -> None:
    http_client = httpx2.Client()
    http_client.close()
    client = Client(base_url="http://api.test/v1", http_client=http_client)
    with pytest.raises(ConfigurationError, match="the http_client is closed"):
        client.chat_completion(REQUEST)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: Client(http_client=httpx2.AsyncClient()),  # type: ignore[arg-type]
            r"http_client must be an httpx2.Client, not httpx2.AsyncClient\nhint: firsttoken.AsyncClient takes",
        ),
        (
            lambda: AsyncClient(http_client=httpx2.Client()),  # type: ignore[arg-type]
            r"http_client must be an httpx2.AsyncClient, not httpx2.Client\nhint: firsttoken.Client takes",
        ),
        (
            lambda: Client(http_client="http://x"),  # type: ignore[arg-type]
            r"http_client must be an httpx2.Client, not builtins.str\nhint: as in http_client=httpx2.Client\(\)",
        ),
        (
            lambda: Client(http_client=httpx2.Client(), proxy="http://p"),
            r"proxy can't be combined with http_client\nhint: pass proxy to the httpx2",
        ),
        (
            lambda: AsyncClient(http_client=httpx2.AsyncClient(), ssl_context=httpx2.create_ssl_context()),
            r"ssl_context can't be combined with http_client\nhint: pass verify= to the httpx2 client",
        ),
    ],
)
def test_what_does_not_go_together(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        make()


def test_the_environments_proxy_is_not_looked_at(make_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the httpx2 client's business, which may well speak what ours does not."""
    monkeypatch.setenv("HTTP_PROXY", "socks5://nowhere.test")

    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=completion())

    assert make_client(handle).chat_completion(REQUEST).text == "Hello"


def test_without_the_extra_only_http_client_is_missing() -> None:
    code = """
import sys
sys.modules["httpx2"] = None
from firsttoken import AsyncClient, Client
from firsttoken.errors import ConfigurationError
Client("k", "http://x"), AsyncClient("k", "http://x")
for kind in (Client, AsyncClient):
    try:
        kind("k", "http://x", http_client=object())
    except ConfigurationError as error:
        print(error, error.hint, sep=" hint: ")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    said = "http_client takes a client of httpx2, which is not installed "
    said += "hint: in a clone of firsttoken: pip install '.[httpx2]'\n"
    assert done.stdout == said * 2


def test_our_own_connections_load_no_httpx2() -> None:
    code = "import sys; from firsttoken import *; Client('k', 'http://x'); AsyncClient('k', 'http://x')"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print('httpx2' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "False\n"


def test_a_url_that_httpx2_refuses(make_client: Any) -> None:
    client = make_client(f"http://api.test/{'x' * 70_000}")
    with pytest.raises(ConfigurationError, match="httpx2 rejected the URL: URL too long"):
        client.chat_completion(REQUEST)


def test_a_connect_timeout_though_there_is_no_limit(make_client: Any) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectTimeout("a limit of the transport's own")

    with pytest.raises(
        APITimeoutError, match=r"^no connection to api\.test:80: a limit of the transport's own$"
    ) as caught:
        make_client(handle, timeout=Timeout(connect_s=None)).chat_completion(REQUEST)
    assert caught.value.phase == "connect"
