"""Connections for a client: an idle one, or a new one.

Owns the pool and the TLS contexts. A process has its own: what a parent left idle is not touched in a forked child.
"""

import os
from typing import TYPE_CHECKING

from firsttoken._client.call import Course, clock
from firsttoken._client.prepared import PreparedRequest
from firsttoken._protocol.pool import IdleConnections
from firsttoken._sync.connection import Connection

if TYPE_CHECKING:
    import ssl

    from firsttoken._client.tls import TLSContexts


class ConnectionPool:
    """Gives connections and takes them back; may be shared between threads."""

    def __init__(self, ssl_context: "ssl.SSLContext | None") -> None:
        self._ssl_context = ssl_context
        self._contexts: TLSContexts | None = None
        self._pool: IdleConnections[Connection] = IdleConnections()

    def acquire_idle(self, plan: PreparedRequest) -> Connection | None:
        """An idle connection that is still alive, if there is one."""
        for expired in self._pool.expire(os.getpid(), clock()):
            expired.close()
        while (connection := self._pool.take(os.getpid(), plan.pool_key)) is not None:
            if connection.is_alive():
                return connection
            connection.close()
        return None

    def new_connection(self, course: Course) -> Connection:  # noqa: ARG002 - a caller's own client needs to know
        """One for the next attempt of a call, to be opened."""
        return Connection()

    def open(self, connection: Connection, plan: PreparedRequest, until_s: float) -> None:
        """Connect; raises as `Connection.open` and `Connection.start_tls` do."""
        origin = plan.endpoint.origin
        connection.open(origin, plan.proxy, until_s)
        if origin.scheme == "https":
            contexts = self._tls_contexts()
            context = contexts.borrow()
            try:
                connection.start_tls(context, origin.host, until_s)
            finally:
                contexts.give_back(context)

    def give_back(self, connection: Connection, plan: PreparedRequest) -> None:
        """Keep a connection whose exchange is over for the next one."""
        connection.used = True
        self._pool.put(os.getpid(), plan.pool_key, connection, clock())

    def close(self) -> None:
        """Close the idle connections."""
        for connection in self._pool.clear(os.getpid()):
            connection.close()

    def _tls_contexts(self) -> "TLSContexts":
        if self._contexts is None:
            from firsttoken._client.tls import TLSContexts

            self._contexts = TLSContexts(self._ssl_context)
        return self._contexts
