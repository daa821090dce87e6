"""firsttoken._models.timeout: the deadlines that a caller sets."""

from typing import Any

import pytest

from firsttoken import Timeout
from firsttoken.errors import ConfigurationError

NAMES = ["connect_s", "first_chunk_s", "idle_s", "total_s"]


def test_the_defaults() -> None:
    assert [getattr(Timeout(), name) for name in NAMES] == [10, 600, 300, None]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0.001, 5, 5.5, float("inf"), None])
def test_a_number_of_seconds_or_none(name: str, value: float | None) -> None:
    assert getattr(Timeout(**{name: value}), name) == value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, -1, float("nan"), True, "5", (1, 2)])
def test_what_is_no_number_of_seconds(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Timeout(**{name: value})
    assert str(caught.value) == f"{name} must be a number of seconds above 0, or None for no deadline: {value!r}"


def test_it_is_a_value() -> None:
    assert Timeout(idle_s=5) == Timeout(idle_s=5)
    with pytest.raises(AttributeError, match="immutable"):
        Timeout().idle_s = 5  # pyright: ignore[reportAttributeAccessIssue]
