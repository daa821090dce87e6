"""Waiting in an event loop: for an event or a moment, and for what a caller's own code gives."""

import asyncio
import math
from collections.abc import Awaitable
from typing import TypeVar

from firsttoken._client.sockets import DeadlineError, clock
from firsttoken.errors import ConfigurationError

_T = TypeVar("_T")


class EventWaiter:
    """Lets one task wait until something happens or a moment comes. Its timer serves one wait after the other."""

    __slots__ = ("_future", "_loop", "_timer", "_timer_at")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._future: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    @property
    def has_timer(self) -> bool:
        """Whether a timer runs, which will wake who waits."""
        return self._timer is not None

    def next_event(self, deadline: float) -> asyncio.Future[None]:
        """To be awaited: something has happened, or a moment has come; either may turn out to be nothing."""
        if self._timer is None or self._timer_at > deadline:
            self._schedule_timer(deadline)
        self._future = self._loop.create_future()
        return self._future

    def wake(self) -> None:
        """Something has happened."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def cancel_timer(self) -> None:
        """No moment is waited for any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule_timer(self, deadline: float) -> None:
        """Have a timer that goes off at a moment or before: an early one is set anew when it goes off."""
        self.cancel_timer()
        if deadline != math.inf:
            self._timer_at = deadline
            self._timer = self._loop.call_later(max(0.0, deadline - clock()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.wake()


async def await_until(work: Awaitable[_T], deadline: float) -> _T:
    """What the caller's own code gives, if it does before a moment.

    Raises:
        DeadlineError: it does not.
    """
    limit = asyncio.timeout(None if deadline == math.inf else max(0.0, deadline - clock()))
    try:
        async with limit:
            return await work
    except TimeoutError:
        if limit.expired():
            raise DeadlineError from None
        raise


def running_loop() -> asyncio.AbstractEventLoop:
    """The event loop that the caller runs in.

    Raises:
        ConfigurationError: there is none.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError as error:
        raise ConfigurationError(
            "AsyncClient needs a running asyncio event loop",
            hint="under trio use Client in a thread, as in trio.to_thread.run_sync, or anyio on asyncio",
        ) from error
