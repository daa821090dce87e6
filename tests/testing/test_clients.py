"""Clients of all kinds: the server is a real one, so each of them streams through it, and notices what goes wrong."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest

from firsttoken import AsyncClient, Client, chat_completion_request
from firsttoken.errors import RateLimitError, StreamTruncatedError
from firsttoken.testing import (
    FAULTS,
    Fault,
    Gate,
    ScriptedServer,
    done,
    error,
    finish,
    reasoning,
    role,
    stall,
    tool_call,
    usage,
)
from tests.support import openai_node

openai = pytest.importorskip("openai", reason="the official client is in the group bench")

REQUEST = chat_completion_request("m", "hi")
MESSAGES = [{"role": "user", "content": "hi"}]
TOOL_CALL = [role(), reasoning("Hm."), tool_call("now", {"zone": "UTC"}), finish("tool_calls"), usage(3, 4), done()]

COMPLETE = [fault for fault in FAULTS if fault.is_complete and not fault.needs_deadline]
UNREADABLE = {"ok-completion", "blank-data", "no-choices", "other-types", "foreign-events"}
"""What openai's clients refuse, whatever else is right: no stream, no data, no choices, a text as an index, pings."""


def test_ours_streams_and_waits() -> None:
    with ScriptedServer("Why, hello") as server, Client(server.api_key, server.base_url) as client:
        assert [chunk.text for chunk in client.chat_completion_stream(REQUEST)] == ["", "Why,", " hello", "", ""]
        completion = client.chat_completion(REQUEST)
        streamed = client.chat_completion_stream(REQUEST, lambda _: None)
        assert completion.text == streamed.text == "Why, hello"
        assert completion.usage == streamed.usage
        assert server.journal.connections_opened == 1


def test_the_one_json_object_says_what_the_stream_says() -> None:
    with ScriptedServer(TOOL_CALL) as server, Client(server.api_key, server.base_url) as client:
        completion = client.chat_completion(REQUEST)
        streamed = client.chat_completion_stream(REQUEST, lambda _: None)
        assert completion.choices == streamed.choices
        assert completion.choices[0].message.reasoning_text == "Hm."
        (call,) = completion.choices[0].message.tool_calls or []
        assert (call.id, call.function and call.function.arguments) == ("call_1", '{"zone": "UTC"}')


def test_ours_is_told_what_went_wrong() -> None:
    slowed = error(429, "too many", code="rate_limit_exceeded", headers={"retry-after-ms": "1"})
    with ScriptedServer(slowed, slowed, ["Hel"]) as server, Client(server.api_key, server.base_url) as client:
        with pytest.raises(RateLimitError, match="429 Too Many Requests: too many") as caught:
            client.chat_completion(REQUEST, max_retries=1)
        assert caught.value.code == "rate_limit_exceeded"
        with pytest.raises(StreamTruncatedError) as cut:
            client.chat_completion_stream(REQUEST, lambda _: None)
        assert cut.value.partial is not None
        assert cut.value.partial.text == "Hel"


def test_a_gate_gives_order_without_sleeping() -> None:
    gate = Gate()
    with (
        ScriptedServer(["Hel", gate, "lo", finish(), done()]) as server,
        Client(server.api_key, server.base_url).chat_completion_stream(REQUEST) as stream,
    ):
        assert next(stream).text == "Hel"
        assert gate.wait_until_reached()
        assert stream.completion.text == "Hel"
        gate.open()
        assert stream.final_completion().text == "Hello"


async def read_with_ours(server: ScriptedServer) -> str:
    async with AsyncClient(server.api_key, server.base_url) as client:
        return (await client.chat_completion_stream(REQUEST, lambda _: None)).text


def test_asyncio_tests_use_the_same_server() -> None:
    gate = Gate()

    async def main() -> list[str]:
        async with ScriptedServer(["Hel", gate, "lo", finish(), done()]) as server, asyncio.TaskGroup() as group:
            answers = [group.create_task(read_with_ours(server)) for _ in range(3)]
            assert await asyncio.to_thread(server.journal.wait_until_requests, 3)
            gate.open(3)
        return [answer.result() for answer in answers]

    assert asyncio.run(main()) == ["Hello"] * 3


def test_what_an_asyncio_test_has_left_has_left_before_the_server() -> None:
    async def main() -> ScriptedServer:
        async with ScriptedServer(["Hel", stall()]) as server, AsyncClient(server.api_key, server.base_url) as client:
            async for _ in client.chat_completion_stream(REQUEST):
                break
        return server

    assert asyncio.run(main()).journal.entries[0].end_reason == "client closed"


def test_the_official_client_streams_through_it() -> None:
    with (
        ScriptedServer("Why, hello", TOOL_CALL) as server,
        openai.OpenAI(api_key=server.api_key, base_url=server.base_url) as client,
    ):
        with client.chat.completions.create(model="m", messages=MESSAGES, stream=True) as stream:
            assert [chunk.choices[0].delta.content for chunk in stream] == ["", "Why,", " hello", None]
        whole = client.chat.completions.create(model="m", messages=MESSAGES)
        assert whole.choices[0].message.tool_calls[0].function.arguments == '{"zone": "UTC"}'
        assert whole.usage.total_tokens == 7
        assert server.journal.requests[0].headers["authorization"] == f"Bearer {server.api_key}"


def test_the_official_asyncio_client_streams_through_it() -> None:
    async def main() -> list[str]:
        async with (
            ScriptedServer("Why, hello") as server,
            openai.AsyncOpenAI(api_key=server.api_key, base_url=server.base_url) as client,
        ):
            stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
            return [chunk.choices[0].delta.content or "" async for chunk in stream]

    assert "".join(asyncio.run(main())) == "Why, hello"


def test_the_official_client_tries_again() -> None:
    again = error(503, headers={"retry-after-ms": "1"})
    with (
        ScriptedServer(again, again, "Hello") as server,
        openai.OpenAI(api_key=server.api_key, base_url=server.base_url, max_retries=2) as client,
    ):
        assert client.chat.completions.create(model="m", messages=MESSAGES).choices[0].message.content == "Hello"
        assert [entry.number for entry in server.journal.retries] == [2, 3]


def test_httpx2_streams_through_it() -> None:
    with ScriptedServer("Hello", tls=True) as server, httpx2.Client(verify=server.client_context()) as client:
        body = {"model": "m", "stream": True}
        with client.stream("POST", f"{server.base_url}/chat/completions", json=body) as response:
            assert response.status_code == 200
            assert '"content":"Hello"' in "".join(response.iter_text())


@pytest.fixture(scope="module")
def official() -> Iterator[Any]:
    with openai.OpenAI(api_key="sk-any", max_retries=0) as client:
        yield client


def read_with_the_official_helper(client: Any) -> str | None:
    try:
        with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
            return str(stream.get_final_completion().choices[0].message.content)
    except (openai.OpenAIError, ValueError, AssertionError, AttributeError, TypeError):
        return None


@pytest.mark.parametrize("fault", COMPLETE)
def test_what_is_complete_can_be_read_by_the_official_helper(fault: Fault, official: Any) -> None:
    refused = {*UNREADABLE, "nulls"}
    with ScriptedServer(fault) as server:
        read = read_with_the_official_helper(official.with_options(base_url=server.base_url))
    assert read == (None if fault.name in refused else fault.text)


def test_what_is_complete_can_be_read_by_the_official_client_for_node() -> None:
    refused = {*UNREADABLE, "not-a-number", "interim-then-answer", "no-finish-reason"}
    with ExitStack() as stack:
        servers = {fault.name: stack.enter_context(ScriptedServer(fault)) for fault in COMPLETE}
        read = openai_node.read_all({name: server.base_url for name, server in servers.items()})
    assert read == {fault.name: None if fault.name in refused else fault.text for fault in COMPLETE}
