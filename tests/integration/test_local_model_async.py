"""The promises of the asyncio client on a real model, several streams at once."""

import asyncio

import pytest

from firsttoken import AsyncChatCompletionStream, AsyncClient, ChatCompletion, Client, chat_completion_request
from firsttoken.local import LocalServer

pytestmark = pytest.mark.model


def test_the_styles_give_the_same_text_as_the_sync_client(local_server: LocalServer) -> None:
    request = chat_completion_request(local_server.model, "Why is the sky blue?", seed=5, max_tokens=32)

    async def scenario() -> list[str]:
        async with AsyncClient(base_url=local_server.base_url, api_key="", proxy="") as client:
            blocking = (await client.chat_completion(request)).text
            iterated = "".join([chunk.text async for chunk in client.chat_completion_stream(request)])
            pieces: list[str] = []
            await client.chat_completion_stream(request, lambda chunk: pieces.append(chunk.text))
            return [blocking, iterated, "".join(pieces)]

    texts = asyncio.run(scenario())
    with Client(base_url=local_server.base_url, api_key="", proxy="") as client:
        assert set(texts) == {client.chat_completion(request).text}


def test_eight_streams_at_once_and_one_is_cancelled(local_server: LocalServer) -> None:
    """Each is complete but the one that is cancelled, which does the others no harm."""
    started = asyncio.Event()

    async def read(stream: AsyncChatCompletionStream) -> ChatCompletion:
        async for chunk in stream:
            if chunk.text:
                started.set()
        return await stream.final_completion()

    async def scenario() -> tuple[list[ChatCompletion | BaseException], str]:
        async with AsyncClient(base_url=local_server.base_url, api_key="", proxy="") as client:
            streams = [
                client.chat_completion_stream(
                    chat_completion_request(local_server.model, f"Count from {number}.", seed=number, max_tokens=24)
                )
                for number in range(8)
            ]
            tasks = [asyncio.create_task(read(stream)) for stream in streams]
            await started.wait()
            tasks[3].cancel()
            return list(await asyncio.gather(*tasks, return_exceptions=True)), streams[3].state

    results, state = asyncio.run(scenario())
    assert isinstance(results.pop(3), asyncio.CancelledError)
    assert state == "stopped"
    for completion in results:
        assert isinstance(completion, ChatCompletion)
        assert completion.choices[0].finish_reason in ("length", "stop")
        assert completion.usage is not None
        assert completion.usage.completion_tokens > 0
        assert completion.text
