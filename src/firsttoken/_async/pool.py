"""Connections for a client: an idle one, or a new one.

Owns the pool and the TLS context. Each event loop of each process has connections of its own. When a loop is shut
down (`asyncio.run` does it), they are closed, so that nothing is left behind to warn of.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING
from weakref import WeakSet

from firsttoken._async.connection import Connection
from firsttoken._client.call import Course, clock
from firsttoken._client.prepared import PreparedRequest
from firsttoken._protocol.pool import IdleConnections

if TYPE_CHECKING:
    import ssl

_Owner = tuple[int, asyncio.AbstractEventLoop]


class _LoopShutdownHook:
    """The connections of an event loop, and what is called when it is shut down.

    `loop.shutdown_asyncgens()` is the one call that every runner makes at the end: a generator that waits is told.
    """

    def __init__(self) -> None:
        self.connections: WeakSet[Connection] = WeakSet()
        self._generator: AsyncGenerator[None] | None = None

    async def begin(self, on_shutdown: Callable[[], None]) -> None:
        self._generator = self._wait(on_shutdown)
        await anext(self._generator)

    async def _wait(self, on_shutdown: Callable[[], None]) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            on_shutdown()


class ConnectionPool:
    """Gives connections and takes them back; may be shared between tasks, loops and threads."""

    def __init__(self, ssl_context: "ssl.SSLContext | None") -> None:
        self._ssl_context = ssl_context
        self._pool: IdleConnections[Connection] = IdleConnections()
        self._loops: dict[_Owner, _LoopShutdownHook] = {}

    def acquire_idle(self, plan: PreparedRequest) -> Connection | None:
        """An idle connection that is still alive, if there is one."""
        owner = _owner()
        for expired in self._pool.expire(owner, clock()):
            expired.close()
        while (connection := self._pool.take(owner, plan.pool_key)) is not None:
            if connection.is_alive:
                return connection
            connection.close()
        return None

    def new_connection(self, course: Course) -> Connection:  # noqa: ARG002 - a caller's own client needs to know
        """One for the next attempt of a call, to be opened."""
        return Connection()

    async def open(self, connection: Connection, plan: PreparedRequest, until_s: float) -> None:
        """Connect; raises as `Connection.open` does."""
        await self._watch(connection)
        origin = plan.endpoint.origin
        context = self._tls_context() if origin.scheme == "https" else None
        await connection.open(origin, plan.proxy, context, until_s)

    def give_back(self, connection: Connection, plan: PreparedRequest) -> None:
        """Keep a connection whose exchange is over for the next one."""
        connection.used = True
        connection.receiver = None
        connection.resume()
        self._pool.put(_owner(), plan.pool_key, connection, clock())

    def close(self) -> None:
        """Close the idle connections of this loop."""
        for connection in self._pool.clear(_owner()):
            connection.close()

    async def _watch(self, connection: Connection) -> None:
        """See to it that a connection ends with its loop; and let go of what loops left that nobody shut down."""
        for owner in [owner for owner in list(self._loops) if owner[1].is_closed() and owner[0] == os.getpid()]:
            self._let_go(owner)
        owner = _owner()
        guard = self._loops.get(owner)
        if guard is None:
            guard = self._loops[owner] = _LoopShutdownHook()
            await guard.begin(lambda: self._let_go(owner))
        guard.connections.add(connection)

    def _let_go(self, owner: _Owner) -> None:
        guard = self._loops.pop(owner, None)
        idle = self._pool.clear(owner)  # strong references: the garbage collector may have emptied the weak ones
        for connection in [*idle, *(() if guard is None else guard.connections)]:
            connection.close()

    def _tls_context(self) -> "ssl.SSLContext":
        if self._ssl_context is None:
            from firsttoken._client.tls import TLSContexts

            self._ssl_context = TLSContexts(None).borrow()
        return self._ssl_context


def _owner() -> _Owner:
    return os.getpid(), asyncio.get_running_loop()
