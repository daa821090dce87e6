"""The connections of a client, idle or new.

Each process has its own: a forked child does not touch its parent's idle connections.
"""

import threading
from typing import TYPE_CHECKING
from weakref import WeakSet

from firsttoken._client.call import Machine
from firsttoken._client.prepared import PreparedRequest
from firsttoken._client.sockets import MAX_IDLE, MAX_IDLE_S, IdleConnections, TLSContexts, Waker, clock, current_process
from firsttoken._sync.connection import Connection

if TYPE_CHECKING:
    import ssl


class ConnectionPool:
    """Provides connections and takes them back; may be shared between threads."""

    def __init__(
        self, ssl_context: "ssl.SSLContext | None", max_idle: int = MAX_IDLE, max_idle_s: float = MAX_IDLE_S
    ) -> None:
        self.max_idle_s = max_idle_s
        self.is_watched = False  # by the thread that closes what has been idle for too long
        self._tls_contexts = TLSContexts(ssl_context)
        self._idle: IdleConnections[Connection] = IdleConnections(max_idle, max_idle_s)

    def acquire(self, request: PreparedRequest, machine: Machine) -> Connection:
        """An idle connection that is still alive, if the attempt may have one; else a new one, to be opened."""
        while (
            machine.allows_idle_connection
            and (connection := self._idle.take(current_process(), request.route.pool_key)) is not None
        ):
            if connection.is_alive():
                return connection
            connection.close()
        return Connection()

    def open(self, connection: Connection, request: PreparedRequest, deadline: float) -> None:
        """Connect; raises as `Connection.open` and `Connection.start_tls` do, with the connection closed."""
        route = request.route
        origin = route.endpoint.origin
        try:
            connection.open(origin, route.proxy, deadline)
            if origin.scheme == "https":
                context = self._tls_contexts.borrow()
                try:
                    connection.start_tls(context, origin.host, deadline)
                finally:
                    self._tls_contexts.give_back(context)
        except BaseException:
            connection.close()
            raise

    def release(self, connection: Connection, request: PreparedRequest) -> None:
        """Keep a connection whose response has ended for the next request."""
        connection.is_reused = True
        for surplus in self._idle.put(current_process(), request.route.pool_key, connection, clock()):
            surplus.close()
        _reaper.watch(self)

    def close_expired(self) -> float | None:
        """Close what has been idle for too long; return when to check again, None if nothing is idle."""
        for expired in self._idle.expire(current_process(), clock()):
            expired.close()
        return self._idle.next_expiry(current_process())

    def close(self) -> None:
        """Close the idle connections."""
        for connection in self._idle.clear(current_process()):
            connection.close()
        _reaper.look_again()


class _Reaper:
    """Closes the expired idle connections of all clients: a thread that runs while there are any."""

    def __init__(self) -> None:
        self._pools: WeakSet[ConnectionPool] = WeakSet()
        self._process = 0  # the process whose thread runs
        self._lock = threading.RLock()
        self._waker = Waker()

    def watch(self, pool: ConnectionPool) -> None:
        """Have a pool's idle connections closed when they expire."""
        process = current_process()
        if self._process == process and pool.is_watched:
            return
        if self._process != process:  # a forked child has not its parent's thread, but maybe a copy of its held lock
            self._lock, self._waker = threading.RLock(), Waker()
        with self._lock:
            self._pools.add(pool)
            pool.is_watched = True
            self._waker.set()
            if self._process != process:
                self._process = process
                threading.Thread(target=self._run, args=(pool.max_idle_s,), name="firsttoken-idle", daemon=True).start()

    def look_again(self) -> None:
        """Check at once whether any connection is left to wait for."""
        if self._process == current_process():
            self._waker.set()

    def _run(self, wait_s: float) -> None:
        self._waker.wait(0)  # `watch` has set it
        next_look_at: float | None = clock() + wait_s  # none expires sooner
        while next_look_at is not None:
            self._waker.wait(next_look_at - clock())
            next_look_at = self._look()

    def _look(self) -> float | None:
        with self._lock:
            looks: list[float] = []
            for pool in list(self._pools):
                pool.is_watched = False  # before the check, or what is released after it would never be watched
                next_look_at = pool.close_expired()
                if next_look_at is None:
                    self._pools.discard(pool)
                else:
                    pool.is_watched = True
                    looks.append(next_look_at)
            if not looks:
                self._process = 0
            return min(looks, default=None)


_reaper = _Reaper()
