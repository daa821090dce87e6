"""What new users stumble over, and the text that they read then."""

import json
import subprocess
import sys
from typing import Any

import pytest

from firsttoken import AsyncClient, Client, chat_completion_request
from firsttoken.errors import ConfigurationError, NotFoundError, RateLimitError
from firsttoken.testing import ScriptedServer, error

REQUEST = chat_completion_request("m", "Hi")


@pytest.mark.parametrize("key", ["sk-0123456789", '"sk-0123456789"', "'sk-0123456789'", "Bearer sk-0123456789"])
def test_a_key_is_taken_as_it_is_meant(key: str) -> None:
    with ScriptedServer("Hi") as server, Client(key, server.base_url) as client:
        client.chat_completion(REQUEST)
    assert server.journal.requests[0].headers["authorization"] == "Bearer sk-0123456789"


@pytest.mark.parametrize(
    ("shape", "path"),
    [
        ("{}", "/v1/chat/completions"),
        (" {}/ \n", "/v1/chat/completions"),
        ('"{}"', "/v1/chat/completions"),
        ("{}/chat/completions", "/v1/chat/completions"),
        ("{}/serving-endpoints/name/invocations", "/v1/serving-endpoints/name/invocations"),
    ],
)
def test_a_base_url_is_taken_as_it_is_meant(shape: str, path: str) -> None:
    with ScriptedServer("Hi") as server, Client("k", shape.format(server.base_url)) as client:
        client.chat_completion(REQUEST)
    assert server.journal.requests[0].target == path


def test_a_404_names_the_url_and_an_error_has_the_response() -> None:
    with ScriptedServer(error(404, "no such model")) as server, Client("k", server.base_url) as client:
        with pytest.raises(NotFoundError) as caught:
            client.chat_completion(REQUEST)
        url = f"{server.base_url}/chat/completions"
        assert str(caught.value) == f"the server answered 404 Not Found to POST {url}: no such model"
    limited = error(429, headers={"x-ratelimit-remaining-requests": "0", "retry-after-ms": "10"})
    with (
        ScriptedServer(limited) as server,
        Client("k", server.base_url, max_retries=2) as client,
        pytest.raises(RateLimitError) as refused,
    ):
        client.chat_completion(REQUEST)
    assert refused.value.headers["X-RateLimit-Remaining-Requests"] == "0"
    assert refused.value.attempts == 3
    assert refused.value.response is not None
    assert refused.value.response.status == 429


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("given", "name", "hint"),
    [
        (False, "bool", "ssl.create_default_context(); to check no certificate, set its check_hostname = False and "),
        ("ca.pem", "str", "ssl.create_default_context(cafile=…) trusts the certificates of a file, and so does "),
    ],
)
def test_an_ssl_context_that_is_none_gets_a_hint(kind: Any, given: Any, name: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind("k", "https://api.test/v1", ssl_context=given)
    assert str(caught.value) == f"ssl_context must be an ssl.SSLContext, not {name}"
    assert (caught.value.hint or "").startswith(hint)


def test_a_client_of_httpx_is_told_of_httpx2() -> None:
    pytest.importorskip("httpx2")
    kind: Any = type("Client", (), {"__module__": "httpx"})
    with pytest.raises(ConfigurationError) as caught:
        Client("k", http_client=kind())
    assert str(caught.value) == "http_client must be an httpx2.Client, not httpx.Client"
    assert caught.value.hint == "httpx2 is the successor of httpx: httpx2.Client() takes the same arguments"


async def wait(client: AsyncClient) -> object:
    return await client.chat_completion(REQUEST)


async def iterate(client: AsyncClient) -> object:
    return [chunk async for chunk in client.chat_completion_stream(REQUEST)]


async def enter_stream(client: AsyncClient) -> object:
    async with client.chat_completion_stream(REQUEST) as stream:
        return stream


async def call_back(client: AsyncClient) -> object:
    return await client.chat_completion_stream(REQUEST, print)


async def enter_client(client: AsyncClient) -> object:
    async with client:
        return None


async def close_client(client: AsyncClient) -> None:
    await client.aclose()


@pytest.mark.parametrize(
    "use", [wait, iterate, enter_stream, call_back, AsyncClient.models, enter_client, close_client]
)
def test_trio_gets_a_hint(use: Any) -> None:
    trio = pytest.importorskip("trio")
    with pytest.raises(ConfigurationError) as caught:
        trio.run(use, AsyncClient("k", "http://127.0.0.1:9/v1"))
    assert str(caught.value) == "AsyncClient needs a running asyncio event loop"
    assert caught.value.hint == "under trio use Client in a thread, as in trio.to_thread.run_sync, or anyio on asyncio"


def test_under_trio_the_sync_client_works_in_a_thread() -> None:
    trio = pytest.importorskip("trio")
    with ScriptedServer("Hi") as server, Client("k", server.base_url) as client:
        assert trio.run(trio.to_thread.run_sync, client.chat_completion, REQUEST).text == "Hi"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("limiter", "limiter must be a Limiter, not int", "as in Limiter(concurrency=8)"),
        ("observer", "observer must be an Observer, not int", "as in class Mine(Observer): …, from firsttoken.types"),
    ],
)
def test_a_limiter_and_an_observer_that_are_none_get_a_hint(kind: Any, name: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind("k", **{name: 5})
    assert (str(caught.value), caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("fields", "message", "hint"),
    [
        (
            {"extra_body": {}},
            "ChatCompletionRequest has no field 'extra_body'",
            "a server's own fields go into extra={…}",
        ),
        (
            {"extra_headers": {}},
            "ChatCompletionRequest has no field 'extra_headers'",
            "headers go beside a request, as headers={…} of the client's method",
        ),
        (
            {"model": None},
            "neither a request nor a model was given",
            'as in client.chat_completion("gpt-5-mini", "Why is the sky blue?")',
        ),
    ],
)
def test_what_openai_takes_gets_a_hint(fields: Any, message: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Client("k").chat_completion(**{"model": "m", "messages": "Hi"} | fields)
    assert (str(caught.value), caught.value.hint) == (message, hint)


def test_a_traceback_shows_the_hint() -> None:
    code = "from firsttoken import Client; Client('k', 'http://x', timeout=5)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.splitlines()[-1] == "hint: as in Timeout(idle_s=30)"
    assert json.dumps(done.stdout) == '""'
