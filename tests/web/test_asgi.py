"""The ASGI applications, with a server that the test plays itself."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest

from firsttoken.testing import Gate, ScriptedServer, close, done, error, finish, repeat, reply, stall, tool_call
from firsttoken.web import (
    SSE_HEADERS,
    UI_MESSAGE_STREAM_HEADERS,
    RelayResponse,
    completion_response,
    sse,
    sse_response,
    ui_message_event,
    ui_message_response,
    ui_message_stream,
)
from tests.support.web import REQUEST, WAIT_S, Browser, Kind, async_client, client, events_of

STOPPED_WITHIN_S = 0.5


def asking_of(kind: Kind, server: ScriptedServer) -> Any:
    return client(server) if kind == "sync" else async_client(server)


async def stopped_after_s(server: ScriptedServer, left_at: float) -> float:
    """How long after that moment the server saw that its client had left."""
    assert await asyncio.to_thread(server.journal.wait_for_disconnect)
    return time.monotonic() - left_at


@pytest.mark.parametrize(
    ("respond", "relay", "headers"),
    [(sse_response, sse, SSE_HEADERS), (ui_message_response, ui_message_stream, UI_MESSAGE_STREAM_HEADERS)],
    ids=["sse", "ui message"],
)
def test_it_answers_with_what_the_generator_gives(
    kind: Kind, respond: Any, relay: Any, headers: dict[str, str]
) -> None:
    async def scenario() -> None:
        browser = Browser()
        async with ScriptedServer(reply("Hello you")) as server:
            asking = asking_of(kind, server)
            await browser.load(respond(asking.chat_completion_stream(REQUEST), headers={"X-More": "1"}))
            with client(server) as direct:
                expected = b"".join(relay(direct.chat_completion_stream(REQUEST)))
        start = browser.messages[0]
        assert (start["type"], start["status"]) == ("http.response.start", 200)
        assert dict(start["headers"]) == {n.encode(): v.encode() for n, v in headers.items()} | {b"x-more": b"1"}
        assert browser.body.replace(b"chatcmpl-1", b"chatcmpl-2") == expected.replace(b"chatcmpl-1", b"chatcmpl-2")
        assert browser.has_all

    asyncio.run(scenario())


def test_the_upstream_stops_when_the_client_leaves_in_a_silence(kind: Kind) -> None:
    async def scenario() -> None:
        browser = Browser()
        async with ScriptedServer(["a", stall()]) as server:
            stream = asking_of(kind, server).chat_completion_stream(REQUEST)
            loading = asyncio.create_task(browser.load(sse_response(stream)))
            await browser.wait_for(b'"content":"a"')
            left_at = time.monotonic()
            browser.leave()
            await loading
            assert await stopped_after_s(server, left_at) < STOPPED_WITHIN_S
        assert stream.state == "stopped"
        assert not browser.has_all

    asyncio.run(scenario())


def test_the_upstream_stops_when_the_client_leaves_before_the_first_chunk(kind: Kind) -> None:
    async def scenario() -> None:
        browser = Browser()
        async with ScriptedServer([stall()]) as server:
            stream = asking_of(kind, server).chat_completion_stream(REQUEST)
            loading = asyncio.create_task(browser.load(ui_message_response(stream)))
            assert await asyncio.to_thread(server.journal.wait_until_requests)
            left_at = time.monotonic()
            browser.leave()
            await loading
            assert await stopped_after_s(server, left_at) < STOPPED_WITHIN_S

    asyncio.run(scenario())


def test_the_upstream_stops_when_the_client_leaves_without_having_read(kind: Kind) -> None:
    async def scenario() -> None:
        browser = Browser()
        async with ScriptedServer([repeat("x" * 10_000)]) as server:
            stream = asking_of(kind, server).chat_completion_stream(REQUEST)
            loading = asyncio.create_task(browser.load(sse_response(stream)))
            await browser.wait_for(b'"content":"x')
            browser.reads.clear()
            left_at = time.monotonic()
            browser.leave()
            await loading
            assert await stopped_after_s(server, left_at) < STOPPED_WITHIN_S

    asyncio.run(scenario())


def test_a_server_that_raises_where_the_client_has_left(kind: Kind) -> None:
    """As ASGI 2.4 has it; such a server need not tell in `receive`."""

    async def scenario() -> None:
        browser = Browser()

        async def send(message: MutableMapping[str, Any]) -> None:
            if b'"content":"a"' in browser.body:
                raise OSError("the client has left")
            await browser.send(message)

        async with ScriptedServer([repeat("a", gap_s=0.01)]) as server, asyncio.timeout(WAIT_S):
            stream = asking_of(kind, server).chat_completion_stream(REQUEST)
            await sse_response(stream)({"type": "http"}, browser.receive, send)
            assert await asyncio.to_thread(server.journal.wait_for_disconnect)

    asyncio.run(scenario())


def test_cancelling_the_application_stops_the_upstream(kind: Kind) -> None:
    async def scenario() -> None:
        browser = Browser()
        async with ScriptedServer(["a", stall()]) as server:
            stream = asking_of(kind, server).chat_completion_stream(REQUEST)
            loading = asyncio.create_task(browser.load(sse_response(stream)))
            await browser.wait_for(b'"content":"a"')
            loading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await loading
            assert await asyncio.to_thread(server.journal.wait_for_disconnect)

    asyncio.run(scenario())


def test_keep_alives(kind: Kind) -> None:
    async def scenario() -> None:
        browser, gate = Browser(), Gate()
        async with ScriptedServer([gate, "a", finish(), done()]) as server:
            stream = asking_of(kind, server).chat_completion_stream(REQUEST)
            loading = asyncio.create_task(browser.load(sse_response(stream, keepalive_s=0.02)))
            await browser.wait_for(b": keep-alive\n\n: keep-alive\n\n")
            gate.open()
            await loading
        assert browser.body.endswith(b"data: [DONE]\n\n")

    asyncio.run(scenario())


def test_a_generator_that_is_made_of_several_streams() -> None:
    async def scenario() -> None:
        browser = Browser()
        calls = [tool_call("dice", {}, call_id="c"), finish("tool_calls"), done()]
        async with ScriptedServer(calls, ["b", stall()]) as server, async_client(server) as asking:

            async def turns() -> AsyncIterator[bytes]:
                stream = asking.chat_completion_stream(REQUEST)
                async for part in ui_message_stream(stream, end_after_tool_calls=False):
                    yield part
                yield ui_message_event({"type": "tool-output-available", "toolCallId": "c", "output": 12})
                async for part in ui_message_stream(asking.chat_completion_stream(REQUEST), send_start=False):
                    yield part

            loading = asyncio.create_task(browser.load(ui_message_response(turns())))
            await browser.wait_for(b'"delta":"b"')
            left_at = time.monotonic()
            browser.leave()
            await loading
            assert await asyncio.to_thread(server.journal.wait_for_disconnect)
            assert time.monotonic() - left_at < STOPPED_WITHIN_S
        types = [event["type"] for event in events_of(browser.body)]
        assert types[:2] == ["start", "start-step"]
        assert types[-4:] == ["tool-output-available", "start-step", "text-start", "text-delta"]

    asyncio.run(scenario())


def test_what_goes_wrong_in_a_generator_breaks_the_response_off() -> None:
    async def scenario() -> None:
        browser = Browser()

        async def parts() -> AsyncIterator[bytes]:
            yield b": hello\n\n"
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await browser.load(sse_response(parts()))
        assert not browser.has_all

    asyncio.run(scenario())


def test_it_is_a_starlette_response_with_headers_and_a_background_task(kind: Kind) -> None:
    starlette = pytest.importorskip("starlette.responses")
    ran: list[str] = []

    async def background() -> None:
        ran.append("yes")

    async def scenario() -> None:
        browser = Browser()
        async with ScriptedServer(reply("a")) as server:
            response: Any = sse_response(asking_of(kind, server).chat_completion_stream(REQUEST))
            assert [isinstance(response, it) for it in (RelayResponse, starlette.Response)] == [True, True]
            response.headers["x-more"] = "1"
            response.set_cookie("seen", "yes")
            response.background = background
            await browser.load(response)
        names = [name for name, _ in browser.messages[0]["headers"]]
        assert {b"x-more", b"set-cookie"} <= set(names)

    asyncio.run(scenario())
    assert ran == ["yes"]


def blocking(kind: str, server: ScriptedServer) -> Any:
    """What a complete answer is asked of: a stream of either client, or the call of the async one."""
    if kind == "call":
        return async_client(server).chat_completion(REQUEST)
    return asking_of("sync" if kind == "sync" else "async", server).chat_completion_stream(REQUEST)


BLOCKING = ["sync", "async", "call"]


@pytest.mark.parametrize("kind", BLOCKING)
def test_a_complete_answer(kind: str) -> None:
    async def scenario() -> None:
        browser = Browser()
        async with ScriptedServer(reply("Hello you")) as server:
            await browser.load(completion_response(blocking(kind, server), headers={"x-more": "1"}))
        headers = dict(browser.messages[0]["headers"])
        assert browser.messages[0]["status"] == 200
        assert headers[b"content-type"] == b"application/json"
        assert (headers[b"x-more"], int(headers[b"content-length"])) == (b"1", len(browser.body))
        answer = json.loads(browser.body)
        assert answer["choices"][0]["message"]["content"] == "Hello you"
        assert not [name for name in answer if name.startswith("$")]

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", BLOCKING)
@pytest.mark.parametrize(
    ("script", "status", "text", "retry_after"),
    [
        (error(429, headers={"retry-after": "7"}), 429, "The model is busy. Try again later.", b"7"),
        (error(401), 502, "The model's server reported an error.", None),
        (["Hel", close()], 502, None, None),
    ],
    ids=["429", "401", "cut"],
)
def test_no_answer(kind: str, script: Any, status: int, text: str | None, retry_after: bytes | None) -> None:
    async def scenario() -> None:
        browser = Browser()
        async with ScriptedServer(script) as server:
            await browser.load(completion_response(blocking(kind, server)))
        start = browser.messages[0]
        assert (start["status"], dict(start["headers"]).get(b"retry-after")) == (status, retry_after)
        assert text in (None, json.loads(browser.body)["error"]["message"])

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", BLOCKING)
def test_the_request_is_dropped_when_the_client_leaves(kind: str) -> None:
    async def scenario() -> None:
        browser = Browser()
        async with ScriptedServer(["Hel", stall()]) as server:
            loading = asyncio.create_task(browser.load(completion_response(blocking(kind, server))))
            assert await asyncio.to_thread(server.journal.wait_until_requests)
            left_at = time.monotonic()
            browser.leave()
            await loading
            assert await stopped_after_s(server, left_at) < STOPPED_WITHIN_S
        assert browser.messages == []

    asyncio.run(scenario())
