"""Connections for a client: an idle one, or a new one.

Owns the pool and the TLS context. Each event loop of each process has connections of its own. When a loop is shut
down (`asyncio.run` does it), they are closed, so that nothing is left behind to warn of.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from firsttoken._async.connection import Connection
from firsttoken._base import Course, clock
from firsttoken._core.pool import Pool
from firsttoken._settings import Plan

if TYPE_CHECKING:
    import ssl

_Owner = tuple[int, asyncio.AbstractEventLoop]


class Transport:
    """Gives connections and takes them back; may be shared between tasks, loops and threads."""

    def __init__(self, ssl_context: "ssl.SSLContext | None") -> None:
        self._ssl_context = ssl_context
        self._pool: Pool[Connection] = Pool()
        self._guards: dict[_Owner, AsyncGenerator[None]] = {}

    def take_idle(self, plan: Plan) -> Connection | None:
        """An idle connection that is still alive, if there is one."""
        while (connection := self._pool.take(_owner(), plan.pool_key)) is not None:
            if connection.is_alive:
                return connection
            connection.close()
        return None

    def new_connection(self, course: Course) -> Connection:  # noqa: ARG002 - a caller's own client needs to know
        """One for the next attempt of a call, to be opened."""
        return Connection()

    async def open(self, connection: Connection, plan: Plan, until_s: float) -> None:
        """Connect; raises as `Connection.open` does."""
        origin = plan.endpoint.origin
        context = self._tls_context() if origin.scheme == "https" else None
        await connection.open(origin, plan.proxy, context, until_s)

    async def give_back(self, connection: Connection, plan: Plan) -> None:
        """Keep a connection whose exchange is over for the next one."""
        owner = _owner()
        if owner not in self._guards:
            guard = self._guards[owner] = self._guard(owner)
            await anext(guard)
        connection.used = True
        connection.receiver = None
        connection.resume()
        for stale in self._pool.put(owner, plan.pool_key, connection, clock()):
            stale.close()

    def close(self) -> None:
        """Close the idle connections of this loop."""
        for connection in self._pool.clear(_owner()):
            connection.close()

    async def _guard(self, owner: _Owner) -> AsyncGenerator[None]:
        """Waits to be finalised: `loop.shutdown_asyncgens()` is the one call that every runner makes at the end."""
        try:
            yield
        finally:
            self._guards.pop(owner, None)
            for connection in self._pool.clear(owner):
                connection.close()

    def _tls_context(self) -> "ssl.SSLContext":
        if self._ssl_context is None:
            from firsttoken._sync.tls import TLSContexts

            self._ssl_context = TLSContexts(None).borrow()
        return self._ssl_context


def _owner() -> _Owner:
    return os.getpid(), asyncio.get_running_loop()
