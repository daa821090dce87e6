"""Clients over an httpx2 client of the caller's own, sync and async behind one interface, and the fixture for them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest

from firsttoken import Client
from tests.support.clients import KEY
from tests.support.server import Server
from tests.support.sync_adapter import BlockingAsyncClient

ClientOver = Callable[..., Any]
Handler = Callable[[httpx2.Request], httpx2.Response]


class _BlockingAsyncClient(BlockingAsyncClient):
    """Closes the caller's client too, in the loop that it belongs to."""

    def __init__(self, *, http_client: httpx2.AsyncClient, **options: Any) -> None:
        super().__init__(http_client=http_client, **options)
        self.http_client = http_client

    def __exit__(self, *details: object) -> None:
        self._loop.run(self.http_client.aclose())
        super().__exit__(None, None, None)


@pytest.fixture(params=["sync", "async"])
def client_over(request: pytest.FixtureRequest) -> Iterator[ClientOver]:
    """Makes clients that ask a server, or a handler in place of one, with an httpx2 client of these settings."""
    with ExitStack() as stack:

        def make(where: Server | str | Handler, *, http: dict[str, Any] | None = None, **options: Any) -> Any:
            settings: dict[str, Any] = {"max_retries": 0, "api_key": KEY, "base_url": "http://api.test/v1"} | options
            theirs: dict[str, Any] = {"trust_env": False} | (http or {})
            if isinstance(where, str):
                settings["base_url"] = where
            elif isinstance(where, Server):
                settings["base_url"] = where.base_url
            else:
                theirs["transport"] = httpx2.MockTransport(where)
            if request.param == "async":
                return stack.enter_context(_BlockingAsyncClient(http_client=httpx2.AsyncClient(**theirs), **settings))
            http_client = stack.enter_context(httpx2.Client(**theirs))
            return stack.enter_context(Client(http_client=http_client, **settings))

        yield make
