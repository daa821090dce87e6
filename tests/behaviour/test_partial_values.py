"""The growing value of a streamed answer, on both clients."""

import itertools
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from firsttoken._json import as_array, as_object
from firsttoken.errors import (
    APIConnectionError,
    ChatCompletionError,
    ConfigurationError,
    ResponseFormatError,
    StreamTruncatedError,
)
from tests.support.clients import REQUEST, MakeClient
from tests.support.errors import message_of
from tests.support.server import DONE, WAIT_S, Peer, Server, chunk, event, respond_sequentially

TEXT = '{"name": "Rome", "people": 2800, "rivers": ["Tiber", "Aniene"]}'
WHOLE = {"name": "Rome", "people": 2800, "rivers": ["Tiber", "Aniene"]}


def streaming(*texts: str) -> Callable[[Peer], None]:
    return lambda peer: peer.stream(*texts)


def at_once(peer: Peer) -> None:
    """All of it in one write, and so (small as it is) in one read."""
    peer.begin_stream()
    peer.send_part(b"".join(event(chunk(text)) for text in TEXT) + event(chunk(finish="stop")) + DONE)
    peer.send(b"0\r\n\r\n")


def values_of(stream: Any) -> list[Any]:
    return list(stream.iter_partial())


def until_it_fails(stream: Any) -> tuple[list[Any], ChatCompletionError]:
    """The values, and the failure behind them."""
    values: list[Any] = []
    with pytest.raises(ChatCompletionError) as caught:
        values.extend(stream.iter_partial())
    return values, caught.value


def is_grown(earlier: Any, later: Any) -> bool:
    """Whether a value may have become another one by growing."""
    if isinstance(earlier, str):
        return later.startswith(earlier)
    fields, items = as_object(earlier), as_array(earlier)
    if fields is not None:
        return list(later)[: len(fields)] == list(fields) and all(
            is_grown(fields[name], later[name]) for name in fields
        )
    if items is not None:
        return len(items) <= len(later) and all(map(is_grown, items, later))
    return earlier == later


def test_the_values_grow_into_the_complete(make_client: MakeClient) -> None:
    with Server(respond_sequentially(streaming(*TEXT))) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        values = values_of(stream)
    assert values[-1] == WHOLE
    assert all(earlier != later for earlier, later in itertools.pairwise(values))
    assert all(is_grown(earlier, later) for earlier, later in itertools.pairwise(values))
    assert stream.state == "complete"
    assert stream.completion.parse(dict[str, Any]) == WHOLE


def test_each_piece_that_comes_alone_has_its_value(make_client: MakeClient) -> None:
    seen = threading.Semaphore(0)

    def serve(peer: Peer) -> None:
        peer.begin_stream()
        for text in ('{"name": "Ro', "me", '", "people": 2800}'):
            peer.send_event(chunk(text))
            assert seen.acquire(timeout=WAIT_S)
        peer.send_event(chunk(finish="stop"))
        peer.end_stream()

    with Server(respond_sequentially(serve)) as server:
        values: list[object] = []
        for value in make_client(server).chat_completion_stream(REQUEST).iter_partial():
            values.append(value)
            seen.release()
    assert values == [{"name": "Ro"}, {"name": "Rome"}, {"name": "Rome", "people": 2800}]


def test_what_comes_at_once_is_looked_at_once(make_client: MakeClient) -> None:
    with Server(respond_sequentially(at_once)) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        assert values_of(stream) == [WHOLE]
    assert stream.timing.chunks == len(TEXT) + 1


@pytest.mark.parametrize("how", ["end", "reset"])
def test_a_cut_stream_raises_behind_the_last_value(make_client: MakeClient, how: str) -> None:
    def serve(peer: Peer) -> None:
        peer.begin_stream({"x-request-id": "req_1"})
        for text in TEXT[:30]:
            peer.send_event(chunk(text))
        if how == "end":
            peer.send(b"0\r\n\r\n")
        else:
            peer.socket.close()

    with Server(respond_sequentially(serve)) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        values, failure = until_it_fails(stream)
    assert isinstance(failure, StreamTruncatedError if how == "end" else APIConnectionError | StreamTruncatedError)
    assert values[-1] == {"name": "Rome"}
    assert failure.partial is not None
    assert failure.partial.text == TEXT[:30]
    assert failure.request_id == "req_1"
    assert stream.state == "failed"


LONG = "x" * 100_000
"""Beyond some length the text is looked at in steps; a single "y" more is none."""


@pytest.mark.parametrize("end", ["whole", "cut"])
def test_the_last_value_of_a_long_answer_has_all_of_it(make_client: MakeClient, end: str) -> None:
    seen = threading.Semaphore(0)

    def serve(peer: Peer) -> None:
        peer.begin_stream()
        peer.send_part(event(chunk('{"a": "' + LONG)))
        assert seen.acquire(timeout=WAIT_S)
        peer.send_part(event(chunk("y")))
        if end == "cut":
            peer.send_part(event("{nothing"))
        else:
            peer.send_event(chunk(finish="length"))
            peer.end_stream()
        peer.wait_for_disconnect()

    with Server(respond_sequentially(serve)) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        values: list[object] = []
        failure: ChatCompletionError | None = None
        try:
            for value in stream.iter_partial():
                values.append(value)
                if len(str(value)) > len(LONG):
                    seen.release()
        except ChatCompletionError as error:
            failure = error
        stream.close()
        make_client(server).close()
    assert values[-1] == {"a": LONG + "y"}
    assert [len(str(value)) for value in values[-2:]] == [len(LONG) + 9, len(LONG) + 10]
    if end == "whole":
        assert (failure, stream.state) == (None, "complete")
    else:
        assert stream.state == "failed"
        assert failure is not None
        assert "'{nothing'" in message_of(failure)
        assert failure.chunks_received == 2


def test_a_stream_that_is_closed_just_ends(make_client: MakeClient) -> None:
    def serve(peer: Peer) -> None:
        peer.begin_stream()
        peer.send_event(chunk('{"name": "Ro'))
        peer.wait_for_disconnect()

    with Server(respond_sequentially(serve)) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        values: list[object] = []
        for value in stream.iter_partial():
            values.append(value)
            stream.close()
        assert server.was_left()
    assert (values, stream.state) == ([{"name": "Ro"}], "stopped")


def test_text_that_is_no_json_is_refused_and_the_stream_stays(make_client: MakeClient) -> None:
    with (
        Server(respond_sequentially(streaming("Sure, ", "here it is."))) as server,
        make_client(server).chat_completion_stream(REQUEST) as stream,
    ):
        with pytest.raises(ResponseFormatError, match=r"the answer is not JSON \(.*\): 'Sure, ") as caught:
            values_of(stream)
        assert stream.state == "open"
        assert stream.final_completion().text == "Sure, here it is."
    assert caught.value.partial is not None
    assert caught.value.chunks_received >= 1


@pytest.mark.parametrize(
    ("text", "found"), [('{"a": NaN}', "expected value"), ('{"a": 1} or so', "trailing characters")]
)
def test_what_could_not_be_parsed_is_refused_here_too(make_client: MakeClient, text: str, found: str) -> None:
    with Server(respond_sequentially(streaming(text))) as server:
        values = make_client(server).chat_completion_stream(REQUEST).iter_partial()
        with pytest.raises(ResponseFormatError, match=rf"the answer is not JSON \({found}"):
            for _, _value in zip(range(5), values, strict=False):  # bounded: NaN is equal to nothing
                pass


def test_what_was_read_in_another_way_is_in_the_value(make_client: MakeClient) -> None:
    with Server(respond_sequentially(streaming(*TEXT))) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        while not stream.completion.text.startswith('{"name":'):
            next(iter(stream))
        values: list[object] = []
        for value in stream.iter_partial():
            values.append(value)
            next(iter(stream), None)
            if len(values) == 2:
                break
        assert all(is_grown(earlier, later) for earlier, later in itertools.pairwise(values))
        assert values_of(stream)[-1] == WHOLE
        assert values_of(stream) == [WHOLE]


def test_an_answer_without_content_has_no_values(make_client: MakeClient) -> None:
    with Server(respond_sequentially(streaming())) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        assert values_of(stream) == []
        assert stream.state == "complete"


def test_without_jiter_it_says_what_to_install(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = make_client("http://127.0.0.1:1/v1").chat_completion_stream(REQUEST)
    monkeypatch.setitem(sys.modules, "jiter", None)
    with pytest.raises(ConfigurationError, match=r"hint: in a clone of firsttoken: pip install '\.\[structured\]'"):
        next(iter(stream.iter_partial()))
    assert stream.state == "idle"
