"""`http_client=` with httpx2's own transport, over real sockets: what is promised of our own connections, as far as it
holds here too."""

import asyncio
import gc
import threading
import time
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from firsttoken import AsyncClient, Client, Timeout
from firsttoken.errors import APIConnectionError, APITimeoutError, RateLimitError, StreamTruncatedError
from tests.support.clients import KEY, REQUEST, clean_env, drain, failure_of
from tests.support.errors import message_of
from tests.support.hanging_calls import full_backlog
from tests.support.httpx2_clients import ClientOver, client_over
from tests.support.server import EVENT_STREAM, Peer, Server, chunk, event, respond_sequentially

__all__ = ["clean_env", "client_over"]

SHORT_S = 0.2


@contextmanager
def assert_duration(expected_s: float) -> Generator[None]:
    started_s = time.monotonic()
    yield
    took_s = time.monotonic() - started_s
    assert expected_s * 0.95 <= took_s < expected_s + 1


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


def test_four_streams_in_a_row_use_one_connection(client_over: ClientOver) -> None:
    with Server(respond_sequentially(whole, whole, whole, whole)) as server:
        client = client_over(server)
        for _ in range(4):
            assert drain(client.chat_completion_stream(REQUEST)) == (["Hel", "lo", ""], None)
        assert server.connections == 1


def test_a_cut(client_over: ClientOver) -> None:
    with Server(begin("Hel", then=lambda peer: peer.socket.close())) as server:
        texts, failure = drain(client_over(server).chat_completion_stream(REQUEST))
    assert texts == ["Hel"]
    assert type(failure) is StreamTruncatedError
    assert message_of(failure) == "the connection was closed before the end of the response"
    assert failure.partial is not None
    assert failure.partial.text == "Hel"


def test_a_reset(client_over: ClientOver) -> None:
    seen = threading.Event()

    def reset(peer: Peer) -> None:
        seen.wait(10)
        peer.reset()

    with Server(begin("Hel", then=reset)) as server:
        stream = client_over(server).chat_completion_stream(REQUEST)
        assert next(stream).text == "Hel"
        seen.set()
        failure = failure_of(stream)
    assert type(failure) is APIConnectionError
    assert message_of(failure) == f"lost the connection to 127.0.0.1:{server.port}: Connection reset by peer"
    assert isinstance(failure.__cause__, httpx2.ReadError)
    assert failure.partial is not None


def test_nobody_listens(client_over: ClientOver) -> None:
    with Server(silent) as server:
        pass
    failure = failure_of(client_over(server).chat_completion_stream(REQUEST))
    assert message_of(failure) == (
        f"no connection to 127.0.0.1:{server.port}: Connection refused\n"
        "hint: does the server run, and is this its port?"
    )
    assert isinstance(failure.__cause__, httpx2.ConnectError)


def test_an_answer_that_is_no_http(client_over: ClientOver) -> None:
    def serve(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"220 mail.test ESMTP\r\n\r\n")

    with Server(serve) as server:
        failure = failure_of(client_over(server).chat_completion_stream(REQUEST))
    assert message_of(failure).startswith("the server does not answer in HTTP: illegal status line")


def test_a_server_that_hangs_up_is_asked_again(client_over: ClientOver) -> None:
    def hang_up(peer: Peer) -> None:
        peer.socket.close()

    with Server(respond_sequentially(hang_up, whole)) as server:
        stream = client_over(server, max_retries=1).chat_completion_stream(REQUEST)
        assert drain(stream) == (["Hel", "lo", ""], None)
    assert len(server.requests) == 2


def test_a_stale_connection_is_replaced_silently(client_over: ClientOver) -> None:
    """httpx2 finds it dead only when it has sent the request; no retry is counted."""
    served: list[Peer] = []

    def serve(peer: Peer) -> None:
        served.append(peer)
        peer.read_request()
        whole(peer)
        if len(served) == 1:
            peer.read_request()
        elif peer.read_request() is not None:
            whole(peer)

    with Server(serve) as server:
        client = client_over(server)
        for _ in range(2):
            assert drain(client.chat_completion_stream(REQUEST)) == (["Hel", "lo", ""], None)
    assert server.connections == 2


def test_a_refusal_is_retried(client_over: ClientOver) -> None:
    def refuse(peer: Peer) -> None:
        peer.answer_json(429, {"error": {"message": "slow"}}, {"retry-after": "0", "x-request-id": "req_1"})

    with Server(respond_sequentially(refuse, whole, refuse)) as server:
        client = client_over(server)
        assert client.chat_completion_stream(REQUEST, print, max_retries=1).text == "Hello"
        with pytest.raises(RateLimitError, match="the server answered 429 Too Many Requests: slow") as caught:
            client.chat_completion(REQUEST)
    assert caught.value.request_id == "req_1"


def test_a_compressed_stream(client_over: ClientOver) -> None:
    def serve(peer: Peer) -> None:
        coder = zlib.compressobj(wbits=31)
        peer.begin_stream({"content-encoding": "gzip"})
        for part in (chunk("Hel"), chunk("lo", finish="stop"), "[DONE]"):
            peer.send_part(coder.compress(event(part)) + coder.flush(zlib.Z_SYNC_FLUSH))
        peer.send_part(coder.flush())
        peer.end_stream(done=False)

    with Server(respond_sequentially(serve)) as server:
        assert drain(client_over(server).chat_completion_stream(REQUEST)) == (["Hel", "lo"], None)


# --- deadlines ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["head", "chunk"])
def test_no_deadline_is_late(client_over: ClientOver, place: str) -> None:
    texts = ("Hel",) if place == "chunk" else ()
    timeout = Timeout(first_chunk_s=30 if texts else SHORT_S, idle_s=SHORT_S if texts else 30)
    with Server(begin("Hel") if texts else silent) as server:
        with assert_duration(SHORT_S):
            got, failure = drain(client_over(server, timeout=timeout).chat_completion_stream(REQUEST))
        assert server.was_left()
    assert got == list(texts)
    assert isinstance(failure, APITimeoutError)
    assert failure.phase == ("idle" if texts else "first_chunk")
    assert f"from 127.0.0.1:{server.port} within 0.2 s" in message_of(failure)


def test_the_total_includes_everything(client_over: ClientOver) -> None:
    with Server(begin("Hel")) as server, assert_duration(SHORT_S):
        stream = client_over(server, timeout=Timeout(total_s=SHORT_S)).chat_completion_stream(REQUEST)
        failure = failure_of(stream)
    assert isinstance(failure, APITimeoutError)
    assert failure.phase == "total"


def test_connecting_has_a_deadline(client_over: ClientOver) -> None:
    with full_backlog() as port, assert_duration(SHORT_S):
        client = client_over(f"http://127.0.0.1:{port}/v1", timeout=Timeout(connect_s=SHORT_S))
        failure = failure_of(client.chat_completion_stream(REQUEST))
    assert isinstance(failure, APITimeoutError)
    assert message_of(failure) == f"no connection to 127.0.0.1:{port} within 0.2 s (connect_s)"
    assert failure.phase == "connect"
    assert failure.retryable


def test_a_finished_stream_that_stays_open_is_complete_all_the_same(
    client_over: ClientOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firsttoken._protocol.response.SETTLE_S", SHORT_S)

    def finish(peer: Peer) -> None:
        peer.send_event(chunk(finish="stop"))
        peer.wait_for_disconnect()

    with Server(begin("Hel", then=finish)) as server:
        with assert_duration(SHORT_S):
            assert drain(client_over(server).chat_completion_stream(REQUEST)) == (["Hel", ""], None)
        assert server.was_left()


# --- the end --------------------------------------------------------------------------------------------------------


def test_break_closes_the_connection_at_once(client_over: ClientOver) -> None:
    with Server(begin("Hel", "lo")) as server:
        client = client_over(server)
        gc.disable()
        try:
            for _ in client.chat_completion_stream(REQUEST):
                break
            assert server.was_left()
        finally:
            gc.enable()


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


def test_streams_of_many_threads(client_over: ClientOver) -> None:
    answer = b"".join(event(chunk(str(number))) for number in range(50)) + event(chunk(finish="stop"))

    def serve(peer: Peer) -> None:
        peer.send_head(200, EVENT_STREAM | {"content-length": str(len(answer))})
        peer.send(answer)

    with Server(respond_sequentially(*[serve] * 64)) as server:
        client = client_over(server)
        results: list[Any] = []
        threads = [
            threading.Thread(target=lambda: results.append(drain(client.chat_completion_stream(REQUEST))))
            for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [([*map(str, range(50)), ""], None)] * 16
