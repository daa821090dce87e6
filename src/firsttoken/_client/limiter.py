"""How many calls may run at once, and how many may start in a minute: `firsttoken.Limiter`.

What a call does with a limiter, for each attempt to send its request::

    permit = limiter.request(tokens=…, attempt=…)   # never blocks
    if permit.wait(deadline):                       # or: await permit.wait_async(deadline)
        ...                                         # send the request
        permit.accepted()                           # a response with a success status has begun
    permit.release(outcome)                         # always, however the attempt ended

`release` may be called at any time, from any thread, and more than once: before the permit was granted it leaves the
queue and wakes the waiting call, whose `wait` then returns False. That is how `close()` and cancellation end a wait. A
retry requests a new permit with a higher `attempt`, and goes ahead of calls that have not started yet.

The accounting is in `firsttoken._protocol.limits`; here are the lock, the queue and the waiting.
"""

import heapq
import itertools
import math
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from typing import Final
from weakref import WeakValueDictionary

from firsttoken._client.sockets import Waker
from firsttoken._protocol.limits import STOPPED, AttemptResult, LimiterState
from firsttoken.errors import ConfigurationError

BYTES_PER_TOKEN: Final = 4
"""A rough estimate for JSON in most languages."""


class Permit:
    """The right to send one request, or a place in the queue for it. See this module's docstring.

    Attributes:
        granted: whether the request may be sent, and `release` was not called yet.
    """

    __slots__ = (
        "_attempt",
        "_cost",
        "_gate",
        "_is_accepted",
        "_is_released",
        "_next_look_at",
        "_started_at",
        "_tokens",
        "_wake",
        "granted",
    )

    def __init__(self, gate: "_Gate", tokens: int, attempt: int) -> None:
        self.granted = False
        self._gate = gate
        self._tokens = tokens
        self._attempt = attempt
        self._cost = 0.0
        self._started_at = 0.0
        self._is_accepted = False
        self._is_released = False
        self._next_look_at = math.inf
        self._wake: Callable[[], None] | None = None

    def wait(self, deadline: float = math.inf) -> bool:
        """Block until the request may be sent.

        Args:
            deadline: by `time.monotonic()`; when it passes, the permit is released.

        Returns:
            Whether it may be sent; False after `release`, or when the deadline has passed.
        """
        if self.granted:
            return True
        waker = Waker()
        self._wake = waker.set
        try:
            while (until := self._gate.advance(self)) is not None:
                now = time.monotonic()
                if now >= deadline:
                    break
                waker.wait(min(until, deadline) - now)
        except BaseException:  # Ctrl-C
            self.release()
            raise
        return self._end_of_wait()

    async def wait_async(self, deadline: float = math.inf) -> bool:
        """Wait, as `wait` does, without blocking the event loop; cancelling the task releases the permit."""
        if self.granted:
            return True
        import asyncio

        loop = asyncio.get_running_loop()
        event = asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:  # the loop was closed: nothing waits there any more
                pass

        self._wake = wake
        try:
            while (until := self._gate.advance(self)) is not None:
                now = time.monotonic()
                if now >= deadline:
                    break
                until = min(until, deadline)
                timer = None if until == math.inf else loop.call_later(max(0.0, until - now), event.set)
                try:
                    await event.wait()
                finally:
                    if timer is not None:
                        timer.cancel()
                event.clear()
        except BaseException:
            self.release()
            raise
        return self._end_of_wait()

    def accepted(self) -> None:
        """Note that a response without an error status has begun."""
        self._gate.accept(self)

    def release(self, outcome: AttemptResult = STOPPED) -> None:
        """Give the permit back, or leave the queue; a second call does nothing."""
        self._gate.release(self, outcome)

    def _notify(self) -> None:
        wake = self._wake
        if wake is not None:
            wake()

    def _end_of_wait(self) -> bool:
        self._wake = None
        if self.granted:
            return True
        self.release()
        return False


class _Gate:
    """The accounting and the queue, under a lock. Belongs to one process.

    A stream that the garbage collector finds releases its permit at any point of any thread, in one that holds the lock
    too. So `release` never waits for the lock: its holder checks again after releasing it.
    """

    def __init__(self, state: LimiterState) -> None:
        self.state = state
        self.process = os.getpid()
        self.waiting = 0
        self._lock = threading.Lock()
        self._queue: list[tuple[int, int, Permit]] = []
        self._numbers = itertools.count()
        self._released: deque[tuple[Permit, AttemptResult]] = deque()

    def enter(self, permit: Permit) -> None:
        with self._lock:
            heapq.heappush(self._queue, (-permit._attempt, next(self._numbers), permit))
            self.waiting += 1
            self._grant()
        self._settle()

    def advance(self, permit: Permit) -> float | None:
        """When to call again: infinite if only when woken, None when the wait is over."""
        with self._lock:
            permit._next_look_at = -math.inf  # it is awake: it needs no waking
            ready_at = self._grant()
            is_first = bool(self._queue) and self._queue[0][2] is permit
            permit._next_look_at = ready_at if is_first else math.inf
            until = None if permit.granted or permit._is_released else permit._next_look_at
        self._settle()
        return until

    def accept(self, permit: Permit) -> None:
        if os.getpid() != self.process:
            return
        with self._lock:
            if permit.granted and not permit._is_accepted:
                permit._is_accepted = True
                self.state.accept()
                self._grant()
        self._settle()

    def release(self, permit: Permit, outcome: AttemptResult) -> None:
        if os.getpid() == self.process:  # else it is a forked child's copy, whose lock may never be released
            self._released.append((permit, outcome))
            self._settle()

    def _settle(self) -> None:
        """Account for released permits, unless the lock's holder will."""
        while self._released and self._lock.acquire(blocking=False):
            try:
                while self._released:
                    self._end(*self._released.popleft())
                self._grant()
            finally:
                self._lock.release()

    def _end(self, permit: Permit, outcome: AttemptResult) -> None:
        if permit._is_released:
            return
        permit._is_released = True
        if permit.granted:
            permit.granted = False
            now, accepted = time.monotonic(), permit._is_accepted
            self.state.end(outcome, started_at=permit._started_at, cost=permit._cost, accepted=accepted, now=now)
        else:
            self.waiting -= 1
        permit._notify()

    def _grant(self) -> float:
        """Grant the permits that may start; return when the next one may. It is woken if it would check later."""
        while self._queue:
            permit = self._queue[0][2]
            if not permit._is_released:
                now = time.monotonic()
                ready_at = self.state.ready_at(permit._tokens, now)
                if ready_at > now:
                    if ready_at < permit._next_look_at:
                        permit._next_look_at = ready_at
                        permit._notify()
                    return ready_at
                self.waiting -= 1
                permit._cost = self.state.start(permit._tokens, now)
                permit._started_at = now
                permit.granted = True
                permit._notify()
            heapq.heappop(self._queue)
        return math.inf


class Limiter:
    """Limits what one or several clients send: pass it to each as `limiter=`.

    A call waits for its turn, first come, first served; the wait counts for `Timeout.total_s` alone. After a response
    429 or 503 with `Retry-After` no call of any of the clients sends a request before that time (60 s at most), and
    then they come back little by little, those that were refused before all others.

    May be shared by clients, threads, tasks and event loops. A forked child starts with a fresh limiter of the same
    limits; copies and pickles are the same limiter within one process.

    Args:
        concurrency: how many requests may be under way at once; None for any number.
        requests_per_minute: how many may start in a minute, evenly spread.
        tokens_per_minute: how many tokens, of prompts and answers together, may be used. What a call uses is
            estimated when it starts, and corrected by the server's own count when it ends.

    Raises:
        ConfigurationError: one of them is not above 0.
    """

    def __init__(
        self,
        concurrency: int | None = None,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
    ) -> None:
        self._init_limits(concurrency, requests_per_minute, tokens_per_minute)

    def _init_limits(self, concurrency: int | None, per_minute: float | None, tokens_per_minute: float | None) -> None:
        if concurrency is not None:
            _require_above_zero("concurrency", concurrency)
            if not isinstance(concurrency, int):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
                raise ConfigurationError(f"concurrency must be an integer, not {concurrency!r}")
        _require_above_zero("requests_per_minute", per_minute)
        _require_above_zero("tokens_per_minute", tokens_per_minute)
        self._limits = (concurrency, per_minute, tokens_per_minute)
        self._id = uuid.uuid4().hex
        self._gate_of_process = _Gate(self._new_state())
        _limiters[self._id] = self

    def _new_state(self) -> LimiterState:
        return LimiterState(*self._limits)

    def __repr__(self) -> str:
        names = ("concurrency", "requests_per_minute", "tokens_per_minute")
        given = [f"{name}={value}" for name, value in zip(names, self._limits, strict=True) if value is not None]
        return f"{type(self).__name__}({', '.join(given)})"

    def __reduce__(self) -> "tuple[object, ...]":
        return _restore, (type(self), self._limits, self._id)

    @property
    def concurrency(self) -> int | None:
        """How many requests may be under way at once, at the most; None for any number."""
        return self._limits[0]

    @property
    def running(self) -> int:
        """How many requests are under way."""
        return self._gate().state.running

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return self._gate().waiting

    def request(self, *, tokens: int = 0, attempt: int = 1) -> Permit:
        """Ask for the right to send one request, without waiting.

        Args:
            tokens: what it will use, roughly; the average of the calls before is taken if that is more.
            attempt: 1 for the first attempt of a call; a later attempt goes ahead of earlier ones.

        Returns:
            A permit that may have been granted already, and is to be released in any case.
        """
        gate = self._gate()
        permit = Permit(gate, tokens, attempt)
        gate.enter(permit)
        return permit

    def _gate(self) -> _Gate:
        if self._gate_of_process.process != os.getpid():
            self._gate_of_process = _Gate(self._new_state())
        return self._gate_of_process


def estimated_tokens(body: bytes) -> int:
    """The tokens that a request may use, estimated by its size."""
    return len(body) // BYTES_PER_TOKEN


def _require_above_zero(name: str, value: float | None) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (is_number and value > 0):
        raise ConfigurationError(f"{name} must be a number above 0, or None for no limit, not {value!r}")


_limiters: WeakValueDictionary[str, Limiter] = WeakValueDictionary()
_unpickled: deque[Limiter] = deque(maxlen=64)
"""Keeps the limiters that a worker process received alive from one task to the next."""


def _restore(cls: type[Limiter], limits: tuple[int | None, float | None, float | None], limiter_id: str) -> Limiter:
    limiter = _limiters.get(limiter_id)
    if limiter is None:
        limiter = cls(*limits)
        limiter._id = limiter_id
        limiter = _limiters.setdefault(limiter_id, limiter)
        _unpickled.append(limiter)
    return limiter


Limiter.__module__ = "firsttoken"  # the public module, for reprs, tracebacks and pickles
