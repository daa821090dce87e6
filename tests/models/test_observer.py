"""firsttoken._models.observer: what is shown of an attempt."""

from firsttoken._models.observer import Attempt


def test_the_repr_of_an_attempt_has_no_key() -> None:
    attempt = Attempt(1, "http://test/v1/chat/completions?key=one", {"authorization": "Bearer two"}, ("two",))
    assert repr(attempt) == "Attempt(number=1, url='http://test/v1/chat/completions')"
