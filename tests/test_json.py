"""firsttoken._json: JSON that msgspec takes, JSON that only the standard library takes, and what is none."""

import math
from typing import Any

import pytest

from firsttoken._json import MAX_NESTING, as_array, as_object, as_text, excerpt, parse_json
from firsttoken.errors import ResponseFormatError


def test_plain_json() -> None:
    assert parse_json(' {"a": [1, "é", null]} '.encode()) == {"a": [1, "é", None]}


def test_what_only_the_standard_library_takes() -> None:
    value = as_array(parse_json(b'[NaN, Infinity, -Infinity, "\\ud83d", "\\ud83d\\ude00"]'))
    assert value is not None
    assert math.isnan(float(str(value[0])))
    assert value[1:] == [math.inf, -math.inf, "\ud83d", "😀"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the server sent data that is not JSON (Expecting value: line 1 column 1 (char 0)): ''"),
        (b'{"a":', "the server sent data that is not JSON (Expecting value: line 1 column 6 (char 5)): '{\"a\":'"),
        (b"\xff", "the server sent data that is not UTF-8 (invalid start byte): '\ufffd'"),
        (
            b'"\xed\xa0\x80"',
            "the server sent data that is not UTF-8 (invalid continuation byte): '\"\ufffd\ufffd\ufffd\"'",
        ),
        (b'"\xc3"', "the server sent data that is not UTF-8 (invalid continuation byte): '\"\ufffd\"'"),
    ],
)
def test_what_is_no_json(data: bytes, message: str) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        parse_json(data)
    assert str(caught.value) == message
    cause: Any = caught.value.__cause__
    assert isinstance(cause, ValueError)
    assert len(getattr(cause, "doc", "")) + len(getattr(cause, "object", "")) <= 1  # what was sent may hold a key


@pytest.mark.parametrize("open_close", [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_absurd_nesting_is_refused(open_close: tuple[str, str]) -> None:
    start, end = open_close
    for depth in (MAX_NESTING + 1, 5_000, 100_000):
        with pytest.raises(ResponseFormatError) as caught:
            parse_json((start * depth + "1" + end * depth).encode())
        assert str(caught.value).startswith("the server sent JSON that is nested too deeply: '")


def test_nesting_is_counted_not_brackets() -> None:
    deep = "[" * MAX_NESTING + "1" + "]" * MAX_NESTING
    assert repr(parse_json(deep.encode())) == deep
    assert parse_json(b'{"a":"' + b"[{" * 500 + b'"}') == {"a": "[{" * 500}
    assert parse_json(b"[" + b"[]," * 500 + b"[]]") == [[]] * 501


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "''"),
        (b"abc", "'abc'"),
        (b"a\nb", "'a\\nb'"),
        (b"\xff", "'\ufffd'"),
        (b"x" * 200, repr("x" * 200)),
        (b"x" * 201, repr("x" * 200) + "…"),
        (("😀" * 200).encode(), repr("😀" * 200)),
        (("😀" * 201).encode(), repr("😀" * 200) + "…"),
    ],
)
def test_quoting_shows_the_first_200_characters(data: bytes, text: str) -> None:
    assert excerpt(data) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (" a ", " a "),
        ("", None),
        (" \n", None),
        (5, "5"),
        (1.5, "1.5"),
        (True, None),
        (None, None),
        ([], None),
    ],
)
def test_as_text(value: object, text: str | None) -> None:
    assert as_text(value) == text


def test_as_object_and_as_array() -> None:
    assert as_object({"a": 1}) == {"a": 1}
    assert as_object([1]) is None
    assert as_array([1]) == [1]
    assert as_array({"a": 1}) is None
