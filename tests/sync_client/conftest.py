"""Fixtures that these tests share."""

from tests.support.clients import _bare_environment, sync_client_of

__all__ = ["_bare_environment", "sync_client_of"]
