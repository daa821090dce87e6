"""A short soak; `just soak` is the long one."""

import sys

import pytest

from tests.soak.soak import soak


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts sockets and memory in /proc")
def test_nothing_is_lost_and_nothing_is_left() -> None:
    findings = soak(1_000)
    assert findings.problems == []
    assert sum(findings.kinds.values()) == 1_000
    assert (findings.sockets, findings.threads, findings.tasks) == (0, 0, 0)
    assert findings.growth_kib < 16 * 1024, findings.memory_kib
    assert findings.objects[-2] - findings.objects[2] < 10_000, findings.objects
