"""Which idle connection a request may use.

Idle connections belong to an owner (a process, or an event loop in it) and a key: where they lead, and how. Nothing is
opened, checked or closed here: `call` decides which connections come, the driver whether one is still good. It needs no
lock: a list's `append` and `pop` are atomic.
"""

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

MAX_IDLE_S: Final = 60.0
"""How long an idle connection is kept: most servers close theirs sooner, load balancers drop some silently later."""

MAX_IDLE: Final = 100
"""How many idle connections there may be for each key, by default."""

_Connection = TypeVar("_Connection")


class IdleConnections(Generic[_Connection]):
    """Idle connections, the most recently used first.

    Args:
        max_idle: how many are kept for each owner and key.
        max_idle_s: for how long.
    """

    __slots__ = ("_idle", "_max_idle", "_max_idle_s")

    def __init__(self, max_idle: int = MAX_IDLE, max_idle_s: float = MAX_IDLE_S) -> None:
        self._max_idle = max_idle
        self._max_idle_s = max_idle_s
        self._idle: dict[tuple[Hashable, Hashable], list[tuple[float, _Connection]]] = {}

    def put(self, owner: Hashable, key: Hashable, connection: _Connection, now: float) -> list[_Connection]:
        """Keep a connection; return the surplus to close: those that were idle for longest."""
        stack = self._idle.setdefault((owner, key), [])
        stack.append((now, connection))
        surplus: list[_Connection] = []
        while len(stack) > self._max_idle:
            _pop_oldest(stack, surplus)
        return surplus

    def take(self, owner: Hashable, key: Hashable) -> _Connection | None:
        """Take the most recently used connection; None if none is idle."""
        stack = self._idle.get((owner, key))
        try:
            return stack.pop()[1] if stack else None
        except IndexError:
            return None  # another thread was faster

    def expire(self, owner: Hashable, now: float) -> list[_Connection]:
        """Remove and return an owner's connections that have been idle for too long."""
        expired: list[_Connection] = []
        for stack in self._stacks(owner):
            while stack and now - stack[0][0] >= self._max_idle_s:
                _pop_oldest(stack, expired)
        return expired

    def next_expiry(self, owner: Hashable) -> float | None:
        """When to call `expire` next; None if no connection of the owner is idle."""
        oldest = [stack[:1] for stack in self._stacks(owner)]
        return min((entries[0][0] + self._max_idle_s for entries in oldest if entries), default=None)

    def clear(self, owner: Hashable) -> list[_Connection]:
        """Remove and return all of an owner's connections."""
        stacks = [self._idle.pop(key, []) for key in list(self._idle) if key[0] == owner]
        return [connection for stack in stacks for _, connection in stack]

    def _stacks(self, owner: Hashable) -> list[list[tuple[float, _Connection]]]:
        return [stack for key, stack in list(self._idle.items()) if key[0] == owner]


def _pop_oldest(stack: list[tuple[float, _Connection]], into: list[_Connection]) -> None:
    try:
        into.append(stack.pop(0)[1])
    except IndexError:
        pass  # another thread was faster
