"""Both clients."""

from tests.support.clients import clean_env, make_socket_client

__all__ = ["clean_env", "make_socket_client"]
