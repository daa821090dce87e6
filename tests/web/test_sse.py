"""`sse`: chunks with the bytes that came, an error where there is one, `[DONE]` of complete answers alone."""

import asyncio
import logging

import pytest

from firsttoken import Client, Timeout
from firsttoken.errors import ChatCompletionError, StreamTruncatedError
from firsttoken.testing import (
    FAULTS,
    Fault,
    ScriptedServer,
    body_bytes,
    close,
    done,
    error,
    event,
    finish,
    reply,
    respond,
    role,
)
from firsttoken.web import sse
from tests.support.web import REQUEST, Kind, async_client, client, events_of, relayed

DONE = b"data: [DONE]\n\n"


def test_the_servers_own_bytes_arrive(kind: Kind) -> None:
    odd = b'{ "id":"x",  "choices":[{"index":0,"delta":{"content":"h\\u00e9"},"finish_reason":"stop"}], "own":[1.50] }'
    assert relayed(kind, sse, [body_bytes(b"data: " + odd + b"\n\n"), done()]) == b"data: " + odd + b"\n\n" + DONE


def test_data_of_several_lines_stays_one_event(kind: Kind) -> None:
    lines = [b'{"choices":[{"index":0,', b'"delta":{"content":"a"},', b'"finish_reason":"stop"}]}']
    sent = b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"
    assert relayed(kind, sse, [body_bytes(sent), done()]) == sent + DONE


def test_carriage_returns_of_a_json_answer_end_no_line(kind: Kind) -> None:
    """A server that answers with one JSON object instead of a stream; the object may be written over many lines."""
    body = b'{"choices":[{"index":0,\r\n"delta":{"content":"a"},\r"finish_reason":"stop"}]}'
    script = [respond(200, body, headers={"content-type": "application/json"})]
    (chunk, end) = events_of(relayed(kind, sse, script))
    assert (chunk["choices"][0]["delta"]["content"], end) == ("a", "[DONE]")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (["Hel", close()], ("stream_truncated_error", "The answer broke off before it was complete.")),
        (
            [role(), finish("length"), close()],
            ("stream_truncated_error", "The answer broke off before it was complete."),
        ),
        (error(429), ("rate_limit_error", "The model is busy. Try again later.")),
        (error(500), ("internal_server_error", "The model's server reported an error.")),
        (error(401), ("authentication_error", "The model's server reported an error.")),
        (["Hel", event({"error": {"message": "boom"}})], ("api_status_error", "The model's server reported an error.")),
        ([event("{nonsense")], ("response_format_error", "The model's server sent an answer that can't be read.")),
    ],
    ids=["cut", "cut after a finish reason", "429", "500", "401", "in the stream", "no JSON"],
)
def test_a_failure_is_an_error_and_no_done(kind: Kind, script: object, expected: tuple[str, str]) -> None:
    *_, last = events_of(relayed(kind, sse, script))
    kind_of_error, text = expected
    assert last == {"error": {"message": text, "type": kind_of_error, "param": None, "code": None}}


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"error": {"message": "boom"}}, {}),
        ({"x_groq": {"id": "r", "error": "boom"}}, {"x_groq": {"id": "r"}}),
        ({"error": None}, {"error": None}),
    ],
    ids=["beside the choices", "deeper", "null"],
)
def test_what_an_error_came_with_is_relayed_without_it(
    kind: Kind, fields: dict[str, object], left: dict[str, object]
) -> None:
    choices = [{"index": 0, "delta": {"content": "tail"}, "finish_reason": None}]
    events = events_of(relayed(kind, sse, ["Hel", event({"choices": choices, **fields})]))
    assert events[1] == {"choices": choices, **left}
    assert "error" in events[2]


def test_a_complete_answer_in_place_of_a_stream_is_relayed_as_a_chunk(kind: Kind) -> None:
    message = {"role": "assistant", "content": "Hello"}
    answer = {"object": "chat.completion", "id": "x", "choices": [{"message": message, "finish_reason": "stop"}]}
    chunk, end = events_of(relayed(kind, sse, [respond(200, answer)]))
    assert (chunk["object"], chunk["id"], chunk["choices"][0]["delta"]) == ("chat.completion.chunk", "x", message)
    assert (chunk["choices"][0]["finish_reason"], end) == ("stop", "[DONE]")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_reader_of_the_relay_fails_where_the_relay_did(fault: Fault) -> None:
    """Whatever goes wrong with the answer, our own client behind the relay gets the text that came, and an error."""
    deadlines = Timeout(connect_s=1, first_chunk_s=0.4, idle_s=0.4)
    with ScriptedServer(fault) as server, client(server, timeout=deadlines) as asking:
        stream = asking.chat_completion_stream(REQUEST)
        body = b"".join(sse(stream))
    head = respond(200, body, headers={"content-type": "text/event-stream"})
    with ScriptedServer([head]) as server, client(server) as asking:
        again = asking.chat_completion_stream(REQUEST)
        try:
            text = again.final_completion().text
        except ChatCompletionError as failure:
            text = failure.partial.text if failure.partial else ""
    assert (again.state, text) == (stream.state, stream.completion.text)


def test_the_application_chooses_the_text_and_the_log_has_the_rest(
    kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    def text(failure: Exception) -> str:
        assert isinstance(failure, StreamTruncatedError)
        assert failure.partial is not None
        return f"only {failure.partial.text!r} came"

    with caplog.at_level(logging.WARNING, "firsttoken.web"):
        *_, last = events_of(relayed(kind, sse, ["Hel", close()], error_text=text))
    assert last["error"]["message"] == "only 'Hel' came"
    (record,) = [record for record in caplog.records if record.name == "firsttoken.web"]
    assert record.getMessage().startswith("the relayed stream failed: StreamTruncatedError: ")


def test_no_text_of_ours_shows_what_the_server_said(kind: Kind) -> None:
    with ScriptedServer() as server:
        secrets = (server.api_key, "10.1.2.3", "org-internal")
    body = relayed(kind, sse, error(401, f"key {secrets[0]} of {secrets[2]} is not known at {secrets[1]}"))
    assert not any(secret.encode() in body for secret in secrets)


@pytest.mark.parametrize("keepalive_s", [0, -1, float("nan")])
def test_a_keep_alive_without_a_time(keepalive_s: float) -> None:
    with Client(base_url="http://127.0.0.1:9/v1", api_key="") as asking:
        stream = asking.chat_completion_stream(REQUEST)
        with pytest.raises(ValueError, match="keepalive_s must be positive or None: "):
            sse(stream, keepalive_s=keepalive_s)


def test_a_stopped_stream_has_no_done() -> None:
    with ScriptedServer(reply("a b c")) as server, client(server) as asking:
        stream = asking.chat_completion_stream(REQUEST)
        stream.close()
        assert b"".join(sse(stream)) == b""

    async def collect() -> list[bytes]:
        async with ScriptedServer(reply("a b c")) as server, async_client(server) as asking:
            stream = asking.chat_completion_stream(REQUEST)
            await stream.aclose()
            return [part async for part in sse(stream)]

    assert b"".join(asyncio.run(collect())) == b""
