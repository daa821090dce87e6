"""firsttoken._protocol.response: events, or one JSON object, or neither."""

import pytest

from firsttoken._protocol.response import is_event_stream, unexpected_body
from tests.support.errors import message_of

SSE, JSON, TEXT = "text/event-stream; charset=utf-8", "application/json", "text/plain"


@pytest.mark.parametrize(
    ("content_type", "head", "expected"),
    [
        (SSE, b"data: x", True),
        (SSE, b"d", True),
        (SSE, b"\r\n\r\n: ping", True),
        (" Text/Event-Stream", b"x", True),
        (SSE, b'{"error":', False),
        (SSE, b" \n{", False),
        (SSE, b"<html>", False),
        (SSE, b"", None),
        (SSE, b"\n", None),
        (SSE, b"\xef\xbb", None),
        (SSE, b"\xef\xbb\xbf", None),
        (SSE, b"\xef\xbb\xbfdata", True),
        (SSE, b"\xef\xbb\xbf{", False),
        (TEXT, b"data:", True),
        ("", b"data: x", True),
        ("", b"event: x", True),
        ("", b": ping", True),
        ("", b"id: x", True),
        (JSON, b"retry: 5", True),
        (JSON, b"error: {", True),
        (TEXT, b"da", None),
        (TEXT, b"event", None),
        (TEXT, b"dab", False),
        (TEXT, b"database", False),
        (JSON, b"{", False),
        (JSON, b" \n", None),
        ("", b"\xef\xbb\xbf", None),
        ("", b"\xef\xbbx", False),
    ],
)
def test_what_a_body_is(content_type: str, head: bytes, expected: bool | None) -> None:
    assert is_event_stream(content_type, head) is expected


@pytest.mark.parametrize(
    ("content_type", "body", "message"),
    [
        (
            "text/html; charset=utf-8",
            b"<html>",
            (
                "expected a chat completion, got status 200 with text/html: '<html>'\n"
                "hint: is base_url the address of the API? Most end in /v1"
            ),
        ),
        (
            "",
            b"x" * 201,
            (
                f"expected a chat completion, got status 200 with no content type: {'x' * 200!r}…\n"
                "hint: is base_url the address of the API? Most end in /v1"
            ),
        ),
        ("application/json", b" ", "expected a chat completion, got status 200 with an empty body (application/json)"),
        ("", b"", "expected a chat completion, got status 200 with an empty body (no content type)"),
    ],
)
def test_what_is_no_completion(content_type: str, body: bytes, message: str) -> None:
    assert message_of(unexpected_body("a chat completion", 200, content_type, body)) == message
