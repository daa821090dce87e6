"""The steps: what each puts on the wire."""

import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from firsttoken.testing import (
    FAULTS,
    Gate,
    Pace,
    Replay,
    ScriptedServer,
    Step,
    StepLike,
    body_bytes,
    chunk,
    close,
    coalesce,
    comment,
    delta,
    done,
    end,
    error,
    event,
    finish,
    head,
    interim,
    on_connect,
    pause,
    reasoning,
    refusal,
    refuse,
    repeat,
    replay,
    reply,
    reset,
    respond,
    role,
    split,
    stall,
    text,
    tool_call,
    usage,
    wire_bytes,
)
from firsttoken.testing._script.flow import as_step
from firsttoken.testing._server.connection import ServerConnection
from firsttoken.testing._server.listener import WakeupPipe
from firsttoken.testing._server.response import ResponseWriter, ScriptEndedError
from tests.support.raw_client import RawClient, asked, body_of, post, texts_in


def streamed(*steps: StepLike) -> bytes:
    """What a client that asked for a stream gets, to the last byte."""
    with ScriptedServer(steps) as server:
        return asked(server)


def chunks(*steps: StepLike) -> list[dict[str, object]]:
    """The chunks of a stream, without the fields that all have."""
    body = body_of(streamed(*steps))
    values = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]
    return [{name: value[name] for name in value if name in ("choices", "usage", "x")} for value in values]


def choice(value: dict[str, object], index: int = 0, finish_reason: str | None = None) -> dict[str, object]:
    return {"choices": [{"index": index, "delta": value, "logprobs": None, "finish_reason": finish_reason}]}


def test_content() -> None:
    assert chunks(role(), "Hel", text("lo", index=1), delta({"x": 1}, finish_reason="a"), refusal("No")) == [
        choice({"role": "assistant", "content": ""}),
        choice({"content": "Hel"}),
        choice({"content": "lo"}, 1),
        choice({"x": 1}, 0, "a"),
        choice({"refusal": "No"}),
    ]


def test_reasoning_has_many_names() -> None:
    assert chunks(reasoning("Hm"), reasoning("Hm", name="reasoning")) == [
        choice({"reasoning_content": "Hm"}),
        choice({"reasoning": "Hm"}),
    ]


@pytest.mark.parametrize(
    ("fragments", "pieces"),
    [(1, ['{"a": 1}']), (3, ['{"a', '": ', "1}"]), (100, list('{"a": 1}')), (0, ['{"a": 1}'])],
)
def test_a_tool_call_comes_in_fragments(fragments: int, pieces: list[str]) -> None:
    first, *rest = chunks(tool_call("now", {"a": 1}, call_id="c", position=2, fragments=fragments))
    opened = {"index": 2, "id": "c", "type": "function", "function": {"name": "now", "arguments": ""}}
    assert first == choice({"tool_calls": [opened]})
    assert rest == [choice({"tool_calls": [{"index": 2, "function": {"arguments": piece}}]}) for piece in pieces]


def test_arguments_may_be_text_and_empty() -> None:
    assert len(chunks(tool_call("now", "{broken"), tool_call("now", ""))) == 1 + 3 + 1


def test_finish_and_usage() -> None:
    counts = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert chunks(finish("length", index=1), usage(3, 4)) == [
        choice({}, 1, "length"),
        {"choices": [], "usage": counts},
    ]


def test_usage_may_be_for_those_who_ask() -> None:
    steps = ["x", usage(only_if_asked=True)]
    with ScriptedServer(steps) as server, RawClient(server) as client:
        body = b'{"stream": true, "stream_options": {"include_usage": true}}'
        client.send(b"POST / HTTP/1.1\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        assert b'"total_tokens":21' in client.read_all()
        assert b"usage" not in asked(server)


def test_a_chunk_is_filled_up_and_may_say_all_itself() -> None:
    (value,) = body_of(streamed(chunk({"id": "mine", "x": [None]}))).split(b"\n\n")[:-1]
    assert json.loads(value[6:]) == {
        "id": "mine",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [],
        "x": [None],
    }
    assert chunks({"choices": "no list"}) == [{"choices": "no list"}]


def test_half_a_surrogate_pair_is_escaped() -> None:
    assert rb'"content":"\ud83d"' in streamed("\ud83d")
    assert '"content":"é"'.encode() in streamed("é")


def test_events() -> None:
    assert body_of(streamed(event("{broken"), event({"a": 1}, name="ping"), event("a\nb"), done())) == (
        b'data: {broken\n\nevent: ping\ndata: {"a": 1}\n\ndata: a\ndata: b\n\ndata: [DONE]\n\n'
    )


def test_bytes_of_the_body() -> None:
    assert body_of(streamed(b"\xff", body_bytes(b""), body_bytes(b"\r"), comment("hi"))) == b"\xff\r: hi\n\n"


def test_bytes_on_the_wire_are_sent_as_they_are() -> None:
    assert streamed(wire_bytes(b"no "), wire_bytes(b"HTTP")) == b"no HTTP"
    assert streamed(wire_bytes(b"HTTP/1.1 100 Continue\r\n\r\n"), "Hel").startswith(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"
    )


def test_a_head_of_the_scripts_own() -> None:
    response = streamed(head(206, {"Content-Type": "text/plain", "X-A": "1"}), "Hel")
    assert response.startswith(
        b"HTTP/1.1 206 Partial Content\r\nconnection: close\r\ncontent-type: text/plain\r\n"
        b"transfer-encoding: chunked\r\nx-a: 1\r\n\r\n"
    )
    assert texts_in(response) == ["Hel"]


def test_a_body_that_a_close_ends() -> None:
    with ScriptedServer([head(framing="close"), "Hel"]) as server, RawClient(server) as client:
        client.send(post())
        response = client.read_all()
    assert response.startswith(
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n"
    )
    assert response.endswith(b"}\n\n")
    with pytest.raises(ValueError, match='framing must be "chunked" or "close": \'gzip\''):
        head(framing="gzip")


def test_responses_in_between() -> None:
    assert streamed(interim(103, {"link": "</a>"}), interim(100), "Hel").startswith(
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
    )


@pytest.mark.parametrize(
    ("body", "content_type", "sent"),
    [
        ({"a": 1}, b"content-type: application/json\r\n", b'{"a": 1}'),
        ("<p>", b"content-type: text/html; charset=utf-8\r\n", b"<p>"),
        (b"\xff", b"", b"\xff"),
    ],
    ids=["json", "html", "bytes"],
)
def test_a_complete_response(body: dict[str, object] | str | bytes, content_type: bytes, sent: bytes) -> None:
    assert streamed(respond(599, body)) == (
        b"HTTP/1.1 599 \r\nconnection: close\r\ncontent-length: %d\r\n%s\r\n%s" % (len(sent), content_type, sent)
    )


def test_a_complete_response_has_its_own_headers_instead() -> None:
    response = streamed(respond(200, {}, {"Content-Type": "text/plain", "content-length": "9"}))
    assert b"content-type: text/plain" in response
    assert b"content-length: 9" in response


def test_an_error_is_of_openais_shape() -> None:
    response = streamed(
        error(429, "slow down", kind="requests", code="rate_limit_exceeded", headers={"retry-after": "1"})
    )
    assert response.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b"retry-after: 1\r\n" in response
    fields = {"message": "slow down", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
    assert json.loads(body_of(response)) == {"error": fields}


def test_a_close_leaves_the_body_without_an_end() -> None:
    assert streamed("Hel", close()).endswith(b"\n\n\r\n")
    assert streamed("Hel", end(), close()).endswith(b"0\r\n\r\n")


def test_what_comes_after_the_end_is_sent_all_the_same() -> None:
    assert streamed("Hel", end(), end(), wire_bytes(b"more"), close()).endswith(b"\r\n0\r\n\r\nmore")


def test_a_reset_is_one() -> None:
    with pytest.raises(ConnectionResetError):
        streamed(reset())


def test_split_sends_pieces_and_loses_nothing() -> None:
    assert texts_in(streamed(split(1, "é", gap_s=0.0001), "whole", split(7, "lo"))) == ["é", "whole", "lo"]
    with pytest.raises(ValueError, match="pieces must have a byte at least: every=0"):
        split(0, "x")


def sends_of(*steps: StepLike) -> list[bytes]:
    """What is given to the system at once, each: a socket for datagrams keeps them apart."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    wakeup = WakeupPipe()
    line = ServerConnection(ours, 1, wakeup)
    try:
        for step in steps:
            as_step(step).play(ResponseWriter(line, None, Pace()))
    except ScriptEndedError:
        pass
    finally:
        line.close()
        wakeup.close()
    with theirs:
        theirs.setblocking(False)
        sends: list[bytes] = []
        try:
            while data := theirs.recv(65536):
                sends.append(data)
        except BlockingIOError:
            pass
        return sends


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no such sockets")
def test_each_step_is_sent_by_itself_unless_it_is_split_or_put_together() -> None:
    assert sends_of(wire_bytes(b"ab"), wire_bytes(b"cd")) == [b"ab", b"cd"]
    assert sends_of(split(1, wire_bytes(b"ab"), wire_bytes(b"cd"))) == [b"a", b"b", b"c", b"d"]
    assert sends_of(split(3, wire_bytes(b"abcd"), wire_bytes(b"ef"))) == [b"abc", b"d", b"ef"]
    assert sends_of(coalesce(wire_bytes(b"ab"), wire_bytes(b"cd"))) == [b"abcd"]
    assert sends_of(coalesce(wire_bytes(b"a"), coalesce(wire_bytes(b"b")), split(1, wire_bytes(b"cd")))) == [b"abcd"]
    assert sends_of(split(3, coalesce(wire_bytes(b"ab"), wire_bytes(b"cd")))) == [b"abc", b"d"]
    assert sends_of(coalesce(wire_bytes(b"ab"), pause(0.001), wire_bytes(b"cd"))) == [b"ab", b"cd"]
    assert sends_of(coalesce(wire_bytes(b"ab"), close())) == [b"ab"]


def test_what_is_held_together_is_seen_before_a_gate() -> None:
    gate = Gate()
    with ScriptedServer([coalesce("Hel", gate, "lo")]) as server, RawClient(server) as client:
        client.send(post())
        client.read_to(b'"content":"Hel"')
        assert gate.wait_until_reached()
        gate.open()
        client.read_to(b'"content":"lo"')


def test_a_gate_counts_how_often_it_is_opened_and_reached() -> None:
    gate = Gate()
    assert repr(gate) == "Gate()"
    assert not gate.wait_until_reached(timeout_s=0.001)
    gate.open(2)
    with ScriptedServer([gate, "a", gate, "b", gate, "c"]) as server, RawClient(server) as client:
        client.send(post())
        client.read_to(b'"content":"b"')
        assert all(gate.wait_until_reached() for _ in range(3))
        threading.Thread(target=gate.open).start()
        client.read_to(b'"content":"c"')


def test_a_stall_ends_when_the_client_leaves() -> None:
    with ScriptedServer([head(), stall()]) as server:
        with RawClient(server) as client:
            client.send(post())
            client.read_to(b"\r\n\r\n")
        assert server.journal.wait_for_disconnect()


def test_a_pause_may_be_longer_than_any_system_waits() -> None:
    with ScriptedServer([head(), pause(1e8)]) as server:
        with RawClient(server) as client:
            client.send(post())
            client.read_to(b"\r\n\r\n")
        assert server.journal.wait_until_ended()
        assert server.journal.entries[0].end_reason == "client closed"


def test_for_ever_is_until_the_client_leaves() -> None:
    with ScriptedServer([repeat("a", "b")]) as server:
        with RawClient(server) as client:
            client.send(post())
            for _ in range(3):
                client.read_to(b'"content":"b"')
        assert server.journal.wait_for_disconnect()


def test_for_ever_without_a_byte_ends_too() -> None:
    with ScriptedServer([head(), repeat(body_bytes(b""))]) as server:
        with RawClient(server) as client:
            client.send(post())
            client.read_to(b"\r\n\r\n")
        assert server.journal.wait_for_disconnect()


def test_a_reply_is_a_complete_answer() -> None:
    assert texts_in(streamed(*reply("Why, hello"))) == ["Why,", " hello"]
    assert texts_in(streamed(*reply(["He", "llo"], finish_reason="length"))) == ["He", "llo"]
    assert texts_in(streamed(*reply(""))) == []
    assert streamed(*reply("x")).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


@pytest.mark.parametrize("status", [99, 200])
def test_a_response_in_between_is_a_1xx(status: int) -> None:
    with pytest.raises(
        ValueError, match=rf"an interim response has a status of 1xx, not {status}; hint: head\(\) sends"
    ):
        interim(status)


@pytest.mark.parametrize("make", [body_bytes, wire_bytes])
@pytest.mark.parametrize("data", ["abc", 3, None])
def test_bytes_are_bytes(make: Callable[[object], Step], data: object) -> None:
    name = make.__name__
    with pytest.raises(TypeError, match=rf"{name}\(\) takes bytes, not {type(data).__name__}; hint: as in {name}\(b'"):
        make(data)


@pytest.mark.parametrize("thing", [finish, done, stall, Gate, refuse, replay])
def test_what_was_not_called_is_refused(thing: Any) -> None:
    message = rf"{thing.__name__} is a (function|class); hint: call it: {thing.__name__}\(\)"
    for script in (thing, ["Hel", thing]):
        with pytest.raises(TypeError, match=message):
            ScriptedServer(script)
    with pytest.raises(TypeError, match=message):
        split(1, thing)


@pytest.mark.parametrize("script", [FAULTS[0], refuse(), on_connect("x"), Replay((), 1.0), asked])
def test_a_complete_script_is_no_step(script: Any) -> None:
    message = (
        f"and bytes, not {type(script).__name__}; hint: it is a script of its own, which stands alone, not in a list"
    )
    with pytest.raises(TypeError, match=message):
        ScriptedServer(["Hel", script])
    with pytest.raises(TypeError, match=message):
        coalesce("Hel", script)


@pytest.mark.parametrize("step", [None, 1, ["a"]])
def test_what_is_no_step_is_refused(step: object) -> None:
    kind = type(step).__name__
    message = rf"a script has steps, texts, chunks \(dicts\) and bytes, not {kind}; hint: each of several scripts is an"
    with pytest.raises(TypeError, match=message):
        ScriptedServer(["Hel", step])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
