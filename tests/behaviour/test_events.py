"""`iter_events()`, as both streams keep it."""

import pytest

from firsttoken.errors import ConfigurationError, StreamTruncatedError
from firsttoken.events import FinishedEvent, StreamEvent, TextEvent
from tests.support.clients import REQUEST, MakeClient
from tests.support.errors import message_of
from tests.support.server import Peer, Server, chunk, event, respond_sequentially

HELLO: list[StreamEvent] = [
    TextEvent(choice_index=0, delta="Hel"),
    TextEvent(choice_index=0, delta="lo"),
    FinishedEvent(choice_index=0, finish_reason="stop"),
]


def hello(peer: Peer) -> None:
    peer.stream("Hel", "lo")


def two_texts_in_a_chunk(peer: Peer) -> None:
    """Of two choices, then a chunk that goes on, and nothing more."""
    peer.begin_stream()
    both = [{"index": index, "delta": {"content": f"{index}"}, "finish_reason": None} for index in (0, 1)]
    peer.send_part(event(chunk(choices=both)) + event(chunk("lo")))
    peer.wait_for_disconnect()


def test_the_events_of_a_complete_stream(make_client: MakeClient) -> None:
    with Server(respond_sequentially(hello)) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        assert list(stream.iter_events()) == HELLO
        assert stream.state == "complete"
        assert stream.completion.text == "Hello"
        assert list(stream.iter_events()) == []


def test_a_cut_stream_raises_behind_the_last_event(make_client: MakeClient) -> None:
    def cut(peer: Peer) -> None:
        peer.begin_stream()
        peer.send_part(event(chunk("Hel")) + event(chunk("lo")))
        peer.socket.close()

    with Server(respond_sequentially(cut)) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        events = stream.iter_events()
        assert [next(events), next(events)] == HELLO[:2]
        with pytest.raises(StreamTruncatedError, match="before the end of the response") as caught:
            next(events)
        assert caught.value.partial is not None
        assert caught.value.partial.text == "Hello"
        assert list(stream.iter_events()) == []


def test_a_second_loop_goes_on_where_the_first_was_left(make_client: MakeClient) -> None:
    with (
        Server(respond_sequentially(two_texts_in_a_chunk)) as server,
        make_client(server).chat_completion_stream(REQUEST) as stream,
    ):
        assert next(stream.iter_events()) == TextEvent(choice_index=0, delta="0")
        rest = stream.iter_events()
        assert next(rest) == TextEvent(choice_index=1, delta="1")
        last = next(rest)
        assert isinstance(last, TextEvent)
        assert last.snapshot == "0lo"


def test_a_stopped_stream_ends_without_saying_that_it_is_complete(make_client: MakeClient) -> None:
    with Server(respond_sequentially(two_texts_in_a_chunk)) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        events = stream.iter_events()
        assert isinstance(next(events), TextEvent)
        stream.close()
        assert list(events) == [TextEvent(choice_index=1, delta="1")]
        assert stream.state == "stopped"
        assert server.was_left()


def test_chunks_taken_otherwise_are_an_error_not_a_gap(make_client: MakeClient) -> None:
    with (
        Server(respond_sequentially(two_texts_in_a_chunk)) as server,
        make_client(server).chat_completion_stream(REQUEST) as stream,
    ):
        next(stream)
        with pytest.raises(ConfigurationError) as caught:
            next(stream.iter_events())
        assert message_of(caught.value) == (
            "iter_events has seen 0 of the 1 chunks that this stream has yielded\n"
            "hint: read the stream with iter_events() alone: an event of the others would be missing"
        )
        assert stream.state == "open"
