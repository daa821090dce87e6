"""Token providers that are awaited."""

import asyncio
import gc
import warnings

import pytest

from firsttoken import AsyncClient, Client, Timeout, chat_completion_request
from firsttoken.errors import APITimeoutError, ConfigurationError
from tests.async_client.conftest import Run
from tests.support.clients import REQUEST
from tests.support.errors import message_of
from tests.support.server import Peer, Server, completion, respond_sequentially


class Hanging:
    """Gives no token, and knows whether it was cancelled."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = False

    async def __call__(self) -> str:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return "never"


def answer(peer: Peer) -> None:
    peer.answer_json(200, completion())


def test_it_is_awaited_for_each_request(run: Run) -> None:
    async def provider() -> str:
        given.append(f"token-number-{len(given)}")
        await asyncio.sleep(0)
        return given[-1]

    async def scenario(server: Server) -> None:
        async with AsyncClient.azure(f"http://127.0.0.1:{server.port}", token_provider=provider) as client:
            for _ in range(2):
                assert (await client.chat_completion(REQUEST)).text == "Hello"

    given: list[str] = []
    with Server(respond_sequentially(answer, answer)) as server:
        run(scenario(server))
    assert [request.headers["authorization"] for request in server.requests] == [f"Bearer {token}" for token in given]
    assert given == ["token-number-0", "token-number-1"]


@pytest.mark.parametrize(
    ("timeout", "phase", "setting"),
    [(Timeout(first_chunk_s=0.02), "first_chunk", "first_chunk_s"), (Timeout(total_s=0.02), "total", "total_s")],
    ids=["first_chunk", "total"],
)
def test_a_deadline_ends_the_waiting_for_it(run: Run, timeout: Timeout, phase: str, setting: str) -> None:
    async def scenario() -> None:
        provider = Hanging()
        client = AsyncClient(provider, "http://127.0.0.1:9/v1", timeout=timeout)
        with pytest.raises(APITimeoutError) as caught:
            await client.chat_completion_stream(REQUEST).final_completion()
        assert message_of(caught.value) == f"timed out after 0.02 s ({setting}) waiting for the token provider"
        assert caught.value.phase == phase
        assert provider.cancelled

    run(scenario())


def test_its_own_timeout_error_is_left_as_it_is(run: Run) -> None:
    async def provider() -> str:
        raise TimeoutError("of its own")

    async def scenario() -> None:
        with pytest.raises(TimeoutError, match="of its own") as caught:
            await AsyncClient(provider, "http://127.0.0.1:9/v1").chat_completion(REQUEST)
        assert type(caught.value) is TimeoutError

    run(scenario())


def test_aclose_in_another_task_ends_the_waiting_for_it(run: Run) -> None:
    async def scenario() -> None:
        provider = Hanging()
        stream = AsyncClient(provider, "http://127.0.0.1:9/v1").chat_completion_stream(REQUEST)

        async def read() -> list[str]:
            return [chunk.text async for chunk in stream]

        reading = asyncio.create_task(read())
        await provider.begun.wait()
        await stream.aclose()
        assert await reading == []
        assert stream.state == "stopped"
        assert provider.cancelled

    run(scenario())


def test_cancelling_the_caller_cancels_it(run: Run) -> None:
    async def scenario() -> None:
        provider = Hanging()
        client = AsyncClient(provider, "http://127.0.0.1:9/v1")
        asking = asyncio.create_task(client.chat_completion(REQUEST))
        await provider.begun.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert provider.cancelled

    run(scenario())


def test_cancelling_the_caller_before_it_begins_leaves_nothing_that_was_never_awaited(run: Run) -> None:
    """At each turn of the loop; a coroutine that nobody awaits is what Python warns of when it is dropped."""

    async def scenario(turns: int) -> None:
        provider = Hanging()
        asking = asyncio.create_task(AsyncClient(provider, "http://127.0.0.1:9/v1").chat_completion(REQUEST))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        begun.append(provider.begun.is_set())

    begun: list[bool] = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for turns in range(4):
            run(scenario(turns))
            gc.collect()
    assert [str(warning.message) for warning in warned] == []
    assert begun[0] is False
    assert begun[-1] is True


def test_the_sync_client_takes_none_that_is_awaited() -> None:
    class Later:
        def __await__(self) -> object:
            raise AssertionError("nobody awaits it")

    client = Client(lambda: Later(), "http://127.0.0.1:9/v1")  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError) as caught:
        client.chat_completion(chat_completion_request("m", "Hi"))
    assert message_of(caught.value) == (
        "the token provider must return a str, not Later\nhint: an async token provider needs AsyncClient"
    )
