"""Clients for tests of what every client promises, and the fixture that makes them."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx2
import pytest

from firsttoken import ChatCompletionStream, Client
from firsttoken.errors import ChatCompletionError
from firsttoken.testing import ScriptedServer
from tests.support.request import KEY
from tests.support.request import REQUEST as REQUEST
from tests.support.server import Server
from tests.support.sync_adapter import BlockingAsyncClient

MakeClient = Callable[..., Client]
Handler = Callable[[httpx2.Request], httpx2.Response]


@pytest.fixture(autouse=True)
def clean_env(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """No keys, proxies or certificates of whoever runs the tests."""
    for name in os.environ:
        if name.startswith(("OPENAI_", "AZURE_OPENAI_", "SSL_CERT")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@contextmanager
def _over_httpx2(http: dict[str, Any], **options: Any) -> Generator[Client]:
    with httpx2.Client(**http) as http_client, Client(http_client=http_client, **options) as client:
        yield client


def _async_over_httpx2(http: dict[str, Any], **options: Any) -> BlockingAsyncClient:
    return BlockingAsyncClient(http_client=httpx2.AsyncClient(**http), **options)


KINDS: dict[str, Callable[..., Any]] = {
    "sync": Client,
    "async": BlockingAsyncClient,
    "httpx2": _over_httpx2,
    "async httpx2": _async_over_httpx2,
}


@contextmanager
def clients(kind: str) -> Generator[MakeClient]:
    """Makes clients of a server or of a base URL, without retries unless a test asks for them.

    Those over an httpx2 client of the caller's own also take its settings, `http=`, and a handler in place of a server.
    """
    with ExitStack() as stack:

        def make(
            server: Server | ScriptedServer | str | Handler, *, http: dict[str, Any] | None = None, **options: Any
        ) -> Any:
            settings: dict[str, Any] = {"max_retries": 0, "api_key": KEY} | options
            settings["base_url"] = "http://api.test/v1" if callable(server) else getattr(server, "base_url", server)
            if "httpx2" in kind:
                transport = {"transport": httpx2.MockTransport(server)} if callable(server) else {}
                trust = {"verify": settings.pop("ssl_context")} if "ssl_context" in settings else {}
                settings["http"] = {"trust_env": False} | transport | trust | (http or {})
            return stack.enter_context(KINDS[kind](**settings))

        yield make


@pytest.fixture(params=KINDS)
def make_client(request: pytest.FixtureRequest) -> Iterator[MakeClient]:
    """Makes clients of every kind, one kind after the other."""
    with clients(request.param) as make:
        yield make


@pytest.fixture(name="make_client", params=["sync", "async"])
def make_socket_client(request: pytest.FixtureRequest) -> Iterator[MakeClient]:
    """Makes clients with connections of their own."""
    with clients(request.param) as make:
        yield make


@pytest.fixture(name="make_client")
def make_sync_client() -> Iterator[MakeClient]:
    """Makes sync clients alone."""
    with clients("sync") as make:
        yield make


@pytest.fixture(name="make_client", params=["httpx2", "async httpx2"])
def make_httpx2_client(request: pytest.FixtureRequest) -> Iterator[MakeClient]:
    """Makes clients over an httpx2 client of the caller's own."""
    with clients(request.param) as make:
        yield make


OVER_SOCKETS = pytest.mark.parametrize("make_client", ["sync", "async"], indirect=True)
"""For what only connections of our own can promise."""


def drain(stream: ChatCompletionStream) -> tuple[list[str], ChatCompletionError | None]:
    """Read a stream to its end: the texts that were yielded, and the failure after them."""
    texts: list[str] = []
    try:
        for chunk in stream:
            texts.append(chunk.text)
    except ChatCompletionError as failure:
        return texts, failure
    return texts, None


def failure_of(stream: ChatCompletionStream) -> ChatCompletionError:
    """The failure that a stream ends with; it must have one."""
    texts, failure = drain(stream)
    assert failure is not None, f"the stream did not fail, but gave {texts}"
    return failure
