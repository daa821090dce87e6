"""Fixtures that these tests share."""

import sys

import pytest

if sys.platform != "linux":  # the peak of a process's memory is asked of /proc
    pytest.skip("needs Linux", allow_module_level=True)
