"""Which idle connection a request may take.

Owns the stacks of idle connections, an own one for each owner (a process, or a loop in it) and address. Refuses to
open, check or close a connection; that is why it needs no lock: a list's `append` and `pop` are atomic.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

MAX_IDLE_S = 60.0
"""How long an idle connection is kept: most servers close theirs sooner, load balancers drop some silently later."""

_Connection = TypeVar("_Connection")


class IdleConnections(Generic[_Connection]):
    """Idle connections, the most recently used first."""

    __slots__ = ("_idle",)

    def __init__(self) -> None:
        self._idle: dict[tuple[Hashable, Hashable], list[tuple[float, _Connection]]] = {}

    def put(self, owner: Hashable, address: Hashable, connection: _Connection, now_s: float) -> None:
        """Keep a connection."""
        self._idle.setdefault((owner, address), []).append((now_s, connection))

    def take(self, owner: Hashable, address: Hashable) -> _Connection | None:
        """Take the connection that was used last; None where none is idle."""
        stack = self._idle.get((owner, address))
        try:
            return stack.pop()[1] if stack else None
        except IndexError:
            return None  # another thread was faster

    def expire(self, owner: Hashable, now_s: float) -> list[_Connection]:
        """Give up an owner's connections that have been idle for too long, to be closed."""
        expired: list[_Connection] = []
        for key in [key for key in list(self._idle) if key[0] == owner]:
            stack = self._idle.get(key, [])
            while stack and now_s - stack[0][0] > MAX_IDLE_S:
                try:
                    expired.append(stack.pop(0)[1])
                except IndexError:
                    break  # another thread was faster
        return expired

    def clear(self, owner: Hashable) -> list[_Connection]:
        """Give up all of an owner's connections, to be closed."""
        stacks = [self._idle.pop(key, []) for key in list(self._idle) if key[0] == owner]
        return [connection for stack in stacks for _, connection in stack]
