"""Connections for a client: an idle one, or a new one.

Each event loop of each process has connections of its own. When a loop is shut down (`asyncio.run` does it), they are
closed, so that nothing is left behind to warn of.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING
from weakref import WeakSet, ref

from firsttoken._async.connection import Connection
from firsttoken._async.waiting import running_loop
from firsttoken._client.call import Machine
from firsttoken._client.prepared import PreparedRequest
from firsttoken._client.sockets import MAX_IDLE, MAX_IDLE_S, IdleConnections, TLSContexts, clock, current_process

if TYPE_CHECKING:
    import ssl

_Owner = tuple[int, asyncio.AbstractEventLoop]


class _LoopShutdownHook:
    """The connections of an event loop, and what is called when it is shut down.

    `loop.shutdown_asyncgens()` is the one call that every runner makes at the end: a generator that waits is notified.

    Attributes:
        connections: those that were opened in the loop.
        timer: closes the idle ones when their time is over; None while none is idle.
    """

    def __init__(self) -> None:
        self.connections: WeakSet[Connection] = WeakSet()
        self.timer: asyncio.TimerHandle | None = None
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
    """Provides connections and takes them back; may be shared between tasks, loops and threads."""

    def __init__(
        self, ssl_context: "ssl.SSLContext | None", max_idle: int = MAX_IDLE, max_idle_s: float = MAX_IDLE_S
    ) -> None:
        self._ssl_context = ssl_context
        self._idle: IdleConnections[Connection] = IdleConnections(max_idle, max_idle_s)
        self._loops: dict[_Owner, _LoopShutdownHook] = {}

    def acquire(self, request: PreparedRequest, machine: Machine) -> Connection:
        """An idle connection that is still alive, if the attempt may have one; else a new one, to be opened."""
        owner = _owner()
        while (
            machine.allows_idle_connection
            and (connection := self._idle.take(owner, request.route.pool_key)) is not None
        ):
            if connection.is_alive():
                return connection
            connection.close()
        return Connection()

    async def open(self, connection: Connection, request: PreparedRequest, deadline: float) -> None:
        """Connect; raises as `Connection.open` does."""
        await self._watch(connection)
        route = request.route
        origin = route.endpoint.origin
        context = self._tls_context() if origin.scheme == "https" else None
        await connection.open(origin, route.proxy, context, deadline)

    def release(self, connection: Connection, request: PreparedRequest) -> None:
        """Keep a connection whose response has ended for the next request."""
        owner = _owner()
        connection.is_reused = True
        connection.listener = None
        connection.resume()
        for surplus in self._idle.put(owner, request.route.pool_key, connection, clock()):
            surplus.close()
        self._schedule_expiry(owner)

    def close(self) -> None:
        """Close the idle connections of this loop."""
        for connection in self._idle.clear(_owner()):
            connection.close()

    def _schedule_expiry(self, owner: _Owner) -> None:
        hook = self._loops.get(owner)
        if hook is None or hook.timer is not None:
            return
        next_expiry = self._idle.next_expiry(owner)
        if next_expiry is not None:
            pool: ref[ConnectionPool] = ref(self)
            hook.timer = owner[1].call_later(max(0.0, next_expiry - clock()), _close_expired, pool, owner)

    def close_expired(self, owner: _Owner) -> None:
        """Close what has been idle in a loop for too long."""
        hook = self._loops.get(owner)
        if hook is not None:
            hook.timer = None
        for expired in self._idle.expire(owner, clock()):
            expired.close()
        self._schedule_expiry(owner)

    async def _watch(self, connection: Connection) -> None:
        """Close a connection when its loop ends; forget loops that ended without a shutdown."""
        for owner in [owner for owner in list(self._loops) if owner[1].is_closed() and owner[0] == current_process()]:
            self._forget(owner)
        owner = _owner()
        hook = self._loops.get(owner)
        if hook is None:
            hook = self._loops[owner] = _LoopShutdownHook()
            await hook.begin(lambda: self._forget(owner))
        hook.connections.add(connection)

    def _forget(self, owner: _Owner) -> None:
        hook = self._loops.pop(owner, None)
        idle = self._idle.clear(owner)  # strong references: the garbage collector may have emptied the weak ones
        for connection in [*idle, *(() if hook is None else hook.connections)]:
            connection.close()
        if hook is not None and hook.timer is not None:
            hook.timer.cancel()

    def _tls_context(self) -> "ssl.SSLContext":
        if self._ssl_context is None:
            self._ssl_context = TLSContexts(None).borrow()
        return self._ssl_context


def _close_expired(pool: "ref[ConnectionPool]", owner: _Owner) -> None:
    """The callback of a timer; it does not keep an unused client alive."""
    alive = pool()
    if alive is not None:
        alive.close_expired(owner)


def _owner() -> _Owner:
    return current_process(), running_loop()
