"""firsttoken._protocol.redaction: a secret that a server repeats is in no error."""

import json

import pytest

from firsttoken._protocol.redaction import scrub, secrets_of_headers, secrets_of_query
from firsttoken._protocol.response import not_a_completion
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
    ],
)
def test_the_secrets_of_headers(headers: dict[str, str], secrets: list[str]) -> None:
    assert secrets_of_headers(headers) == secrets


@pytest.mark.parametrize(
    ("query", "secrets"),
    [
        ("api-version=2026-10-01", []),
        ("key=a%20b", ["a%20b", "a b"]),
        ("one", ["one", "one"]),
        ("api-version=1&key=one", ["one", "one"]),
    ],
)
def test_the_secrets_of_a_query(query: str, secrets: list[str]) -> None:
    assert secrets_of_query(query) == secrets


def test_a_secret_is_masked_wherever_an_error_shows_it() -> None:
    error = APIStatusError(
        f"no such key: {SECRET}",
        code=f"c {SECRET}",
        type=f"t {SECRET}",
        param=None,
        body={"error": [{"message": f"key {SECRET}!", SECRET: 1, "n": 5}, None]},
        hint=f"not {SECRET}",
    )
    scrub(error, (SECRET,))
    assert message_of(error) == "no such key: [redacted]\nhint: not [redacted]"
    assert (error.code, error.type, error.param) == ("c [redacted]", "t [redacted]", None)
    assert error.body == {"error": [{"message": "key [redacted]!", "[redacted]": 1, "n": 5}, None]}


def test_all_secrets_are_masked_and_an_empty_one_masks_nothing() -> None:
    error = ResponseFormatError("one two")
    scrub(error, ("", "one", "two"))
    assert message_of(error) == "[redacted] [redacted]"


def test_a_secret_that_a_quotation_cuts_is_masked_too() -> None:
    for length in range(8, len(SECRET)):
        error = ResponseFormatError(f"not JSON: 'the key {SECRET[:length]}'…")
        scrub(error, (SECRET,))
        assert message_of(error) == "not JSON: 'the key [redacted]'…"
    error = ResponseFormatError(f"not JSON: 'the key {SECRET[:7]}'…")
    scrub(error, (SECRET,))
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
        not_a_completion(200, "text/html", text.encode()),
    ]
    for error in errors:
        scrub(error, (SECRET,))
        assert SECRET[:8] not in repr(error) + str(getattr(error, "body", ""))
        assert "[redacted]" in message_of(error)


def test_of_secrets_that_begin_alike_the_longest_run_is_masked() -> None:
    one, two = "sk-proj-one-123", "sk-proj-two-456"
    for secrets in ((one, two), (two, one)):
        error = ResponseFormatError(f"{two} {one}! {two[:10]}")
        scrub(error, secrets)
        assert message_of(error) == "[redacted] [redacted]! [redacted]"


def test_runs_that_overlap_are_masked_as_one() -> None:
    secret = "abcabcabcabc12345"
    error = ResponseFormatError(f"<abc{secret}>")
    scrub(error, (secret,))
    assert message_of(error) == "<[redacted]>"


@pytest.mark.parametrize("secret", ["back\\slash-secret", 'it\'s-a-"password"', "a\\'b\"c-password"])
def test_a_secret_with_quotes_is_found_in_a_quotation(secret: str) -> None:
    for before in ("", "it's ", '"', "'\""):
        error = ResponseFormatError(f"not JSON: {before + secret!r}")
        scrub(error, (secret,))
        assert message_of(error).endswith(("[redacted]'", '[redacted]"'))


def test_names_and_the_request_id_are_masked() -> None:
    error = APIStatusError("no", body={"a": [{f"x {SECRET[:9]}": {SECRET: [f"{SECRET}y"]}}]})
    error.request_id = f"for {SECRET}"
    scrub(error, (SECRET,))
    assert error.body == {"a": [{"x [redacted]": {"[redacted]": ["[redacted]y"]}}]}
    assert error.request_id == "for [redacted]"


def test_words_that_begin_as_the_secret_does_stay() -> None:
    error = ResponseFormatError("keys begin with sk-sec, as secret-0123 does not")
    scrub(error, (SECRET,))
    assert message_of(error) == "keys begin with sk-sec, as secret-0123 does not"


def test_other_errors_have_a_message_alone() -> None:
    error = ResponseFormatError("no secret")
    scrub(error, (SECRET,))
    assert message_of(error) == "no secret"
    assert not hasattr(error, "body")
