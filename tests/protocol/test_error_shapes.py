"""firsttoken._protocol.server_error: the shapes of errors in a 200, and what looks like one and is none."""

import json
from typing import Any

import pytest

from firsttoken._models.tables import FINISH_REASONS, finish_class
from firsttoken._protocol.decode import ChunkDecoder, decode_completion
from firsttoken._protocol.server_error import error_object, status_error, stream_error
from firsttoken._protocol.sse import ServerSentEvent
from firsttoken.errors import APIStatusError, InternalServerError, RateLimitError
from firsttoken.types import ChatCompletion, ChatCompletionChunk, Choice
from tests.support.server import chunk, completion

SHAPES: list[tuple[Any, str, int | None, str | None, bool]] = [
    # what is sent, the server's words, status, code, whether a retry may help
    (
        {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "no balance"}},
        "no balance",
        None,
        "1008",
        False,
    ),
    (
        {"choices": [], "base_resp": {"status_code": 1002, "status_msg": "rate limit"}},
        "rate limit",
        None,
        "1002",
        False,
    ),
    ({"base_resp": {"status_code": "1004", "status_msg": "login"}, "id": "x"}, "login", None, "1004", False),
    ({"code": 429, "message": "slow down"}, "slow down", 429, "429", True),
    ({"code": "rate_limited", "message": "slow down", "status": 429}, "slow down", 429, "rate_limited", True),
    ({"code": 401, "msg": "bad key", "success": False}, "bad key", 401, "401", False),
    ({"message": "no", "type": "invalid_request_error"}, "no", None, None, False),
    ({"message": "Unauthorized", "request_id": "r"}, "Unauthorized", None, None, False),
    ({"detail": "gone"}, "gone", None, None, False),
    ({"detail": "busy", "status_code": 503}, "busy", 503, None, True),
    ({"errors": [{"message": "no", "code": 7}], "success": False}, "no", None, None, False),
    ({"errors": ["a", "b"]}, "['a', 'b']", None, None, False),
    ({"code": 10013, "message": "blocked", "sid": "s"}, "blocked", None, "10013", False),
    ({"error_code": 17, "error_msg": "daily limit"}, "daily limit", None, "17", False),
    ({"text": "CUDA error", "error_code": 50001}, "CUDA error", None, "50001", False),
    ({"ResponseMetadata": {"Error": {"Code": "Busy", "Message": "try later"}}}, "try later", None, "Busy", False),
    ({"x_groq": {"error": "over capacity"}, "choices": []}, "over capacity", None, None, False),
    ({"x_groq": {"error": {"message": "over", "code": 503}}}, "over", 503, "503", True),
    ([{"error": {"message": "busy", "code": 503}}], "busy", 503, "503", True),
    ([{"code": 500, "message": "broken"}], "broken", 500, "500", True),
    ({"error": {"error": "Too many tokens", "error_code": 4001}}, "Too many tokens", None, "4001", False),
    ({"error": {"message": "no", "http_code": 502}}, "no", 502, None, True),
    ({"error": {"message": "no", "http_status_code": "429"}}, "no", 429, None, True),
    ({"error": {"message": "no"}, "statusCode": 503}, "no", 503, None, True),
    ({"error": {"message": "busy", "type": "overloaded_error"}}, "busy", None, None, True),
    ({"error": {"message": "busy", "type": "server_error"}}, "busy", None, None, True),
    ({"error": {"message": "busy", "code": "server_error", "type": "x"}}, "busy", None, "server_error", True),
    ({"error": {"message": "pay", "type": "exceeded_current_quota_error", "code": 429}}, "pay", 429, "429", False),
    (
        {"error": {"message": "pay", "code": "insufficient_quota", "status": 429}},
        "pay",
        429,
        "insufficient_quota",
        False,
    ),
    ({"error": [{"message": "busy", "code": 503}]}, "busy", 503, "503", True),
    ({"error": ["a", "b"]}, "['a', 'b']", None, None, False),
    ({"error": {"error": {"message": "slow down", "code": 429}}}, "slow down", 429, "429", True),
    ({"error": {"code": 502, "error": {"error": {"message": "up"}}}}, "up", 502, "502", True),
    ({"error": {"message": {"text": "no"}, "code": 429}}, "{'text': 'no'}", 429, "429", True),
    (
        {"object": "error", "message": {"detail": [{"msg": "no"}]}, "type": "t"},
        "{'detail': [{'msg': 'no'}]}",
        None,
        None,
        False,
    ),
    ({"error": 503}, "503", 503, None, True),
    ({"error": True}, "no reason given", None, None, False),
    ({"error": {"code": 503}}, "no reason given (code 503)", 503, "503", True),
    ({"error": {"type": "overloaded_error"}}, "no reason given (type overloaded_error)", None, None, True),
    ({"code": 503}, "no reason given (code 503)", 503, "503", True),
    ({"status": 429, "reason": "quota"}, "no reason given", 429, None, True),
    ({"base_resp": {"status_code": 1008}}, "no reason given (status_code 1008)", None, None, False),
    ({"Message": "denied", "__type": "AccessDenied"}, "denied", None, None, False),
    ({"choices": [{"delta": {"error": "bad"}}]}, "bad", None, None, False),
    ({"choices": [{"delta": {"error": {"message": "bad", "code": 500}}}]}, "bad", 500, "500", True),
    ({"choices": [{"message": {"error": {"message": "bad", "code": 500}}}]}, "bad", 500, "500", True),
    ({"choices": [{"error": [{"message": "bad", "code": 500}]}]}, "bad", 500, "500", True),
    ({"choices": [{"finish_reason": "network_error"}]}, 'finish reason "network_error"', None, None, True),
    ({"choices": [{"finish_reason": "Abort"}]}, 'finish reason "Abort"', None, None, True),
    (
        {"choices": [{"finish_reason": "function_call_filter: x"}]},
        'finish reason "function_call_filter: x"',
        None,
        None,
        True,
    ),
    ({"choices": [{"finish_reason": "error", "error": {"message": "bad", "code": 400}}]}, "bad", 400, "400", False),
]


@pytest.mark.parametrize(("value", "words", "status", "code", "retryable"), SHAPES)
def test_an_error_is_found_with_its_words(
    value: Any, words: str, status: int | None, code: str | None, retryable: bool
) -> None:
    assert error_object(value) is not None
    decoded = ChunkDecoder().decode_events([ServerSentEvent("message", json.dumps(value).encode())])
    error = decoded.failure
    assert isinstance(error, APIStatusError)
    assert str(error) == f"the server reported an error inside the stream: {words}"
    assert (error.status, error.code, error.retryable, error.body) == (status, code, retryable, value)
    assert decoded.chunks == []
    with pytest.raises(APIStatusError) as caught:
        decode_completion(json.dumps(value).encode())
    assert str(caught.value) == f"error response with status 200: {words}"
    assert (caught.value.status, caught.value.retryable) == (status, retryable)


@pytest.mark.parametrize(
    "value",
    [
        {"code": 0, "message": "success", "sid": "s"},
        {"code": "0", "message": "", "data": None},
        {"code": 200, "msg": "ok"},
        {"message": "success"},
        {"status": "ok", "message": "warming up"},
        {"success": True, "message": "accepted"},
        {"type": "ping", "message": "still here"},
        {"type": "pong", "message": "still here"},
        {"base_resp": {"status_code": 0, "status_msg": ""}},
        {"base_resp": {"status_msg": ""}, "choices": []},
        {"error": {"message": "", "type": "", "code": None, "metadata": {}}},
        {"error": False},
        {"x_groq": {"id": "r", "error": None}},
        {"x_groq": "text"},
        {"errors": [], "detail": None, "code": None, "message": None},
        {"text": "Hello", "error_code": 0},
        {"choices": [], "usage": {"total_tokens": 3}},
        {"choices": [{"delta": {"content": "x"}}], "code": 10013, "message": "a field of its own"},
        {"choices": [{"finish_reason": "errors"}]},
        {"choices": [{"delta": {"content": "x", "error": None}}]},
        {"choices": [{"delta": {"content": "x", "error": {"code": None}}, "error": ""}]},
        {"status": 200, "code": 200},
        {"code": 10013},
        [],
        ["error"],
        "error",
    ],
)
def test_what_looks_like_an_error_and_is_none(value: Any) -> None:
    assert error_object(value) is None


@pytest.mark.parametrize("chunks_before", [0, 9])
@pytest.mark.parametrize(
    "fields",
    [
        {"error": {"message": "no"}},
        {"x_groq": {"error": "no"}},
        {"base_resp": {"status_code": 1, "status_msg": "no"}},
        {"code": 7, "message": "no", "choices": []},
        {"detail": "no", "choices": []},
        {"status": 500, "message": "no", "choices": []},
    ],
)
def test_an_error_is_found_in_a_field_that_the_stream_has_in_every_chunk(fields: Any, chunks_before: int) -> None:
    """A decoder that has learned a server's fields must not read past an error in one of them."""
    harmless: dict[str, Any] = {name: None if name != "x_groq" else {"id": "r"} for name in fields if name != "choices"}
    events = [ServerSentEvent("message", json.dumps(chunk("x", **harmless)).encode())] * chunks_before
    decoded = ChunkDecoder().decode_events(
        [*events, ServerSentEvent("message", json.dumps({**chunk(""), **fields}).encode())]
    )
    assert str(decoded.failure).endswith(": no")
    assert len(decoded.chunks) == chunks_before


@pytest.mark.parametrize(
    ("choice", "is_kept"),
    [
        ({"delta": {"content": "lo"}}, True),
        ({"delta": {"reasoning_content": "hm"}}, True),
        ({"delta": {"tool_calls": [{"index": 0, "id": "a"}]}}, True),
        ({"message": {"content": "lo"}}, True),
        ({"delta": {"content": ""}}, False),
        ({"delta": {"role": "assistant"}}, False),
        ({"delta": "no object"}, False),
        ({}, False),
    ],
)
@pytest.mark.parametrize("name", ["message", "error"])
def test_what_came_with_an_error_is_yielded_before_it(choice: Any, is_kept: bool, name: str) -> None:
    value = {"choices": [{"index": 0, "finish_reason": "abort", **choice}], "error": {"message": "no", "code": 500}}
    decoded = ChunkDecoder().decode_events([ServerSentEvent(name, json.dumps(value).encode())])
    assert isinstance(decoded.failure, InternalServerError)
    assert decoded.failure.body == value
    assert len(decoded.chunks) == is_kept
    assert [made.choices[0].finish_reason for made in decoded.chunks] == ["abort"] * is_kept


def test_what_came_with_an_error_of_a_blocking_answer_is_its_partial() -> None:
    body = json.dumps(completion("Hel", finish="abort")).encode()
    with pytest.raises(APIStatusError) as caught:
        decode_completion(body)
    partial = caught.value.partial
    assert partial is not None
    assert (partial.text, partial.complete, partial.choices[0].finish_reason) == ("Hel", False, "abort")


@pytest.mark.parametrize(
    ("body", "words", "kind", "retryable"),
    [
        (b'data: {"error":{"message":"no"}}\n\n', "no", APIStatusError, False),
        (b'id:1\nevent:error\n:HTTP_STATUS/400\ndata:{"code":"Bad","message":"no"}\n\n', "no", APIStatusError, False),
        (b'data: not JSON\r\n\r\ndata: {"error":"no"}\r\n\r\ndata: [DONE]\r\n\r\n', "no", APIStatusError, False),
        (b'[{"error":{"message":"no","code":429}}]', "no", APIStatusError, False),
        (b'{"error":{"error":"no","error_code":1}}', "no", APIStatusError, False),
    ],
)
def test_the_words_of_an_error_response_in_a_frame(body: bytes, words: str, kind: Any, retryable: bool) -> None:
    error = status_error(418, {}, body, 0.0)
    assert isinstance(error, kind)
    assert str(error).endswith(f": {words}")
    assert error.retryable is retryable


@pytest.mark.parametrize("name", ["insufficient_quota", "exceeded_current_quota_error", "Arrearage"])
def test_an_account_without_credit_is_not_retried(name: str) -> None:
    body = json.dumps({"error": {"message": "pay", "type": name}}).encode()
    for framed in (body, b"data: " + body + b"\n\n"):
        error = status_error(429, {"x-should-retry": "true"}, framed, 0.0)
        assert isinstance(error, RateLimitError)
        assert not error.retryable
    assert not stream_error({"error": {"message": "pay", "type": name, "code": 429}}).retryable


CLASSES = {
    "complete": ["stop", "STOP", "FinishReason.STOP", "tool_calls", "tool-calls", "function_call", "eos", "end_turn"],
    "cut": [
        "length",
        "max_tokens",
        "MAX_TOKENS",
        "model_length",
        "model_context_window_exceeded",
        "Length",
        "FinishReason.MAX_TOKENS",
    ],
    "filtered": [
        *("content_filter", "content_filter: hate", "content-filter", "sensitive", "SAFETY", "RECITATION"),
        *("PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "FINISH_REASON_SAFETY", " finish-reason-safety"),
    ],
    "error": [
        *("error", "abort", "network_error", "insufficient_system_resource", "overloaded_error", "api_error"),
        *("MALFORMED_FUNCTION_CALL", "function_call_filter: x", "Error", "ABORT", "error: out of memory"),
        *("FinishReason.MALFORMED_FUNCTION_CALL", "finish_reason_error", "FinishReason.OVERLOADED_ERROR"),
    ],
    "none": ["", "null", "None", "NULL", " ", "undefined", "FINISH_REASON_UNSPECIFIED", "FinishReason.None"],
    "unknown": ["other", "OTHER", "finished", "stopped", "errors", "error2", "FinishReason.OTHER", "finish_reason"],
}


@pytest.mark.parametrize(
    ("kind", "reason"), [(kind, reason) for kind, reasons in CLASSES.items() for reason in reasons]
)
def test_the_class_of_a_finish_reason(kind: str, reason: str) -> None:
    assert finish_class(reason) == kind
    event = ServerSentEvent("message", json.dumps(chunk("x", finish=reason)).encode())
    decoded = ChunkDecoder().decode_events([event])
    assert (decoded.failure is not None) == (kind == "error")
    assert [made.choices[0].finish_reason or None for made in decoded.chunks] == [None if kind == "none" else reason]


def test_no_word_is_in_two_rows() -> None:
    words = [word for row in FINISH_REASONS for word in row.words]
    assert len(set(words)) == len(words)


def test_text_for_null_in_every_chunk_is_learned() -> None:
    decoder = ChunkDecoder()
    data = json.dumps(chunk("x", finish="null")).encode()
    decoder.decode_events([ServerSentEvent("message", data)] * 2)
    made = decoder.try_decode(data)
    assert made is not None
    assert made.choices[0].finish_reason is None
    assert decoder.try_decode(json.dumps(chunk("x", finish="abort")).encode()) is None
    last = decoder.try_decode(json.dumps(chunk("", finish="stop")).encode())
    assert last is not None
    assert last.choices[0].finish_reason == "stop"


# Events with names


@pytest.mark.parametrize("name", ["ping", "heartbeat", "keepalive", "update", "timestamp"])
@pytest.mark.parametrize("data", [b"ping", b"1735689600", b"{", b"[1]", b"null", b": WAIT", b'"text"'])
def test_a_named_event_that_is_no_object_is_ignored(name: str, data: bytes) -> None:
    decoded = ChunkDecoder().decode_events([ServerSentEvent(name, data)])
    assert (decoded.chunks, decoded.failure, decoded.done) == ([], None, False)


@pytest.mark.parametrize(
    "value", [{"id": "f", "model": "m"}, {"error": {"code": 500}}, {"usage": None}, {"message": "x"}]
)
def test_a_foreign_object_in_a_named_event_is_at_hand(value: Any) -> None:
    data = json.dumps(value).encode()
    decoded = ChunkDecoder().decode_events([ServerSentEvent("file_produced", data)])
    assert decoded.failure is None
    assert decoded.chunks == [ChatCompletionChunk(event="file_produced", raw=data, extra=value)]


@pytest.mark.parametrize("fields", [{}, {"provider": "x"}])
def test_a_chunk_in_a_named_event_is_a_chunk(fields: Any) -> None:
    events = [ServerSentEvent("chunk", json.dumps(chunk("x", **fields)).encode())] * 4
    decoded = ChunkDecoder().decode_events(events)
    assert [(made.text, made.event) for made in decoded.chunks] == [("x", "chunk")] * 4
    failed = ChunkDecoder().decode_events([ServerSentEvent("chunk", json.dumps({**chunk(""), "error": "no"}).encode())])
    assert isinstance(failed.failure, APIStatusError)


@pytest.mark.parametrize(
    "data", [b": OPENROUTER PROCESSING", b"ping", b"PING", b'"keep-alive"', b"1735689600.5", b"2025-01-01 00:00:00"]
)
def test_a_keep_alive_framed_as_data_is_ignored(data: bytes) -> None:
    decoded = ChunkDecoder().decode_events([ServerSentEvent("message", data)])
    assert (decoded.chunks, decoded.failure) == ([], None)


def test_what_was_broken_off_by_an_error_goes_to_json_and_back() -> None:
    with pytest.raises(APIStatusError) as caught:
        decode_completion(json.dumps(completion("Hel", finish="abort")).encode())
    partial = caught.value.partial
    assert partial is not None
    assert ChatCompletion.from_json(partial.to_json()) == partial
    assert Choice.from_dict(partial.choices[0].to_dict()) == partial.choices[0]
    assert partial.choices[0].to_dict()["finish_reason"] == "abort"
