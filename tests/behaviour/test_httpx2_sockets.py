"""`http_client=` with httpx2's own transport, over real sockets: what is promised of our own connections, as far as it
holds here too."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from firsttoken import AsyncClient, Client
from tests.support.clients import KEY, REQUEST, MakeClient, drain, failure_of, make_httpx2_client
from tests.support.errors import message_of
from tests.support.hanging_calls import full_backlog
from tests.support.server import Peer, Server, chunk

__all__ = ["make_httpx2_client"]

SHORT_S = 0.2


def begin(*texts: str, then: Callable[[Peer], object] = Peer.wait_for_disconnect) -> Callable[[Peer], None]:
    """A stream that begins with these, and goes on like that."""

    def serve(peer: Peer) -> None:
        peer.read_request()
        peer.begin_stream()
        for text in texts:
            peer.send_event(chunk(text))
        then(peer)

    return serve


def silent(peer: Peer) -> None:
    peer.read_request()
    peer.wait_for_disconnect()


def whole(peer: Peer) -> None:
    peer.stream("Hel", "lo")


def test_an_answer_that_is_no_http(make_client: MakeClient) -> None:
    def serve(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"220 mail.test ESMTP\r\n\r\n")

    with Server(serve) as server:
        failure = failure_of(make_client(server).chat_completion_stream(REQUEST))
    assert message_of(failure).startswith("the server does not answer in HTTP: illegal status line")


# --- the end --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["connect", "head", "reused", "chunk"])
def test_close_from_another_thread_wakes_the_reader(place: str) -> None:
    """Before the head of an answer over a reused connection, httpx2 can't be told to leave, so that the server is not
    left; the reader is woken all the same."""
    served: list[Peer] = []

    def serve(peer: Peer) -> None:
        if place == "reused":
            peer.read_request()
            whole(peer)
        (begin("Hel") if place == "chunk" else silent)(served.append(peer) or peer)

    with full_backlog() as port, Server(serve) as server, httpx2.Client(trust_env=False) as http_client:
        base_url = f"http://127.0.0.1:{port}/v1" if place == "connect" else server.base_url
        client = Client(KEY, base_url, http_client=http_client, max_retries=0)
        if place == "reused":
            assert client.chat_completion_stream(REQUEST, lambda _: None).text == "Hello"
        stream = client.chat_completion_stream(REQUEST)
        outcome: list[Any] = []
        thread = threading.Thread(target=lambda: outcome.append(drain(stream)))
        thread.start()
        pace = threading.Event()
        asked = {"connect": 0, "head": 1, "reused": 2, "chunk": 1}[place]
        while len(server.requests) < asked or stream.state == "idle" or (place == "chunk") > stream.timing.chunks:
            pace.wait(0.01)
        stream.close()
        thread.join(2)
        assert not thread.is_alive()
        assert outcome == [(["Hel"] if place == "chunk" else [], None)]
        assert stream.state == "stopped"
        if place in ("head", "chunk"):
            assert server.was_left()


def test_a_cancelled_task_closes_the_connection() -> None:
    async def scenario(server: Server) -> None:
        async with httpx2.AsyncClient(trust_env=False) as http_client:
            client = AsyncClient(KEY, server.base_url, http_client=http_client)
            stream = client.chat_completion_stream(REQUEST)
            assert (await anext(stream)).text == "Hel"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await anext(stream)
            assert stream.state == "stopped"
            assert await asyncio.to_thread(server.was_left)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    with Server(begin("Hel")) as server:
        asyncio.run(scenario(server))


def test_a_slow_reader_stops_the_reading() -> None:
    """What lies unread is bounded: the server's sending comes to a halt."""
    sent: list[int] = []

    def flood(peer: Peer) -> None:
        peer.socket.settimeout(0.5)
        try:
            for _ in range(10_000):
                peer.send_event(chunk("x" * 10_000))
                sent.append(1)
        except TimeoutError:
            peer.note_left()
            peer.server.closing.wait(10)

    async def scenario(server: Server) -> None:
        async with httpx2.AsyncClient(trust_env=False) as http_client:
            client = AsyncClient(KEY, server.base_url, http_client=http_client)
            async with client.chat_completion_stream(REQUEST) as stream:
                await anext(stream)
                assert await asyncio.to_thread(server.was_left, 1, 8)

    with Server(begin(then=flood)) as server:
        asyncio.run(scenario(server))
    assert len(sent) < 5_000


def test_a_reader_that_was_slow_gets_everything() -> None:
    def much(peer: Peer) -> None:
        for _ in range(500):
            peer.send_event(chunk("x" * 10_000))
        peer.send_event(chunk(finish="stop"))
        peer.end_stream()

    async def scenario(server: Server) -> None:
        async with httpx2.AsyncClient(trust_env=False) as http_client:
            stream = AsyncClient(KEY, server.base_url, http_client=http_client).chat_completion_stream(REQUEST)
            await anext(stream)
            while not (stream._call and stream._call._connection and stream._call._connection.is_paused):
                await asyncio.sleep(0)
            assert len((await stream.final_completion()).text) == 5_000_000

    with Server(begin(then=much)) as server:
        asyncio.run(scenario(server))


def test_a_loop_that_ends_takes_an_open_stream_with_it() -> None:
    async def scenario(server: Server) -> Any:
        http_client = httpx2.AsyncClient(trust_env=False)
        stream = AsyncClient(KEY, server.base_url, http_client=http_client).chat_completion_stream(REQUEST)
        assert (await anext(stream)).text == "Hel"
        return stream

    with Server(begin("Hel")) as server:
        stream = asyncio.run(scenario(server))
        assert server.was_left()
    assert stream.completion.text == "Hel"
