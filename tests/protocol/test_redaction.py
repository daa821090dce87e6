"""firsttoken._protocol.redaction: a secret that a server repeats is in no error."""

import json
import math
import time
import tracemalloc
from base64 import b64encode
from typing import Any

import pytest

from firsttoken._protocol.redaction import masked_headers, public_query, redact, secrets_of_headers, secrets_of_query
from firsttoken._protocol.response import unexpected_body
from firsttoken._protocol.server_error import status_error
from firsttoken.errors import APIStatusError, ResponseFormatError
from tests.support.errors import message_of

SECRET = "sk-secret-0123456789"


@pytest.mark.parametrize(
    ("headers", "secrets"),
    [
        ({"Accept": "text/event-stream"}, []),
        ({"Authorization": "Bearer one"}, ["one"]),
        ({"Authorization": "one"}, ["one"]),
        ({"X-API-Key": "one, two"}, ["one", "two"]),
        ({"Cookie": "session=one; two"}, ["one", "two"]),
        ({"X-Password": "one", "x-passwd": "two", "PWD": "three"}, ["one", "two", "three"]),
        ({"x-goog-credential": "one", "X-Amz-Signature": "two"}, ["one", "two"]),
        ({"CF-Access-JWT-Assertion": "one", "x-session-id": "two", "x-bearer": "three"}, ["one", "two", "three"]),
    ],
)
def test_the_secrets_of_headers(headers: dict[str, str], secrets: list[str]) -> None:
    assert secrets_of_headers(headers) == secrets


@pytest.mark.parametrize(
    ("query", "secrets", "public"),
    [
        ("api-version=2026-10-01", [], "api-version=2026-10-01"),
        ("key=a%20b", ["a%20b", "a b"], ""),
        ("one", ["one", "one"], ""),
        ("api-version=1&key=one", ["one", "one"], "api-version=1"),
    ],
)
def test_the_secrets_of_a_query(query: str, secrets: list[str], public: str) -> None:
    assert secrets_of_query(query) == secrets
    assert public_query(query) == public


def test_a_secret_is_masked_wherever_an_error_shows_it() -> None:
    error = APIStatusError(
        f"no such key: {SECRET}",
        code=f"c {SECRET}",
        type=f"t {SECRET}",
        param=None,
        body={"error": [{"message": f"key {SECRET}!", SECRET: 1, "n": 5}, None]},
        hint=f"not {SECRET}",
    )
    redact(error, (SECRET,))
    assert message_of(error) == "no such key: [redacted]\nhint: not [redacted]"
    assert (error.code, error.type, error.param) == ("c [redacted]", "t [redacted]", None)
    assert error.body == {"error": [{"message": "key [redacted]!", "[redacted]": 1, "n": 5}, None]}


def test_all_secrets_are_masked_and_an_empty_one_masks_nothing() -> None:
    error = ResponseFormatError("one two")
    redact(error, ("", "one", "two"))
    assert message_of(error) == "[redacted] [redacted]"


def test_a_secret_that_a_quotation_cuts_is_masked_too() -> None:
    for length in range(8, len(SECRET)):
        error = ResponseFormatError(f"not JSON: 'the key {SECRET[:length]}'…")
        redact(error, (SECRET,))
        assert message_of(error) == "not JSON: 'the key [redacted]'…"
    error = ResponseFormatError(f"not JSON: 'the key {SECRET[:7]}'…")
    redact(error, (SECRET,))
    assert message_of(error) == "not JSON: 'the key sk-secr'…"


@pytest.mark.parametrize("before", ["", "it's ", 'a "quoted" ', 'it\'s "both" '])
@pytest.mark.parametrize("shown", [8, 12, len(SECRET) - 1, len(SECRET)])
def test_a_cut_anywhere_shows_nothing(before: str, shown: int) -> None:
    filled = before + "x" * (200 - len(before) - shown)
    text = filled + SECRET + " and more" * 200
    errors = [
        status_error(400, {}, text.encode(), 0.0),
        status_error(400, {}, json.dumps({"detail": ["x" * (998 - len(before) - shown) + SECRET]}).encode(), 0.0),
        status_error(307, {"location": text}, b"", 0.0),
        unexpected_body("a chat completion", 200, "text/html", text.encode()),
    ]
    for error in errors:
        redact(error, (SECRET,))
        assert SECRET[:8] not in repr(error) + str(getattr(error, "body", ""))
        assert "[redacted]" in message_of(error)


def test_of_secrets_that_begin_alike_the_longest_run_is_masked() -> None:
    one, two = "sk-proj-one-123", "sk-proj-two-456"
    for secrets in ((one, two), (two, one)):
        error = ResponseFormatError(f"{two} {one}! {two[:10]}")
        redact(error, secrets)
        assert message_of(error) == "[redacted] [redacted]! [redacted]"


def test_runs_that_overlap_are_masked_as_one() -> None:
    secret = "abcabcabcabc12345"
    error = ResponseFormatError(f"<abc{secret}>")
    redact(error, (secret,))
    assert message_of(error) == "<[redacted]>"


@pytest.mark.parametrize("secret", ["back\\slash-secret", 'it\'s-a-"password"', "a\\'b\"c-password"])
def test_a_secret_with_quotes_is_found_in_a_quotation(secret: str) -> None:
    for before in ("", "it's ", '"', "'\""):
        error = ResponseFormatError(f"not JSON: {before + secret!r}")
        redact(error, (secret,))
        assert message_of(error).endswith(("[redacted]'", '[redacted]"'))


SPELLINGS = {
    "in a URL": "p%40ss%2Fword%C3%A9-0123",
    "in a URL, with pluses": "p%40ss/word%C3%A9-0123",
    "in hexadecimal digits": "p@ss/wordé-0123".encode().hex(),
    "in upper-case digits": "p@ss/wordé-0123".encode().hex().upper(),
    "in JSON": "p@ss/word\\u00e9-0123",
    "in JSON with escaped slashes": "p@ss\\/word\\u00e9-0123",
    "in base64": b64encode("p@ss/wordé-0123".encode()).decode().rstrip("="),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_secret_is_masked_in_every_spelling(name: str) -> None:
    error = APIStatusError(f"<{SPELLINGS[name]}>", body={"a": [f"<{SPELLINGS[name]}>"]})
    redact(error, ("p@ss/wordé-0123",))
    assert str(error) in ("<[redacted]>", f"<[redacted]{SPELLINGS[name][-1]}>")  # base64's last digit may be of more
    assert error.body == {"a": [str(error)]}


def test_a_body_whose_escapes_a_mask_cuts_keeps_its_shape() -> None:
    secret = 'a"b"c"d"e"f"'
    error = APIStatusError("", body={"a": ['a"b"c"d"e', 1.5, None, {"b": math.nan}], "\ud800": 2**70})
    redact(error, (secret,))
    body: Any = error.body
    assert body["a"][:3] == ["[redacted]", 1.5, None]
    assert body["\ud800"] == 2**70


def test_a_body_full_of_beginnings_costs_time_and_memory_in_proportion() -> None:
    tracemalloc.start()
    try:
        error = APIStatusError("", body={"a": SECRET[:8] * 100_000, "b": ["x"] * 100_000})
        started_s = time.process_time()
        redact(error, (SECRET,))
        assert time.process_time() - started_s < 5
        assert tracemalloc.get_traced_memory()[1] < 40 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert SECRET[:8] not in str(error.body)


def test_response_headers_that_repeat_a_secret() -> None:
    headers = {"x-echo": f"you sent {SECRET}", "x-ratelimit-remaining-tokens": "149984"}
    assert masked_headers(headers, (SECRET,)) == headers | {"x-echo": "you sent [redacted]"}
    assert masked_headers({"a": "b"}, (SECRET,)) is None


def test_names_and_the_request_id_are_masked() -> None:
    error = APIStatusError("no", body={"a": [{f"x {SECRET[:9]}": {SECRET: [f"{SECRET}y"]}}]})
    error.request_id = f"for {SECRET}"
    redact(error, (SECRET,))
    assert error.body == {"a": [{"x [redacted]": {"[redacted]": ["[redacted]y"]}}]}
    assert error.request_id == "for [redacted]"


def test_words_that_begin_as_the_secret_does_stay() -> None:
    error = ResponseFormatError("keys begin with sk-sec, as secret-0123 does not")
    redact(error, (SECRET,))
    assert message_of(error) == "keys begin with sk-sec, as secret-0123 does not"


def test_other_errors_have_a_message_alone() -> None:
    error = ResponseFormatError("no secret")
    redact(error, (SECRET,))
    assert message_of(error) == "no secret"
    assert not hasattr(error, "body")


@pytest.mark.parametrize(
    ("value", "secrets"),
    [
        ("Basic dXNlcjpwYXNz", ["user", "pass", "dXNlcjpwYXNz"]),
        ("Basic not-base64!", ["not-base64!"]),
        ("Basic dXNlcjpwYXNz more", ["dXNlcjpwYXNz", "more"]),
    ],
)
def test_the_user_and_the_password_behind_basic_authorization(value: str, secrets: list[str]) -> None:
    assert secrets_of_headers({"authorization": value}) == secrets


def test_a_secret_of_bytes_that_are_no_text_is_masked() -> None:
    """As the environment gives them, and as JSON can spell them."""
    for secret in ("\udcff-secret-0123", "\ud800-secret-0123"):
        error = status_error(400, {}, json.dumps({"error": {"message": f"no: {secret}"}}).encode(), wall_clock_s=0)
        redact(error, (secret,))
        assert message_of(error) == "the server answered 400 Bad Request: no: [redacted]"


def test_a_mask_that_would_cut_an_escape_sequence_leaves_the_rest_of_a_body() -> None:
    body = {"detail": ["line\n" + SECRET, {"key " + SECRET: SECRET, "n": 5}]}
    error = APIStatusError("no", body=body)
    redact(error, ("n" + SECRET, SECRET))
    assert error.body == {"detail": ["line\n[redacted]", {"key [redacted]": "[redacted]", "n": 5}]}
