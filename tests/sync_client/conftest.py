"""Fixtures that these tests share."""

from tests.support.clients import clean_env, make_sync_client

__all__ = ["clean_env", "make_sync_client"]
