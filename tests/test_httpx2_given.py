"""`http_client=`: what may be given, and what it needs."""

import subprocess
import sys
from collections.abc import Callable

import httpx2
import pytest

from firsttoken import AsyncClient, Client, Timeout
from firsttoken.errors import APITimeoutError, ConfigurationError
from tests.support.clients import REQUEST, clean_env
from tests.support.httpx2_clients import ClientOver, client_over
from tests.support.server import completion

__all__ = ["clean_env", "client_over"]


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
            r"proxy is of firsttoken's own connections, and http_client brings others\nhint: give proxy to the httpx2",
        ),
        (
            lambda: AsyncClient(http_client=httpx2.AsyncClient(), ssl_context=httpx2.create_ssl_context()),
            r"ssl_context is of firsttoken's own connections, .*\nhint: give verify= to the httpx2 client",
        ),
    ],
)
def test_what_does_not_go_together(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        make()


def test_the_environments_proxy_is_not_looked_at(client_over: ClientOver, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the httpx2 client's business, which may well speak what ours does not."""
    monkeypatch.setenv("HTTP_PROXY", "socks5://nowhere.test")

    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=completion())

    assert client_over(handle).chat_completion(REQUEST).text == "Hello"


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


def test_a_url_that_httpx2_refuses(client_over: ClientOver) -> None:
    client = client_over(f"http://api.test/{'x' * 70_000}")
    with pytest.raises(ConfigurationError, match="httpx2 finds the URL wrong: URL too long"):
        client.chat_completion(REQUEST)


def test_a_connect_timeout_though_there_is_no_limit(client_over: ClientOver) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectTimeout("a limit of the transport's own")

    with pytest.raises(
        APITimeoutError, match=r"^no connection to api\.test:80: a limit of the transport's own$"
    ) as caught:
        client_over(handle, timeout=Timeout(connect_s=None)).chat_completion(REQUEST)
    assert caught.value.phase == "connect"
