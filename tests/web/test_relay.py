"""What every relay does besides writing: keep-alives, the end of the stream when it is left, and bounded buffers."""

import asyncio
import gc
import threading
from contextlib import aclosing, closing

import pytest

from firsttoken.testing import Gate, ScriptedServer, done, finish, pause, repeat, reply, stall
from firsttoken.web import _relay, sse, ui_message_stream
from tests.support.web import REQUEST, WAIT_S, async_client, client, parts_of

KEEP_ALIVE = b": keep-alive\n\n"
BIG = "x" * 10_000


def test_keep_alives_fill_the_silence() -> None:
    gate = Gate()
    with ScriptedServer(["a", gate, "b", finish(), done()]) as server, client(server) as asking:
        relay = sse(asking.chat_completion_stream(REQUEST), keepalive_s=0.02)
        parts = [next(relay) for _ in range(4)]
        gate.open()
        rest = b"".join(relay)
    assert b'"content":"a"' in b"".join(parts)
    assert parts.count(KEEP_ALIVE) >= 2
    assert b'"content":"b"' in rest
    assert rest.endswith(b"data: [DONE]\n\n")


def test_keep_alives_fill_the_silence_on_asyncio() -> None:
    async def scenario() -> None:
        gate = Gate()
        async with ScriptedServer(["a", gate, "b", finish(), done()]) as server, async_client(server) as asking:
            relay = sse(asking.chat_completion_stream(REQUEST), keepalive_s=0.02)
            parts = await parts_of(relay, 4)
            gate.open()
            rest = b"".join([part async for part in relay])
        assert b'"content":"a"' in b"".join(parts)
        assert parts.count(KEEP_ALIVE) >= 2
        assert b'"content":"b"' in rest
        assert rest.endswith(b"data: [DONE]\n\n")

    asyncio.run(scenario())


def test_none_sends_none() -> None:
    with ScriptedServer(["a", pause(0.05), "b", finish(), done()]) as server, client(server) as asking:
        assert KEEP_ALIVE not in b"".join(sse(asking.chat_completion_stream(REQUEST), keepalive_s=None))


@pytest.mark.parametrize("way", ["close", "drop"])
def test_leaving_a_relay_closes_its_stream(way: str) -> None:
    with ScriptedServer(["a", stall()]) as server, client(server) as asking:
        stream = asking.chat_completion_stream(REQUEST)
        relay = sse(stream)
        assert b'"content":"a"' in next(relay)
        if way == "close":
            relay.close()
        del relay
        assert server.journal.wait_for_disconnect()
    assert stream.state == "stopped"


@pytest.mark.parametrize("way", ["close", "drop", "cancel"])
def test_leaving_a_relay_closes_its_stream_on_asyncio(way: str) -> None:
    async def scenario() -> None:
        async with ScriptedServer(["a", stall()]) as server, async_client(server) as asking:
            stream = asking.chat_completion_stream(REQUEST)
            relay = ui_message_stream(stream)
            seen = b""
            while b'"delta":"a"' not in seen:
                seen += await anext(relay)
            if way == "close":
                await relay.aclose()
            if way == "cancel":
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await anext(relay)
            del relay
            assert await asyncio.to_thread(server.journal.wait_for_disconnect)
            assert stream.state == "stopped"

    asyncio.run(scenario())


def test_a_reader_that_does_not_read_stops_the_server() -> None:
    """What one buffer holds, the connection's included, and not what the server has."""
    with ScriptedServer([repeat(BIG)]) as server, client(server) as asking:
        with closing(sse(asking.chat_completion_stream(REQUEST))) as relay:
            next(relay)
            sent = sent_when_stuck(server)
        assert sent < 16_000_000  # the system's own buffers: 6 MB on each side at most, on Linux
        assert server.journal.wait_for_disconnect()


def sent_when_stuck(server: ScriptedServer) -> int:
    """How much a server has sent when nobody takes more: it is asked until it says the same for a while."""
    (entry,) = server.journal.entries
    before = -1
    while before != entry.sent_bytes:
        before = entry.sent_bytes
        server.journal.wait_until_ended(timeout_s=0.3)
    return before


def test_a_reader_that_does_not_read_stops_the_server_on_asyncio() -> None:
    async def scenario() -> None:
        async with ScriptedServer([repeat(BIG)]) as server, async_client(server) as asking:
            async with aclosing(sse(asking.chat_completion_stream(REQUEST))) as relay:
                await anext(relay)
                sent = await asyncio.to_thread(sent_when_stuck, server)
                assert len(await anext(relay)) < _relay.MAX_BUFFER_BYTES + 2 * len(BIG)
            assert sent < 16_000_000
            assert await asyncio.to_thread(server.journal.wait_for_disconnect)

    asyncio.run(scenario())


def test_no_thread_and_no_task_is_left() -> None:
    before = set(threading.enumerate())
    with ScriptedServer(reply("a b c")) as server, client(server) as asking:
        for _ in range(20):
            assert list(sse(asking.chat_completion_stream(REQUEST)))
            relay = ui_message_stream(asking.chat_completion_stream(REQUEST))
            next(relay)
            relay.close()
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(WAIT_S)
    assert not any(thread.is_alive() for thread in left)

    async def scenario() -> None:
        async with ScriptedServer(reply("a b c")) as server, async_client(server) as asking:
            for _ in range(20):
                assert [part async for part in sse(asking.chat_completion_stream(REQUEST))]
                async with aclosing(ui_message_stream(asking.chat_completion_stream(REQUEST))) as relay:
                    await anext(relay)
            gc.collect()
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())


def test_what_a_relay_itself_raises_reaches_whoever_reads_it() -> None:
    def text(failure: Exception) -> str:
        raise ZeroDivisionError(str(failure))

    with ScriptedServer(["a"]) as server, client(server) as asking:
        relay = sse(asking.chat_completion_stream(REQUEST), error_text=text)
        with pytest.raises(ZeroDivisionError):
            list(relay)

    async def scenario() -> None:
        async with ScriptedServer(["a"]) as server, async_client(server) as asking:
            relay = sse(asking.chat_completion_stream(REQUEST), error_text=text)
            with pytest.raises(ZeroDivisionError):
                [part async for part in relay]

    asyncio.run(scenario())
