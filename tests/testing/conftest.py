"""Fixtures that these tests share."""

from tests.support.clients import clean_env

__all__ = ["clean_env"]
