"""The growing value on asyncio: `async for`, and cancelling."""

import asyncio
import threading

import pytest

from firsttoken import AsyncClient
from tests.async_client.conftest import Run
from tests.support.clients import KEY, REQUEST
from tests.support.server import Peer, Server, chunk, respond_sequentially


def test_a_task_that_waits_for_a_value_can_be_cancelled(run: Run) -> None:
    begun = threading.Event()

    def serve(peer: Peer) -> None:
        peer.begin_stream()
        peer.send_event(chunk('{"a": "b'))
        peer.wait_for_disconnect()

    async def scenario(base_url: str) -> None:
        async with AsyncClient(KEY, base_url) as client:
            stream = client.chat_completion_stream(REQUEST)
            values: list[object] = []

            async def read() -> None:
                async for value in stream.iter_partial():
                    values.append(value)
                    begun.set()

            task = asyncio.create_task(read())
            assert await asyncio.to_thread(begun.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (values, stream.state) == ([{"a": "b"}], "stopped")

    with Server(respond_sequentially(serve)) as server:
        run(scenario(server.base_url))
        assert server.was_left()
