"""firsttoken._protocol.server_error: each shape of a server's "no"."""

import json
from typing import Any

import pytest

from firsttoken._protocol.server_error import body_error, status_error, stream_error
from firsttoken.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)
from tests.support.errors import message_of

BODIES: dict[str, tuple[Any, str]] = {
    "OpenAI": ({"error": {"message": "no", "type": "t", "code": "c", "param": "p"}}, "no"),
    "error as text (Venice, TGI)": ({"error": "no", "error_type": "t"}, "no"),
    "flat (Mistral, vLLM)": ({"object": "error", "message": "no", "type": "t", "code": 400}, "no"),
    "message alone (Mistral 401)": ({"message": "no", "request_id": "r"}, "no"),
    "FastAPI's text": ({"detail": "no"}, "no"),
    "FastAPI's list": ({"detail": [{"loc": ["body"], "msg": "no"}]}, "[{'loc': ['body'], 'msg': 'no'}]"),
    "detail inside error": ({"error": {"detail": "no"}}, "no"),
    "errors inside error": ({"error": {"errors": ["no"]}}, "['no']"),
    "message outside error": ({"error": {"code": 1}, "message": "no"}, "no"),
    "a number for a message": ({"error": {"message": 5}}, "5"),
}


LEAVES_OUT = 'stream_options={"include_usage": False} leaves it out'
WANTS_TLS = "this port expects TLS: base_url must begin with https://"


@pytest.mark.parametrize("name", BODIES)
def test_the_words_of_each_shape_are_in_the_message(name: str) -> None:
    body, words = BODIES[name]
    error = status_error(400, {}, json.dumps(body).encode(), 0.0)
    assert message_of(error) == f"the server answered 400 Bad Request: {words}"
    assert error.body == body
    assert not error.in_stream
    in_stream = stream_error(body)
    assert str(in_stream) == f"the server reported an error inside the stream: {words}"
    assert in_stream.body == body
    assert in_stream.in_stream
    in_body = body_error(body)
    assert str(in_body) == f"error response with status 200: {words}"
    assert in_body.body == body
    assert in_body.in_stream


@pytest.mark.parametrize(
    ("body", "words", "kept"),
    [
        (b"Service Unavailable", ": 'Service Unavailable'", "Service Unavailable"),
        (b"<html>\n", ": '<html>\\n'", "<html>\n"),
        (b"\xff\xfe", ": '\ufffd\ufffd'", "\ufffd\ufffd"),
        (b"x" * 300, f": {'x' * 200!r}…", "x" * 300),
        (b"", "", ""),
        (b" \n", "", " \n"),
        (b"[1]", ": '[1]'", [1]),
        (b"{}", ": '{}'", {}),
        (b'{"error":null}', ": '{\"error\":null}'", {"error": None}),
    ],
)
def test_a_body_without_words_is_quoted(body: bytes, words: str, kept: object) -> None:
    error = status_error(503, {}, body, 0.0)
    assert message_of(error) == f"the server answered 503 Service Unavailable{words}"
    assert error.body == kept


def test_long_details_are_cut() -> None:
    error = status_error(422, {}, json.dumps({"detail": ["x" * 5000]}).encode(), 0.0)
    assert message_of(error) == f"the server answered 422 Unprocessable {_phrase_422()}: ['{'x' * 998}"


def _phrase_422() -> str:
    from http import HTTPStatus

    return HTTPStatus(422).phrase.removeprefix("Unprocessable ")


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, BadRequestError, False),
        (401, AuthenticationError, False),
        (403, PermissionDeniedError, False),
        (404, NotFoundError, False),
        (408, APIStatusError, True),
        (409, ConflictError, True),
        (418, APIStatusError, False),
        (422, UnprocessableEntityError, False),
        (429, RateLimitError, True),
        (500, InternalServerError, True),
        (502, InternalServerError, True),
        (599, InternalServerError, True),
        (600, APIStatusError, False),
    ],
)
def test_the_class_is_that_of_the_status_inside_a_stream_too(
    status: int, kind: type[APIStatusError], retryable: bool
) -> None:
    error = status_error(status, {}, b"", 0.0)
    assert type(error) is kind
    assert (error.status, error.retryable) == (status, retryable)
    if status < 600:
        in_stream = stream_error({"error": {"message": "no", "code": status}})
        assert type(in_stream) is kind
        assert (in_stream.status, in_stream.retryable, in_stream.code) == (status, retryable, str(status))


@pytest.mark.parametrize(
    "value",
    [
        {"error": {"message": "no", "status_code": 429}},
        {"error": {"message": "no", "status": 429}},
        {"error": {"message": "no", "code": 429}},
        {"error": {"message": "no", "code": "429"}},
        {"error": {"message": "no", "code": "rate_limited"}, "status_code": 429},
        {"error": "no", "code": 429},
        {"object": "error", "message": "no", "code": 429},
        {"choices": [{"index": 0, "error": {"message": "no", "code": 429}}]},
    ],
)
def test_the_status_of_an_error_inside_a_stream_is_found_wherever_it_stands(value: dict[str, Any]) -> None:
    error = stream_error(value)
    assert type(error) is RateLimitError
    assert error.status == 429
    assert message_of(error) == "the server reported an error inside the stream: no"


@pytest.mark.parametrize("code", [None, "x", "", 200, 399, 600, 4290, "4xx", "\uff1400", "4²2", True, 429.5, [429]])
def test_what_is_no_status_is_none(code: object) -> None:
    error = stream_error({"error": {"message": "no", "code": code}})
    assert type(error) is APIStatusError
    assert error.status is None
    assert not error.retryable


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("plain words", "plain words"),
        ("", "no reason given"),
        (None, "no reason given"),
        ([], "no reason given"),
        ({"error": {}}, "no reason given"),
        ({"error": {"message": " "}}, "no reason given"),
        ({"error": True}, "no reason given"),
        ({"choices": [{"finish_reason": "error"}]}, 'finish reason "error"'),
        ({"choices": [{"finish_reason": "stop"}, {"finish_reason": "abort"}]}, 'finish reason "abort"'),
        ({"choices": [{"error": "only text"}]}, "only text"),
    ],
)
def test_an_error_inside_a_stream_without_a_message(value: object, words: str) -> None:
    error = stream_error(value)
    assert message_of(error) == f"the server reported an error inside the stream: {words}"
    assert error.body == value


def test_the_details_are_attributes() -> None:
    error = stream_error({"error": {"message": "no", "type": "t", "code": 7, "param": "p"}})
    assert (error.type, error.code, error.param) == ("t", "7", "p")
    error = stream_error({"error": "no", "error_type": "t"})
    assert (error.type, error.code, error.param) == ("t", None, None)


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (
            401,
            {},
            (
                "the server answered 401 Unauthorized\n"
                "hint: is api_key= (or OPENAI_API_KEY, AZURE_OPENAI_API_KEY) the key of this server?"
            ),
        ),
        (403, {}, "the server answered 403 Forbidden\nhint: the key is valid but lacks permission for this"),
        (
            404,
            {},
            (
                "the server answered 404 Not Found\n"
                "hint: check the name of the model (or deployment) and base_url (most servers want it to end in /v1)"
            ),
        ),
        (
            407,
            {},
            (
                "the server answered 407 Proxy Authentication Required\n"
                "hint: the proxy requires a user and a password: http://user:password@host:port"
            ),
        ),
        (
            302,
            {"location": "https://other.test/v1"},
            (
                "the server answered 302 Found\nhint: redirects to 'https://other.test/v1' are not followed, "
                "to avoid sending the key to another host; set base_url to the final address"
            ),
        ),
        (
            301,
            {},
            (
                "the server answered 301 Moved Permanently\nhint: redirects are not followed, "
                "to avoid sending the key to another host; set base_url to the final address"
            ),
        ),
        (999, {}, "the server answered 999"),
    ],
)
def test_the_hint_says_what_to_do(status: int, headers: dict[str, str], message: str) -> None:
    assert message_of(status_error(status, headers, b"", 0.0)) == message


@pytest.mark.parametrize(
    ("status", "body", "hint"),
    [
        (422, b'{"detail": "extra field: stream_options"}', LEAVES_OUT),
        (400, b'{"error": {"message": "extra inputs", "param": "stream_options"}}', LEAVES_OUT),
        (400, b"unknown field include_usage", LEAVES_OUT),
        (501, b'{"error": "stream_options"}', LEAVES_OUT),
        (400, b"Client sent an HTTP request to an HTTPS server.\n", WANTS_TLS),
        (400, b"<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>", WANTS_TLS),
        (400, b"<h1>Bad Request</h1>\nReason: You're speaking plain HTTP to an SSL-enabled server port.", WANTS_TLS),
    ],
)
def test_the_hint_for_what_the_server_says(status: int, body: bytes, hint: str) -> None:
    assert status_error(status, {}, body, 0.0).hint == hint


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        ({"message": "no stream_options", "code": 400}, LEAVES_OUT),
        ({"message": "extra inputs", "param": "stream_options.include_usage"}, LEAVES_OUT),
        ({"message": "no", "param": "messages"}, None),
    ],
)
def test_the_hint_for_what_the_server_says_in_a_stream(error: Any, hint: str | None) -> None:
    assert stream_error({"error": error}).hint == hint


def test_of_several_errors_in_a_choice_the_first_with_words_counts() -> None:
    choice = {"index": 0, "error": {"code": 500}, "delta": {"error": "no"}}
    assert message_of(stream_error({"choices": [choice]})).endswith("no")


@pytest.mark.parametrize("framed", [b'data: []\n\ndata: {"error":"no"}\n\n', b'data: {}\ndata: {"error":"no"}\n'])
def test_an_error_response_that_is_framed_as_events_is_read_up_to_the_error(framed: bytes) -> None:
    assert message_of(status_error(400, {}, framed, 0.0)) == "the server answered 400 Bad Request: no"
