"""What a client gets that asked for no stream, from scripts that were written for one."""

import json

import pytest

from firsttoken.testing import (
    Gate,
    ScriptedServer,
    StepLike,
    body_bytes,
    close,
    comment,
    done,
    event,
    finish,
    head,
    repeat,
    reply,
    respond,
    role,
    stall,
    text,
    tool_call,
    usage,
    wire_bytes,
)
from tests.support.raw_client import RawClient, asked, body_of, post, texts_in


def whole(*steps: StepLike) -> bytes:
    """The response to a client that asked for no stream."""
    with ScriptedServer(steps) as server:
        return asked(server, stream=False)


def test_the_chunks_are_put_together() -> None:
    response = whole(role(), "Hel", text("other", index=1), "lo", finish(index=1), finish(), usage(1, 2), done())
    assert b"content-type: application/json\r\n" in response
    choices = [
        {"index": index, "message": {"role": "assistant", "content": content, "refusal": None}}
        | {"finish_reason": "stop", "logprobs": None}
        for index, content in enumerate(("Hello", "other"))
    ]
    assert json.loads(body_of(response)) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m",
        "choices": choices,
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }


def test_a_tool_call_and_fields_of_the_servers_own() -> None:
    steps = [tool_call("now", {"a": 1}), {"x": [None], "choices": []}, finish("tool_calls"), done()]
    value = json.loads(body_of(whole(*steps)))
    assert value["x"] == [None]
    function = {"name": "now", "arguments": '{"a": 1}'}
    assert value["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }


def test_what_only_a_stream_has_is_left_out() -> None:
    plain = whole("Hel", "lo", finish())
    assert whole(comment(), "Hel", body_bytes(b": ping\n\n"), "lo", finish(), done()) == plain


def test_a_script_that_was_cut_is_an_answer_without_a_finish_reason() -> None:
    assert json.loads(body_of(whole("Hel")))["choices"][0]["finish_reason"] is None
    assert json.loads(body_of(whole()))["choices"] == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"error": {"message": "no", "code": 429}}, b"429 Too Many Requests"),
        ({"error": "no"}, b"500 Internal Server Error"),
    ],
    ids=["429", "none"],
)
def test_an_error_in_the_stream_is_the_response(error: dict[str, object], status: bytes) -> None:
    response = whole("Hel", event(error), "lo")
    assert response.startswith(b"HTTP/1.1 %s\r\n" % status)
    assert json.loads(body_of(response)) == error


def test_an_event_named_error_is_the_response_too() -> None:
    assert body_of(whole("Hel", event("a\nb", name="error"), "lo")) == rb'"a\nb"'


@pytest.mark.parametrize("data", ["{broken", '{"choices":"no list"}'])
def test_what_is_no_chunk_is_the_response_as_it_is(data: str) -> None:
    response = whole("Hel", event(data), "lo")
    assert (response[:15], body_of(response)) == (b"HTTP/1.1 200 OK", data.encode())


def test_bytes_alone_are_the_body() -> None:
    assert whole(b'{"a"', b": 1}").endswith(b'content-type: application/json\r\n\r\n{"a": 1}')
    assert b"content-type: text/event-stream" in whole(b"data: [DONE]\n\n")


def test_a_script_that_speaks_of_the_wire_is_played_as_it_is() -> None:
    assert texts_in(whole("Hel", head(), "lo", finish())) == ["Hel", "lo"]
    assert whole(wire_bytes(b"HTTP/1.1 200 OK\r\n\r\nHello")) == b"HTTP/1.1 200 OK\r\n\r\nHello"
    assert whole("Hel", respond(204)).startswith(b"HTTP/1.1 204 No Content\r\n")


def test_it_waits_for_gates_and_closes_where_the_script_does() -> None:
    gate = Gate()
    with ScriptedServer(["Hel", gate, *reply("lo")]) as server, RawClient(server) as client:
        client.send(post(stream=False, connection="close"))
        assert gate.wait_until_reached()
        gate.open()
        assert b'"content": "Hello"' in client.read_all()
    assert whole("Hel", close()) == b""


@pytest.mark.parametrize("step", [stall(), repeat("x")], ids=["stall", "for ever"])
def test_what_has_no_end_is_no_answer(step: StepLike) -> None:
    with ScriptedServer(["Hel", step]) as server:
        with RawClient(server) as client:
            client.send(post(stream=False))
            assert server.journal.wait_until_requests()
        assert server.journal.wait_for_disconnect()
        (entry,) = server.journal.entries
        assert (entry.end_reason, entry.sent_bytes) == ("client closed", 0)
