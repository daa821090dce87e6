"""The fault table in the docs: all of it, and as `page` writes it; its rows are compared where they are seen."""

import re
from collections.abc import Callable

import pytest

from firsttoken.testing import FAULTS, Fault
from tests.faults import page

_EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_page_has_a_row_for_each_fault() -> None:
    assert set(page.committed_rows()) == {fault.name for fault in FAULTS}


def test_the_page_is_as_it_is_written() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.written(page.committed_rows())


@pytest.fixture(scope="module")
def example() -> Callable[[Fault], None]:
    """The test that the page shows."""
    (code,) = _EXAMPLE.findall(page.PAGE.read_text(encoding="utf-8"))
    namespace: dict[str, Callable[[Fault], None]] = {}
    exec(code, namespace)
    return namespace["test_half_an_answer_is_never_taken_for_a_complete_one"]


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if not fault.needs_deadline or fault.name == "stall"])
def test_the_page_shows_a_test_that_passes(fault: Fault, example: Callable[[Fault], None]) -> None:
    example(fault)
