"""firsttoken._protocol.decode: a payload to a chunk, `[DONE]` or a failure, by whichever path."""

import json
from typing import Any

import pytest

from firsttoken._models.base import MAX_ITEMS
from firsttoken._protocol.decode import (
    DONE,
    MAX_LEARNED_CHUNKS,
    ChunkDecoder,
    DecodeResult,
    decode_completion,
    decode_models,
)
from firsttoken._protocol.sse import ServerSentEvent, SSEDecoder
from firsttoken.errors import APIStatusError, ResponseFormatError
from tests.support.exchange import NOW_S, drain_all, new_exchange, response
from tests.support.lenient_helpers import decode_body_as_chunk
from tests.support.server import chunk, completion


def payload(value: Any) -> bytes:
    return json.dumps(value).encode()


HELLO, WORLD = payload(chunk("Hello")), payload(chunk(" world"))
ODD = payload(chunk("odd", provider="x"))
ERROR = payload({"error": {"message": "no", "code": 400}})


def blocks(*payloads: bytes) -> DecodeResult:
    return ChunkDecoder().decode_blocks(SSEDecoder(), b"\n\n".join(b"data: " + data for data in payloads))


def texts(decoded: DecodeResult) -> list[str]:
    return [made.text for made in decoded.chunks]


@pytest.mark.parametrize(
    ("payloads", "expected", "done"),
    [
        ([HELLO, WORLD], ["Hello", " world"], False),
        ([HELLO, WORLD, DONE], ["Hello", " world"], True),
        ([DONE], [], True),
        ([HELLO, ODD, WORLD], ["Hello", "odd", " world"], False),
        ([HELLO, ODD, DONE], ["Hello", "odd"], True),
        ([HELLO, DONE, WORLD], ["Hello"], True),
        ([HELLO, DONE, DONE], ["Hello"], True),
        ([HELLO, b" [DONE]"], ["Hello"], True),
        ([HELLO, b"", b"  ", WORLD], ["Hello", " world"], False),
        ([ODD, DONE, b"{"], ["odd"], True),
    ],
)
def test_a_read_of_plain_events(payloads: list[bytes], expected: list[str], done: bool) -> None:
    decoded = blocks(*payloads)
    assert texts(decoded) == expected
    assert decoded.done is done
    assert decoded.failure is None
    assert [made.raw for made in decoded.chunks] == [data for data in payloads if data[:1] == b"{"][: len(expected)]


@pytest.mark.parametrize("data", [ODD, b"[DONE]", b"{", b""])
def test_what_the_types_do_not_know_complete_is_for_the_longer_way(data: bytes) -> None:
    assert ChunkDecoder().try_decode(data) is None


@pytest.mark.parametrize("bad", [ERROR, b"{", b"\xff", b"[]"])
@pytest.mark.parametrize("before", [HELLO, ODD])
def test_a_read_ends_with_its_first_failure(bad: bytes, before: bytes) -> None:
    decoded = blocks(before, bad, WORLD, DONE)
    assert len(decoded.chunks) == 1
    assert decoded.failure is not None
    assert not decoded.done


def test_nesting_that_no_decoder_takes_is_a_failure() -> None:
    deep = b'{"annotations":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    failure = blocks(HELLO, deep).failure
    assert isinstance(failure, ResponseFormatError)
    assert str(failure).startswith('the server sent JSON that is nested too deeply: \'{"annotations":[[[')


# What a server adds is learned


def own(**fields: Any) -> bytes:
    return payload(chunk("x", **fields))


def test_the_second_chunk_with_the_same_fields_makes_a_decoder_of_them() -> None:
    decoder = ChunkDecoder()
    assert decoder.try_decode(own(p="a")) is None
    decoder.decode_events([ServerSentEvent("message", own(p="a"))])
    assert decoder.try_decode(own(p="a")) is None
    decoder.decode_events([ServerSentEvent("message", own(p="b"))])
    made = decoder.try_decode(own(p="c"))
    assert made is not None
    assert (made.extra, made.text, made.raw) == ({"p": "c"}, "x", own(p="c"))
    plain = decoder.try_decode(HELLO)
    assert plain is not None
    assert plain.extra == {}


def test_learning_ends() -> None:
    decoder = ChunkDecoder()
    for number in range(MAX_LEARNED_CHUNKS):
        decoder.decode_events([ServerSentEvent("message", own(**{f"field{number}": 1}))])
    decoded = decoder.decode_events([ServerSentEvent("message", own(late=1))] * 2)
    assert [made.extra for made in decoded.chunks] == [{"late": 1}] * 2
    assert decoder.try_decode(own(late=1)) is None
    assert decoder.try_decode(own(field0=1, field7=2)) is not None


def test_a_read_of_learned_chunks_keeps_the_bytes_and_its_end() -> None:
    decoder, sse = ChunkDecoder(), SSEDecoder()
    read = b"\n\n".join(b"data: " + data for data in (ODD, ODD, HELLO, ODD, DONE))
    first, second = decoder.decode_blocks(sse, read), decoder.decode_blocks(sse, read)
    for decoded in (first, second):
        assert texts(decoded) == ["odd", "odd", "Hello", "odd"]
        assert [made.raw for made in decoded.chunks] == [ODD, ODD, HELLO, ODD]
        assert [made.extra for made in decoded.chunks] == [{"provider": "x"}] * 2 + [{}, {"provider": "x"}]
        assert decoded.done


# A body that is one JSON object


def test_a_missing_total_is_the_sum() -> None:
    made = decode_completion(payload(completion(usage={"prompt_tokens": 3, "completion_tokens": 2})))
    assert made.usage is not None
    assert made.usage.total_tokens == 5


@pytest.mark.parametrize("decode", [decode_completion, decode_body_as_chunk])
@pytest.mark.parametrize("body", [b'{"id":"x","choices":[]}', b'{"id":"x","choices":null}'])
def test_a_body_without_choices_is_not_a_completion(decode: Any, body: bytes) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        decode(body)
    assert str(caught.value) == f"expected a chat completion, got one without choices: {body.decode()!r}"


CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize("indexes", [[{"index": 0}, {"index": 1}, {"index": 2}], [{}, {}, {}], [{"index": 0}] * 3])
def test_text_and_calls_in_separate_choices_are_one(indexes: list[dict[str, int]]) -> None:
    messages = [{"content": "I look."}, {"content": None, "tool_calls": [CALL]}, {"tool_calls": [{**CALL, "id": "b"}]}]
    choices = [
        {**index, "message": message, "finish_reason": "tool_calls"}
        for index, message in zip(indexes, messages, strict=True)
    ]
    made = decode_completion(payload({"choices": choices}))
    made.complete = True
    assert (made.text, [call.id for call in made.tool_calls], len(made.choices)) == ("I look.", ["a", "b"], 1)


TEXT, REASONING = {"content": "I look."}, {"content": None, "reasoning_content": "Hm.", "own": 1}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("messages", "reasons", "reason"),
    [
        ([TEXT, {"tool_calls": [CALL]}], ["stop", "tool_calls"], "tool_calls"),
        ([{"tool_calls": [CALL]}, TEXT], ["tool_calls", "stop"], "stop"),
        ([{"tool_calls": [CALL]}, TEXT], ["tool_calls", None], "tool_calls"),
        ([TEXT, {"tool_calls": [CALL]}], ["length", "tool_calls"], "length"),
        ([REASONING, TEXT, {"tool_calls": [CALL]}], [None, None, "tool_calls"], "tool_calls"),
        ([{"tool_calls": [CALL]}, {"tool_calls": [{**CALL, "id": "b"}]}, TEXT], ["stop"] * 3, "stop"),
        ([REASONING, TEXT], ["stop", "stop"], "stop"),
        ([TEXT], ["stop"], "stop"),
    ],
)
def test_where_one_choice_was_asked_for_the_parts_of_an_answer_are_one(
    streamed: bool, messages: list[Any], reasons: list[Any], reason: str
) -> None:
    choices = [
        {"index": index, "message": message, "finish_reason": finish}
        for index, (message, finish) in enumerate(zip(messages, reasons, strict=True), 1)
    ]
    exchange = new_exchange(streamed=streamed)
    exchange.receive_data(response(200, {}, payload({"choices": choices})), NOW_S)
    list(drain_all(exchange))
    made = exchange.completion or exchange.parser.completion
    (choice,) = made.choices
    calls = [call["id"] for message in messages for call in message.get("tool_calls", ())]
    assert (choice.index, choice.finish_reason, choice.message.content) == (0, reason, "I look.")
    assert [call.id for call in choice.message.tool_calls or ()] == calls
    assert choice.message.reasoning_text == ("Hm." if REASONING in messages else "")
    assert choice.message.extra == ({"own": 1} if REASONING in messages else {})


def test_two_texts_are_two_answers_even_where_one_was_asked_for() -> None:
    choices = [{"index": index, "message": TEXT, "finish_reason": "stop"} for index in range(2)]
    assert len(decode_completion(payload({"choices": choices}), 1).choices) == 2


def test_several_answers_stay_several() -> None:
    choices = [
        {"index": 0, "message": {"content": "No."}, "finish_reason": "stop"},
        {"index": 1, "message": {"tool_calls": [CALL]}, "finish_reason": "tool_calls"},
    ]
    assert len(decode_completion(payload({"choices": choices})).choices) == 2


@pytest.mark.parametrize("decode", [decode_completion, decode_body_as_chunk])
def test_a_body_that_is_an_error(decode: Any) -> None:
    for body in (
        ERROR,
        payload(completion(finish="error")),
        payload({"object": "error", "message": "no", "code": 400}),
    ):
        with pytest.raises(APIStatusError) as caught:
            decode(body)
        assert caught.value.in_stream
        assert str(caught.value).startswith("error response with status 200: ")
        assert caught.value.body == json.loads(body)


def test_deep_nesting_in_a_body() -> None:
    with pytest.raises(ResponseFormatError) as caught:
        decode_completion(b'{"choices":' + b"[" * 100_000)
    assert str(caught.value).startswith("the server sent JSON that is nested too deeply: ")


@pytest.mark.parametrize(
    ("body", "models"),
    [
        ({"data": [{"id": "a"}, {"id": ""}, {"name": "b"}, "c", {"id": "d"}]}, ["a", "d"]),
        ([{"id": "a"}], ["a"]),
        ({"data": "a"}, None),
        (b"<html>", None),
    ],
)
def test_a_list_of_models(body: Any, models: list[str] | None) -> None:
    assert decode_models(body if isinstance(body, bytes) else json.dumps(body).encode()) == models


def test_an_error_in_place_of_a_list_of_models() -> None:
    with pytest.raises(APIStatusError, match="no models today"):
        decode_models(b'{"error": {"message": "no models today", "code": 503}}')


def test_more_calls_than_an_answer_may_have() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = completion()
    body["choices"][0]["message"]["tool_calls"] = [call] * (MAX_ITEMS // 2 + 1)
    body["choices"].append(body["choices"][0] | {"index": 1})
    with pytest.raises(ResponseFormatError, match=r"too many tool calls in an answer \(more than 4096\)"):
        decode_completion(payload(body))


def test_the_error_of_a_complete_answer_holds_what_came_of_it_where_that_can_be_read() -> None:
    error = {"message": "no", "code": 500}
    readable = completion("Half") | {"error": error}
    with pytest.raises(APIStatusError) as failed:
        decode_completion(json.dumps(readable).encode())
    assert failed.value.partial is not None
    assert (failed.value.partial.text, failed.value.partial.complete) == ("Half", False)
    with pytest.raises(APIStatusError) as failed:
        decode_completion(json.dumps({"choices": [{"index": -1}], "error": error}).encode())
    assert failed.value.partial is None


@pytest.mark.parametrize("data", [b'"[DONE]"', b"[done]", b"DONE"])
def test_done_in_another_spelling_ends_the_stream(data: bytes) -> None:
    chunk = b'{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}'
    decoded = ChunkDecoder().decode_events([ServerSentEvent("message", chunk), ServerSentEvent("message", data)])
    assert (len(decoded.chunks), decoded.done, decoded.failure) == (1, True, None)


def test_of_parts_that_are_one_choice_no_field_is_lost() -> None:
    parts = [
        {"index": 0, "message": {"role": "assistant", "content": "Hi", "own": 1}},
        {"index": 0, "message": {"tool_calls": [CALL], "other": 2}, "finish_reason": "tool_calls"},
    ]
    (choice,) = decode_completion(json.dumps({"choices": parts}).encode()).choices
    assert (choice.message.content, choice.finish_reason) == ("Hi", "tool_calls")
    assert choice.message.extra == {"own": 1, "other": 2}
    assert [call.name for call in choice.message.tool_calls or ()] == ["f"]
