"""Which idle connection a request may take.

Owns the stacks of idle connections, an own one for each owner (a process, or a loop in it) and address. Refuses to
open, check or close a connection; that is why it needs no lock: a list's `append` and `pop` are atomic.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

MAX_IDLE_S = 60.0
"""How long an idle connection is kept: most servers close theirs sooner, load balancers drop some silently later."""

_Connection = TypeVar("_Connection")


class Pool(Generic[_Connection]):
    """Idle connections, the most recently used first."""

    __slots__ = ("_idle",)

    def __init__(self) -> None:
        self._idle: dict[tuple[Hashable, Hashable], list[tuple[float, _Connection]]] = {}

    def put(self, owner: Hashable, address: Hashable, connection: _Connection, now_s: float) -> list[_Connection]:
        """Keep a connection; give back those that have been idle for too long, to be closed."""
        stack = self._idle.setdefault((owner, address), [])
        stale: list[_Connection] = []
        while stack and now_s - stack[0][0] > MAX_IDLE_S:
            try:
                stale.append(stack.pop(0)[1])
            except IndexError:
                break  # another thread was faster
        stack.append((now_s, connection))
        return stale

    def take(self, owner: Hashable, address: Hashable) -> _Connection | None:
        """Take the connection that was used last; None where none is idle."""
        stack = self._idle.get((owner, address))
        try:
            return stack.pop()[1] if stack else None
        except IndexError:
            return None

    def clear(self, owner: Hashable) -> list[_Connection]:
        """Forget everything; give back what is this owner's, to be closed: what others own is not touched."""
        idle, self._idle = self._idle, {}
        return [connection for key, stack in idle.items() if key[0] == owner for _, connection in stack]
