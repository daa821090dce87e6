"""firsttoken.errors: the tree, and that each error survives a pickle and a copy."""

import copy
import pickle
import traceback
from typing import Any

import pytest

from firsttoken import errors
from firsttoken.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ChatCompletionError,
    ConfigurationError,
    RateLimitError,
    ResponseFormatError,
    StreamTruncatedError,
    status_error_class,
)
from firsttoken.types import Headers, ResponseInfo
from tests.support.core import run
from tests.support.server import chunk, event

CLASSES = [found for name in errors.__all__ if isinstance(found := getattr(errors, name), type)]


def an_error(kind: type[Exception]) -> Any:
    if issubclass(kind, APITimeoutError):
        return kind("what failed", phase="idle", hint="what to do")
    if issubclass(kind, APIStatusError):
        details: dict[str, Any] = {"code": "c", "type": "t", "param": "p", "body": {"a": [1]}, "retry_after_s": 2.5}
        return kind("what failed", status=429, in_stream=True, hint="what to do", **details)
    return kind("what failed", hint="what to do")  # pyright: ignore[reportCallIssue]


def filled(kind: type[Exception]) -> Any:
    error = an_error(kind)
    if isinstance(error, ChatCompletionError):
        error.partial = run(event(chunk("Hello", provider="x", usage={"total_tokens": 1}))).completion
        error.chunks_received = 1
        error.request_id = "req_1"
        error.retryable = not error.retryable
    error.add_note("a note")
    return error


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_pickles_and_copies_with_all_it_has(kind: type[Exception]) -> None:
    error = filled(kind)
    again = [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]
    for twin in (*again, copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is kind
        assert str(twin) == str(error) == "what failed"
        assert getattr(twin, "hint", "") == "what to do"
        assert vars(twin) == vars(error)
        assert twin.args == error.args
        assert twin.__notes__ == ["hint: what to do", "a note"]
        twin.add_note("another")
        assert error.__notes__ == ["hint: what to do", "a note"]


@pytest.mark.parametrize("kind", CLASSES)
def test_a_message_is_one_line_and_the_hint_is_apart(kind: type[Exception]) -> None:
    error = an_error(kind)
    assert (str(error), error.hint) == ("what failed", "what to do")
    assert "".join(traceback.format_exception(error)).splitlines()[-2:] == [
        f"{kind.__module__}.{kind.__qualname__}: what failed",
        "hint: what to do",
    ]
    if kind is not APITimeoutError:
        make: Any = kind
        long = make("x" * 30_000_000, hint="y" * 30_000_000)  # a server's words, a caller's value
        assert (str(long), long.hint) == ("x" * 1999 + "…", "y" * 1999 + "…")
        plain: Any = kind("what\r\nfailed")
        assert (str(plain), plain.hint) == ("what failed", None)


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (APIConnectionError, ConnectionError),
        (APITimeoutError, TimeoutError),
        (ResponseFormatError, ValueError),
        (StreamTruncatedError, EOFError),
        (ConfigurationError, ValueError),
    ],
)
def test_errors_are_also_the_built_in_ones_that_they_mean(kind: type[Exception], base: type[Exception]) -> None:
    assert issubclass(kind, base)
    with pytest.raises(base, match="what failed"):
        raise an_error(kind)


def test_what_a_new_error_holds() -> None:
    error = ChatCompletionError("x")
    assert vars(error) == {"partial": None, "chunks_received": 0, "attempts": 0, "response": None, "request_id": None}
    assert (error.headers, error.hint) == ({}, None)
    error.response = ResponseInfo(status=200, headers=Headers({"X-RateLimit-Remaining": "3"}))
    assert error.headers["x-ratelimit-remaining"] == "3"
    assert not error.retryable
    assert APIConnectionError("x").retryable
    assert [APITimeoutError("x", phase=phase).retryable for phase in ("connect", "first_chunk", "idle", "total")] == [
        True,
        False,
        False,
        False,
    ]
    refused = APIStatusError("x")
    assert (refused.status, refused.body, refused.in_stream, refused.retryable) == (None, None, False, False)


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    drawn: dict[str, str | None] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        word = line.strip(" │├└─").partition(" ")[0]
        name = word.partition("(")[0]
        if not name.endswith("Error") or not line.startswith("    "):
            continue
        depth = (len(line) - len(line.lstrip(" │├└─"))) // 4 - 1
        path[depth:] = [name]
        drawn[name] = path[depth - 1] if depth else None
        builtin = word.partition("(")[2].rstrip(")")
        bases = {base.__name__ for base in getattr(errors, name).__mro__ if base.__module__ == "builtins"}
        assert not builtin or builtin in bases
    real: dict[str, str | None] = {
        kind.__name__: next((base.__name__ for base in kind.__bases__ if base in CLASSES), None) for kind in CLASSES
    }
    assert drawn == real


def test_the_tree_in_the_docstring_shows_the_statuses() -> None:
    for status in (400, 401, 403, 404, 409, 422, 429):
        assert f"{status_error_class(status).__name__} {status}" in (errors.__doc__ or "")
    assert status_error_class(429) is RateLimitError
    assert status_error_class(None) is status_error_class(418) is APIStatusError
    assert [status_error_class(status).__name__ for status in (499, 500, 599, 600)] == [
        "APIStatusError",
        "InternalServerError",
        "InternalServerError",
        "APIStatusError",
    ]
