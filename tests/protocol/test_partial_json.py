"""firsttoken._protocol.partial_json: JSON that is still being written."""

import json
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken._protocol.partial_json import ALWAYS_PARSE_BYTES, STEPS, PartialJSON
from firsttoken.errors import ConfigurationError, ResponseFormatError
from tests.support.errors import message_of

VALUES: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def grown(*texts: str, is_complete: bool = False) -> list[object]:
    """The values that a text has as it grows."""
    growing = PartialJSON()
    values: list[object] = []
    for text in texts:
        growing.add(text)
        if growing.update():
            values.append(growing.value)
    if is_complete and growing.update(is_complete=True):
        values.append(growing.value)
    return values


@given(VALUES, st.booleans())
def test_any_json_can_be_read_while_it_grows_and_is_itself_in_the_end(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    values = grown(*text, is_complete=True)
    assert values[-1:] == [json.loads(text)]


@given(st.dictionaries(st.text(), VALUES, max_size=4), st.data())
def test_what_is_known_of_an_object_only_grows(value: dict[str, object], data: st.DataObject) -> None:
    text = json.dumps(value)
    end = data.draw(st.integers(0, len(text)))
    for partial in grown(text[:end]):
        assert isinstance(partial, dict)
        assert list(partial) == list(json.loads(text))[: len(partial)]  # pyright: ignore[reportUnknownArgumentType]


def test_a_value_comes_when_it_has_changed() -> None:
    texts = ['{"', "city", '":', ' "Pa', "", "ris", '", ', '"people', '": 2', "1", "00}"]
    assert grown(*texts) == [
        {},
        {"city": "Pa"},
        {"city": "Paris"},
        {"city": "Paris", "people": 2100},
    ]


def test_a_number_waits_until_it_has_ended() -> None:
    assert grown("[1", "2", ".5", ", -", "3", "]") == [[], [12.5], [12.5, -3]]
    assert grown("1", "2", is_complete=True) == [12]
    assert grown('{"a": "at 1', '2"}') == [{"a": "at 1"}, {"a": "at 12"}]


def test_a_text_that_looks_like_a_number_lags_by_no_more_than_that() -> None:
    assert grown('{"a": "at, 1', '2"}') == [{"a": "at, "}, {"a": "at, 12"}]


@pytest.mark.parametrize("text", ["", " ", "\n ", "t", "-", "nul"])
def test_nothing_has_no_value(text: str) -> None:
    assert grown(text) == []
    assert grown(text, is_complete=True) == []


@pytest.mark.parametrize("text", ["Sure!", "```json", '{"a": 1,}', "{a", '{"a": NaN}', "[Infinity"])
def test_what_is_no_json_is_refused_and_quoted(text: str) -> None:
    growing = PartialJSON()
    growing.add(text)
    with pytest.raises(ResponseFormatError, match="the answer is not JSON") as caught:
        growing.update()
    assert repr(text) in message_of(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("text", ['{"a": 1} That is it.', "[] []", '"a"}'])
def test_what_stands_behind_a_value_is_refused_at_the_end(text: str) -> None:
    growing = PartialJSON()
    growing.add(text)
    assert growing.update()
    with pytest.raises(ResponseFormatError, match=r"the answer is not JSON \(trailing characters") as caught:
        growing.update(is_complete=True)
    assert repr(text) in message_of(caught.value)


def test_a_text_that_ends_too_early_keeps_its_value() -> None:
    assert grown('{"a": "x', is_complete=True) == [{"a": "x"}]
    assert grown("[1", is_complete=True) == [[], [1]]


def test_half_a_surrogate_is_no_crash() -> None:
    growing = PartialJSON()
    growing.add('{"a": "\ud83d')
    with pytest.raises(ResponseFormatError, match="the answer is not JSON"):
        growing.update()


def test_a_long_text_is_looked_at_in_steps() -> None:
    growing = PartialJSON()
    growing.add('{"a": "' + "x" * (ALWAYS_PARSE_BYTES * 5))
    assert growing.is_due
    assert growing.update()
    assert not growing.is_due
    step = ALWAYS_PARSE_BYTES * 4 // STEPS
    growing.add("x" * (step - 1))
    assert not growing.is_due
    growing.add("x" * (step // 16))
    assert growing.is_due


def test_a_short_text_is_looked_at_each_time() -> None:
    growing = PartialJSON()
    growing.add('"')
    for _ in range(ALWAYS_PARSE_BYTES - 1):
        growing.add("x")
        assert growing.is_due
        growing._parsed_size = len(growing._data)
    assert not growing.is_due


def cpu_s(size: int) -> float:
    growing = PartialJSON()
    growing.add('["')
    started = time.process_time()
    for _ in range(size // 8):
        growing.add("12345678")
        if growing.is_due:
            growing.update()
    return time.process_time() - started


def test_the_complete_work_is_linear() -> None:
    cpu_s(ALWAYS_PARSE_BYTES)
    small, large = min(cpu_s(512 * 1024) for _ in range(3)), min(cpu_s(4096 * 1024) for _ in range(3))
    assert large < small * 8 * 3


def test_jiter_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jiter", None)
    with pytest.raises(ConfigurationError) as caught:
        PartialJSON()
    assert message_of(caught.value) == (
        "the value of an unfinished answer needs jiter, which is not installed\n"
        "hint: in a clone of firsttoken: pip install '.[structured]'"
    )
