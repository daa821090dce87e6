"""What a `Fault` says about itself: names for tests and tables, and facts that agree with each other."""

import pickle
import re
from typing import Any

import pytest

from firsttoken.testing import FAULTS, Fault


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_has_a_name_and_says_what_it_is(fault: Fault, request: Any) -> None:
    assert re.fullmatch(r"[a-z0-9]+([-.][a-z0-9]+)*", fault.name)
    assert str(fault) == fault.name
    assert request.node.name.endswith(f"[{fault.name}]")
    assert re.fullmatch(r"[a-z][^|\n]*[^.\s]", fault.what)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_facts_agree(fault: Fault) -> None:
    if fault.is_complete:
        assert fault.text
        assert fault.status is None
    if fault.is_retried:
        assert not fault.text
    if fault.text and not fault.is_complete:
        assert fault.where == "in the stream"
    assert fault.status is None or 300 <= fault.status <= 599


def test_no_fault_is_there_twice() -> None:
    assert len({fault.name for fault in FAULTS}) == len({fault.what for fault in FAULTS}) == len(FAULTS) > 150


def test_faults_may_be_kept_in_sets_and_sent_to_other_processes() -> None:
    assert {fault: fault.name for fault in FAULTS} == {
        fault: str(fault) for fault in pickle.loads(pickle.dumps(FAULTS))
    }
