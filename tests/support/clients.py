"""Clients for tests of what every client promises, and the fixture that makes them."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from firsttoken import ChatCompletionStream, Client, chat_completion_request
from firsttoken.errors import ChatCompletionError
from tests.support.server import Server
from tests.support.sync_adapter import BlockingAsyncClient

MakeClient = Callable[..., Client]

REQUEST = chat_completion_request("test-model", "Why is the sky blue?")
KEY = "sk-test-0123456789abcdef"


@pytest.fixture(autouse=True)
def clean_env(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """No keys, proxies or certificates of whoever runs the tests."""
    for name in os.environ:
        if name.startswith(("OPENAI_", "AZURE_OPENAI_", "SSL_CERT")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@contextmanager
def _clients(kind: Callable[..., Any]) -> Generator[MakeClient]:
    """Makes clients of a server (or of a base URL); without retries, unless a test asks for them."""
    with ExitStack() as stack:

        def make(server: Server | str, **options: Any) -> Client:
            base_url = server if isinstance(server, str) else server.base_url
            settings: dict[str, Any] = {"max_retries": 0, "api_key": KEY} | options
            return stack.enter_context(kind(base_url=base_url, **settings))

        yield make


@pytest.fixture(params=[Client, BlockingAsyncClient], ids=["sync", "async"])
def make_client(request: pytest.FixtureRequest) -> Iterator[MakeClient]:
    """Both clients, one after the other: for what both promise."""
    with _clients(request.param) as make:
        yield make


@pytest.fixture(name="make_client")
def sync_client_of() -> Iterator[MakeClient]:
    """The sync client alone."""
    with _clients(Client) as make:
        yield make


def drain(stream: ChatCompletionStream) -> tuple[list[str], ChatCompletionError | None]:
    """Read a stream to its end: the texts handed out, and the failure behind them."""
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
