"""What openai's client does as before with the guard under it: Azure, TLS, raw responses, redirects, many at once."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from firsttoken import Timeout
from firsttoken.guard import AsyncGuardTransport, GuardTransport, partial_of
from firsttoken.testing import FAULTS, ScriptedServer, close, delta, done, event, finish, respond, role, stall, text

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Why is the sky blue?"}]
WHOLE = [role(), "It scat", "ters.", finish(), done()]
TIMEOUT = Timeout(first_chunk_s=5, idle_s=5)


def sync_client(server: ScriptedServer, **guard: Any) -> openai.OpenAI:
    http_client = openai.DefaultHttpx2Client(transport=GuardTransport(timeout=TIMEOUT, **guard))
    return openai.OpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=0, http_client=http_client)


def async_client(server: ScriptedServer, **guard: Any) -> openai.AsyncOpenAI:
    http_client = openai.DefaultAsyncHttpx2Client(transport=AsyncGuardTransport(timeout=TIMEOUT, **guard))
    return openai.AsyncOpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=0, http_client=http_client)


def text_of(chunk: Any) -> str:
    return (chunk.choices[0].delta.content or "") if chunk.choices else ""


def read(client: openai.OpenAI) -> str:
    return "".join(map(text_of, client.chat.completions.create(model="m", messages=MESSAGES, stream=True)))


async def aread(client: openai.AsyncOpenAI) -> str:
    stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
    return "".join([text_of(chunk) async for chunk in stream])


def test_azure() -> None:
    with ScriptedServer(WHOLE) as server:
        http_client = openai.DefaultHttpx2Client(transport=GuardTransport(timeout=TIMEOUT))
        endpoint = server.base_url.removesuffix("/v1")
        with openai.AzureOpenAI(
            azure_endpoint=endpoint, api_version="2025-01-01", api_key="k", http_client=http_client
        ) as client:
            assert read(client) == "It scatters."
        (request,) = server.journal.requests
    assert request.target == "/openai/deployments/m/chat/completions?api-version=2025-01-01"
    assert request.headers["api-key"] == "k"


def test_a_certificate_authority_of_ones_own() -> None:
    with ScriptedServer(WHOLE, tls=True) as server:
        with sync_client(server, ssl_context=server.client_context()) as client:
            assert read(client) == "It scatters."
            answer = client.chat.completions.create(model="m", messages=MESSAGES)
            assert answer.choices[0].message.content == "It scatters."

        async def both() -> None:
            async with async_client(server, ssl_context=server.client_context()) as client:
                assert await aread(client) == "It scatters."
                answer = await client.chat.completions.create(model="m", messages=MESSAGES)
                assert answer.choices[0].message.content == "It scatters."

        asyncio.run(both())
        with sync_client(server) as client, pytest.raises(openai.APIConnectionError):
            read(client)


def test_raw_and_streaming_responses() -> None:
    with ScriptedServer(WHOLE) as server, sync_client(server) as client:
        completions = client.chat.completions
        raw = completions.with_raw_response.create(model="m", messages=MESSAGES, stream=True)
        assert raw.headers["content-type"] == "text/event-stream"
        assert "".join(map(text_of, raw.parse())) == "It scatters."
        with completions.with_streaming_response.create(model="m", messages=MESSAGES, stream=True) as response:
            lines = [line for line in response.iter_lines() if line]
        assert (len(lines), lines[-1]) == (5, "data: [DONE]")
        with completions.with_streaming_response.create(model="m", messages=MESSAGES) as response:
            assert response.parse().choices[0].message.content == "It scatters."


def test_a_redirect_is_followed_by_the_client_and_guarded_there() -> None:
    with ScriptedServer([role(), "It scat", close()]) as behind:
        moved = respond(307, headers={"location": f"{behind.base_url}/chat/completions"})
        with ScriptedServer(moved) as server, sync_client(server) as client, pytest.raises(openai.APIError) as caught:
            read(client)
        assert len(behind.journal.requests) == 1
        assert "authorization" not in behind.journal.requests[0].headers  # another port is another origin
    partial = partial_of(caught.value)
    assert partial is not None
    assert partial.text == "It scat"


def test_other_endpoints_pass() -> None:
    embedding = {"object": "list", "model": "e", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]}
    created = {"type": "response.output_text.delta", "delta": "Hi", "item_id": "1", "output_index": 0}
    with ScriptedServer(respond(200, embedding), [event(created), done()]) as server, sync_client(server) as client:
        found = client.embeddings.create(model="e", input="x", encoding_format="float")
        assert found.data[0].embedding == [0.5]
        events = list(client.responses.create(model="m", input="Hi", stream=True))
        assert [item.type for item in events] == ["response.output_text.delta"]
        with pytest.raises(openai.NotFoundError):
            client.models.list()


@pytest.mark.parametrize("name", ["no-choices", "nulls", "other-types"])
def test_what_clients_trip_over_is_written_as_they_know_it(name: str) -> None:
    """openai's accumulating stream raises TypeError or AttributeError of null for a list or an object."""
    fault = next(fault for fault in FAULTS if fault.name == name)
    with (
        ScriptedServer(fault) as server,
        sync_client(server) as client,
        client.chat.completions.stream(model="m", messages=MESSAGES) as stream,
    ):
        assert "".join(item.delta for item in stream if item.type == "content.delta") == fault.text


def test_a_finish_reason_that_is_an_error_comes_as_the_error_alone() -> None:
    script = [role(), text("Hel"), delta({"content": "lo"}, finish_reason="abort"), done()]
    texts: list[str] = []
    with ScriptedServer(script) as server, sync_client(server) as client, pytest.raises(openai.APIError, match="abort"):
        for chunk in client.chat.completions.create(model="m", messages=MESSAGES, stream=True):
            texts.append(text_of(chunk))
            assert chunk.choices[0].finish_reason is None
    assert texts == ["", "Hel", "lo"]


def test_fifty_tasks_share_a_guard() -> None:
    async def read_all(server: ScriptedServer) -> list[str]:
        async with async_client(server) as client:
            return await asyncio.gather(*(aread(client) for _ in range(50)))

    with ScriptedServer(WHOLE) as server:
        assert asyncio.run(read_all(server)) == ["It scatters."] * 50


def close_here(stream: openai.Stream[Any]) -> None:
    stream.close()


def close_elsewhere(stream: openai.Stream[Any]) -> None:
    thread = threading.Thread(target=stream.close)
    thread.start()
    thread.join()


def seen_after_s(server: ScriptedServer, leave: Callable[[], object]) -> float:
    """How long after a client has left the server knows."""
    left_at = time.monotonic()
    leave()
    assert server.journal.wait_for_disconnect()
    return time.monotonic() - left_at


@pytest.mark.parametrize("leave", [close_here, close_elsewhere])
def test_close_is_seen_within_50_ms(leave: Callable[[openai.Stream[Any]], None]) -> None:
    seen_s: list[float] = []
    for _ in range(3):  # the least of three: a busy machine may be late once
        with ScriptedServer([role(), "Hel", stall()]) as server, sync_client(server) as client:
            stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
            assert text_of(next(chunk for chunk in stream if text_of(chunk))) == "Hel"
            seen_s.append(seen_after_s(server, lambda stream=stream: leave(stream)))
    assert min(seen_s) < 0.05


def test_close_is_seen_within_50_ms_on_asyncio() -> None:
    async def once(server: ScriptedServer) -> float:
        async with async_client(server) as client:
            stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
            await anext(stream)
            left_at = time.monotonic()
            await stream.close()
            assert await asyncio.to_thread(server.journal.wait_for_disconnect)
            return time.monotonic() - left_at

    seen_s: list[float] = []
    for _ in range(3):
        with ScriptedServer([role(), "Hel", stall()]) as server:
            seen_s.append(asyncio.run(once(server)))
    assert min(seen_s) < 0.05
