"""firsttoken._version: a deprecated name says so, at the line that uses it."""

import re

import pytest

from firsttoken._version import warn_deprecated


def old_name() -> int:
    warn_deprecated("old_name", removed_in="0.3", hint="use new_name")
    return 1


def test_the_warning_names_the_version_and_points_at_the_caller() -> None:
    text = "old_name is deprecated and will be removed in firsttoken 0.3\nhint: use new_name"
    with pytest.warns(DeprecationWarning, match=re.escape(text)) as caught:
        assert old_name() == 1
    line = test_the_warning_names_the_version_and_points_at_the_caller.__code__.co_firstlineno + 3
    assert [(warning.filename, warning.lineno) for warning in caught] == [(__file__, line)]
