"""firsttoken._core.redaction: a secret that a server repeats is in no error."""

from firsttoken._core.redaction import scrub
from firsttoken.errors import APIStatusError, ResponseFormatError

SECRET = "sk-secret-0123456789"


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
    assert str(error) == "no such key: [redacted]\nhint: not [redacted]"
    assert (error.code, error.type, error.param) == ("c [redacted]", "t [redacted]", None)
    assert error.body == {"error": [{"message": "key [redacted]!", "[redacted]": 1, "n": 5}, None]}


def test_all_secrets_are_masked_and_an_empty_one_masks_nothing() -> None:
    error = ResponseFormatError("one two")
    scrub(error, ("", "one", "two"))
    assert str(error) == "[redacted] [redacted]"


def test_a_secret_that_a_quotation_cuts_is_masked_too() -> None:
    for length in range(6, len(SECRET)):
        error = ResponseFormatError(f"not JSON: 'the key {SECRET[:length]}'…")
        scrub(error, (SECRET,))
        assert str(error) == "not JSON: 'the key [redacted]'…"
    error = ResponseFormatError(f"not JSON: 'the key {SECRET[:5]}'…")
    scrub(error, (SECRET,))
    assert str(error) == "not JSON: 'the key sk-se'…"


def test_words_that_begin_as_the_secret_does_stay() -> None:
    error = ResponseFormatError("keys begin with sk-secret-")
    scrub(error, (SECRET,))
    assert str(error) == "keys begin with sk-secret-"


def test_other_errors_have_a_message_alone() -> None:
    error = ResponseFormatError("no secret")
    scrub(error, (SECRET,))
    assert str(error) == "no secret"
    assert not hasattr(error, "body")
