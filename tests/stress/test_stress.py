"""A short run of each scenario; `just stress` is the long one."""

import sys
from collections.abc import Iterator

import pytest

from tests.stress.runner import FULL, SCHEMES, run, server

if sys.platform != "linux":
    pytest.skip("counts sockets in /proc", allow_module_level=True)

CALLS = 100


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    with server() as found:
        yield found


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", FULL)
def test_calls_may_end_at_any_moment(name: str, scheme: str, addresses: dict[str, str]) -> None:
    result = run(name, CALLS, scheme, addresses)
    assert result.problems == []
    assert sum(result.ends.values()) >= CALLS
