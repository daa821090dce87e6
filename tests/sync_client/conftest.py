"""Fixtures that these tests share."""

from tests.support.clients import clean_env, sync_client_of

__all__ = ["clean_env", "sync_client_of"]
