"""Both clients."""

from tests.support.clients import _bare_environment, client_of

__all__ = ["_bare_environment", "client_of"]
