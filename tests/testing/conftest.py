"""Fixtures that these tests share."""

from tests.support.clients import _bare_environment

__all__ = ["_bare_environment"]
