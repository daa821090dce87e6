"""Idle connections of the asyncio client."""

import asyncio

from firsttoken import AsyncClient
from firsttoken._async.pool import ConnectionPool
from tests.async_client.conftest import Run
from tests.support.clients import KEY, REQUEST
from tests.support.server import Peer, Server


def hello(peer: Peer) -> None:
    while peer.read_request() is not None:
        peer.stream("Hello")


def test_idle_connections_are_closed_when_their_time_is_over(run: Run) -> None:
    """Without waiting for another call."""

    async def scenario(server: Server) -> None:
        client = AsyncClient(KEY, server.base_url, proxy="")
        client._pool = ConnectionPool(None, max_idle_s=0.1)
        for number in (1, 2):
            assert (await client.chat_completion_stream(REQUEST, lambda _: None)).text == "Hello"
            assert await asyncio.to_thread(server.was_left)
            assert server.connections == number

    with Server(hello) as server:
        run(scenario(server))


def test_no_more_than_a_number_of_connections_is_kept(run: Run) -> None:
    async def scenario(server: Server) -> None:
        async with AsyncClient(KEY, server.base_url, proxy="", max_idle_connections=1) as client:
            async with asyncio.TaskGroup() as group:
                for _ in range(4):
                    group.create_task(client.chat_completion_stream(REQUEST).final_completion())
            assert await asyncio.to_thread(server.was_left, server.connections - 1)

    with Server(hello) as server:
        run(scenario(server))
    assert server.connections > 1
