"""Replays: the recorded bytes, at their times, with the recorded ends."""

from dataclasses import replace
from typing import Any

import pytest

from firsttoken import Client, Timeout
from firsttoken.testing import (
    Gate,
    RecordedExchange,
    Recording,
    RecordingError,
    ScriptedServer,
    close,
    done,
    error,
    finish,
    pause,
    record,
    replay,
    reset,
    respond,
    stall,
)
from tests.support.clients import REQUEST, MakeClient, drain, make_socket_client
from tests.testing.test_recording import real

__all__ = ["make_socket_client"]

FAST = float("inf")


def recorded(*scripts: Any, calls: int = 1, **options: Any) -> Recording:
    with (
        ScriptedServer(*scripts) as server,
        Client(base_url=server.base_url, **options) as client,
        record(client) as recording,
    ):
        for _ in range(calls):
            drain(client.chat_completion_stream(REQUEST))
    return recording


def sent(exchange: RecordedExchange) -> bytes:
    return b"".join(read.data for read in exchange.reads)


def time_of(exchange: RecordedExchange, size: int) -> int:
    """When so many bytes had come."""
    so_far = 0
    for read in exchange.reads:
        so_far += len(read.data)
        if so_far >= size:
            return read.ns
    raise AssertionError(f"{size} bytes have not come, but {so_far}")


def test_every_byte_comes_again_and_the_connection_lives_on(make_client: MakeClient) -> None:
    original = recorded("Why, because.", "Why not?", calls=2)
    with ScriptedServer(replay(original, speed=FAST)) as server:
        client = make_client(server.base_url)
        with record(real(client)) as again:
            texts = ["".join(drain(client.chat_completion_stream(REQUEST))[0]) for _ in range(3)]
    assert texts == ["Why, because.", "Why not?", "Why, because."]  # behind the last comes the first again
    assert [sent(exchange) for exchange in again.exchanges[:2]] == [sent(exchange) for exchange in original.exchanges]
    assert server.journal.connections_opened == 1


@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_nothing_comes_before_its_time(make_client: MakeClient, speed: float) -> None:
    original = recorded(["a", pause(0.1), "b", pause(0.1), "c", finish(), done()]).exchanges[0]
    assert original.reads[-1].ns >= 200_000_000
    with ScriptedServer(replay(Recording([original]), speed=speed)) as server:
        client = make_client(server.base_url)
        with record(real(client)) as recording:
            drain(client.chat_completion_stream(REQUEST))
    (again,) = recording.exchanges
    size = 0
    for read in original.reads:
        size += len(read.data)
        # A replay begins when its server has the request, which is later: the times are never earlier than they were.
        assert time_of(again, size) >= read.ns / speed - 1_000_000
    assert again.reads[-1].ns < original.reads[-1].ns / speed + 5_000_000_000


def test_the_reads_come_one_by_one() -> None:
    """With time between them, each read of the recording is a read again."""
    original = recorded(["a", pause(0.3), "b", pause(0.3), "c", finish(), done()]).exchanges[0]
    with (
        ScriptedServer(replay(Recording([original]))) as server,
        Client(base_url=server.base_url) as client,
        record(client) as recording,
    ):
        drain(client.chat_completion_stream(REQUEST))
    (again,) = recording.exchanges
    before, after = ([read.data for read in found.reads if b'"b"' in read.data] for found in (original, again))
    assert before == after
    assert b'"a"' not in before[0]
    assert b'"c"' not in before[0]


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (close(), "the connection was closed before the end of the response"),
        (reset(), "lost the connection to"),
        (stall(), "after 0.2 s (idle_s)"),
    ],
    ids=["closed", "reset", "silent"],
)
def test_the_end_comes_again(make_client: MakeClient, end: Any, words: str) -> None:
    original = recorded(["Hel", end], timeout=Timeout(idle_s=0.2))
    with ScriptedServer(replay(original, speed=FAST)) as server:
        texts, failure = drain(
            make_client(server.base_url, timeout=Timeout(idle_s=0.2)).chat_completion_stream(REQUEST)
        )
    assert texts == ["Hel"]
    assert words in str(failure)


def test_a_call_that_was_retried_is_retried_again(make_client: MakeClient) -> None:
    original = recorded(error(503, headers={"retry-after-ms": "1"}), "At last.", max_retries=1)
    with ScriptedServer(replay(original)) as server:
        client = make_client(server.base_url, max_retries=1)
        assert client.chat_completion_stream(REQUEST).final_completion().text == "At last."
    assert len(server.journal.retries) == 1


def test_what_was_not_heard_to_its_end_is_cut_there(make_client: MakeClient) -> None:
    gate = Gate()
    script: list[Any] = ["Hel", gate, "lo", finish(), done()]
    with ScriptedServer(script) as server, Client(base_url=server.base_url) as client:
        with record(client) as unheard:
            stream = client.chat_completion_stream(REQUEST)
            assert next(stream).text == "Hel"
        stream.close()
    with ScriptedServer(replay(unheard, speed=FAST)) as server:
        texts, failure = drain(make_client(server.base_url).chat_completion_stream(REQUEST))
    assert (texts, str(failure)) == (["Hel"], "the connection was closed before the end of the response")


def test_where_the_client_left_it_is_the_client_that_leaves(make_client: MakeClient) -> None:
    """An answer without `[DONE]` is complete when its client has waited long enough, which a close would cut short."""
    original = recorded(["Hel", finish(), stall()], timeout=Timeout(idle_s=0.2))
    assert original.exchanges[0].end_reason == "client closed"
    with ScriptedServer(replay(original, speed=FAST)) as server:
        stream = make_client(server.base_url, timeout=Timeout(idle_s=0.2)).chat_completion_stream(REQUEST)
        assert drain(stream) == (["Hel", ""], None)
        assert server.journal.wait_for_disconnect()
        assert [entry.end_reason for entry in server.journal.entries] == ["client closed"]


@pytest.mark.parametrize("speed", [1e-9, 1e-300])
def test_a_replay_may_be_slower_than_any_system_waits(make_client: MakeClient, speed: float) -> None:
    with ScriptedServer(replay(recorded("Hello"), speed=speed)) as server:
        client = make_client(server.base_url, timeout=Timeout(first_chunk_s=0.05), max_retries=0)
        texts, failure = drain(client.chat_completion_stream(REQUEST))
    assert texts == []
    assert "after 0.05 s (first_chunk_s)" in str(failure)


def test_no_connection_is_a_reset() -> None:
    original = recorded(error(503), calls=1, max_retries=0)
    original.exchanges[0].end_reason = "no connection"
    original.exchanges[0].reads.clear()
    with ScriptedServer(replay(original)) as server, Client(base_url=server.base_url, max_retries=0) as client:
        texts, failure = drain(client.chat_completion_stream(REQUEST))
    assert texts == []
    assert "lost the connection to" in str(failure)


def test_a_call_that_was_not_streamed_comes_again() -> None:
    with ScriptedServer("Whole.") as server, Client(base_url=server.base_url) as client, record(client) as original:
        client.chat_completion(REQUEST)
    with ScriptedServer(replay(original)) as server, Client(base_url=server.base_url) as client:
        assert client.chat_completion(REQUEST).text == "Whole."


def test_a_response_that_an_edit_made_too_short_is_cut_and_not_awaited(make_client: MakeClient) -> None:
    original = recorded(respond(200, b"{...}"))
    exchange = original.exchanges[0]
    assert exchange.end_reason == "complete"
    exchange.reads = [replace(read, data=read.data.removesuffix(b"..}")) for read in exchange.reads]
    with ScriptedServer(replay(original, speed=FAST)) as server:
        failure = drain(make_client(server.base_url, max_retries=0).chat_completion_stream(REQUEST))[1]
    assert str(failure).startswith("the connection was closed before the end of the response")


@pytest.mark.parametrize("speed", [0, -1.0, float("nan")])
def test_a_speed_is_above_0(speed: float) -> None:
    with pytest.raises(ValueError, match=rf"^the speed of a replay must be above 0: {speed}$"):
        replay(Recording(), speed=speed)


def test_there_must_be_something_to_replay() -> None:
    with pytest.raises(RecordingError, match=r"^there is nothing to replay: the recording has no exchange$"):
        replay(Recording())
    with pytest.raises(RecordingError, match=r"^can't read none\.jsonl: No such file or directory$"):
        replay("none.jsonl")
