"""Drives one call over an event loop: does what its machine asks for, and reports what happened.

What the connection brings goes to the machine in the callback that brings it, whether or not somebody waits.
"""

import asyncio
import inspect
import math
import random
import time
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, TypeVar

from firsttoken._async.connection import Connection
from firsttoken._async.pool import ConnectionPool
from firsttoken._client.call import copy_error, token_provider_error
from firsttoken._client.prepared import PreparedRequest
from firsttoken._client.sockets import AbortedError, DeadlineError, clock
from firsttoken._models.completion import ChatCompletion
from firsttoken._protocol.call import CallMachine
from firsttoken._protocol.call_states import Action
from firsttoken.errors import ChatCompletionError, ConfigurationError

if TYPE_CHECKING:
    from firsttoken._client.watching import CallWatcher

_T = TypeVar("_T")

HIGH_WATER_BYTES = 256 * 1024
"""How much may lie unread by the caller before the connection is not read any further."""


class Call:
    """A request and its response.

    Args:
        pool: gives the connections.
        request: what to send, and the limits.

    Attributes:
        machine: decides what is done.
        is_closed: whether the call was ended from outside.
    """

    __slots__ = (
        *("_connection", "_exception", "_loop", "_pool", "_request", "_task", "_timer", "_timer_at", "_unread_bytes"),
        *("_waiter", "_watcher", "__weakref__", "is_closed", "machine"),
    )

    def __init__(self, pool: ConnectionPool, request: PreparedRequest) -> None:
        self.is_closed = False
        self._pool = pool
        self._request = request
        self._loop = _running_loop()
        self._connection: Connection | None = None
        self._unread_bytes = 0
        self._exception: BaseException | None = None  # of the caller's code, in a client of its own
        self._task: asyncio.Task[object] | None = None  # what connects, gets a token or waits for a permit
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._watcher: CallWatcher | None = None
        if request.observer is not None or request.limiter is not None:
            from firsttoken._client.watching import watch

            self._watcher = watch(request)
        jitter = random.random()  # noqa: S311 - it spreads retries, it guards nothing
        self.machine = CallMachine(request, clock(), jitter=jitter, wall_clock=time.time, listener=self._watcher)

    async def wait_for_head(self) -> None:
        """Wait until a response with a success status has begun, or the call was closed.

        Raises:
            ChatCompletionError: there is none, and no retry is left.
        """
        try:
            while not self.machine.is_open(clock()):
                await self._perform(self.machine.next_action(clock()))
        except AbortedError:
            pass
        except BaseException:
            self.detach()
            raise

    async def wait_for_chunk(self) -> bool:
        """Wait until a chunk is pending; False where the answer has ended instead, or the call was closed.

        Raises:
            ChatCompletionError: the answer failed after its last chunk.
        """
        machine = self.machine
        try:
            machine.resume(clock())
            self._resume_reading()
            while (action := machine.next_action(clock())) is not Action.YIELD:
                await self._perform(action)
                if action is Action.FINISH:
                    return False
        except AbortedError:
            return False
        except BaseException:
            self.detach()
            raise
        return True

    async def wait_for_completion(self) -> ChatCompletion:
        """Wait for a response that is not streamed.

        Raises:
            ChatCompletionError: there is none, and no retry is left.
        """
        try:
            action = None
            while action is not Action.FINISH:
                action = self.machine.next_action(clock())
                await self._perform(action)
            return self.machine.completion
        finally:
            self.close()

    def completion(self) -> ChatCompletion:
        """The answer, or as much of it as was yielded."""
        return self.machine.completion

    def close(self) -> None:
        """End the call, whoever waits in it; what was not yielded is dropped."""
        self._end(keep_pending=False)

    def detach(self) -> None:
        """End the call, but keep the chunks that are pending."""
        self._end(keep_pending=True)

    def close_threadsafe(self) -> None:
        """End the call, from its own loop, from another thread, or when its loop is gone."""
        try:
            is_own = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_own = False
        if is_own or self._loop.is_closed():
            self.close()
            return
        try:
            self._loop.call_soon_threadsafe(self.close)
        except RuntimeError:
            self.close()  # the loop was closed in this moment

    def _end(self, *, keep_pending: bool) -> None:
        self.is_closed = True
        machine = self.machine
        machine.close(clock(), keep_pending=keep_pending)
        while (action := machine.next_action(clock())) in _GIVE_UP:
            self._give_up_connection(action)
        self._give_up_connection(Action.CLOSE)  # one that the machine does not know of yet
        if self._task is not None:
            self._task.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake()

    # What the connection calls.

    def on_data(self, data: bytes) -> None:
        """Pass on what was read; stop the reading when the caller does not keep up."""
        machine = self.machine
        machine.receive_data(data, clock())
        self._unread_bytes += len(data)
        if self._unread_bytes > HIGH_WATER_BYTES and machine.has_unread_data and self._connection is not None:
            self._connection.pause()
        self._wake()

    def on_connection_lost(self, error: Exception | None) -> None:
        """Pass on the end of the connection: by its peer (None), or by an error."""
        connection, machine = self._connection, self.machine
        is_untaken = None if connection is None else connection.is_untaken(at_eof=error is None)
        if connection is not None:
            machine.is_reused = connection.is_reused
        if error is None:
            machine.receive_eof(clock(), is_untaken=is_untaken)
        else:
            machine.connection_lost(error, clock(), is_untaken=is_untaken)
        self._wake()

    def on_exception(self, error: BaseException) -> None:
        """Keep what code of the caller has raised, for whoever waits."""
        self._exception = error
        self._wake()

    # What is done.

    def _perform(self, action: Action) -> Awaitable[None]:
        """Do what the machine asks for; to be awaited. What is done at once has no frame of its own."""
        match action:
            case Action.READ:
                return self._read()
            case Action.PROCESS:
                self.machine.process_pending(clock())
                return asyncio.sleep(0)  # there may be much of it, and other tasks
            case Action.CONNECT:
                return self._connect()
            case Action.GET_TOKEN:
                return self._get_token()
            case Action.ACQUIRE_PERMIT:
                return self._acquire_permit()
            case Action.SLEEP:
                return self._sleep()
            case Action.SEND:
                self._send()
            case Action.RELEASE | Action.CLOSE:
                self._give_up_connection(action)
            case Action.FINISH:
                self._finish()
            case Action.YIELD:
                pass
        return _noop()

    def _read(self) -> Awaitable[None]:
        if self._exception is not None:
            raised, self._exception = self._exception, None
            try:
                raise raised
            finally:
                del raised  # its traceback refers to this frame
        self._resume_reading()
        deadline = self.machine.deadline
        if self._timer is None and (now := clock()) >= deadline:
            self.machine.deadline_passed(now)
            return _noop()
        return self._next_event(deadline)

    async def _sleep(self) -> None:
        await self._next_event(self.machine.deadline)
        self.machine.deadline_passed(clock())

    async def _get_token(self) -> None:
        machine, provider = self.machine, self._request.token_provider
        token: object = None
        try:
            token = None if provider is None else provider()
            if inspect.isawaitable(token):
                try:
                    given = await self._in_task(_await_until(token, machine.deadline))
                finally:
                    if inspect.iscoroutine(token):
                        token.close()  # or Python complains, if the task was cancelled before it began
                token = given
        except DeadlineError:
            machine.deadline_passed(clock())
            return
        except (StopIteration, StopAsyncIteration) as error:
            raise token_provider_error(error) from error
        try:
            machine.token_received(self._request.with_token(token), clock())
        except ConfigurationError as error:
            machine.fail(error, clock())

    async def _acquire_permit(self) -> None:
        machine = self.machine
        if self._watcher is None:
            return
        permit = self._watcher.request_permit(machine.attempts)
        if await self._in_task(permit.wait_async(machine.deadline)):
            machine.permit_granted(clock())
        else:
            machine.deadline_passed(clock())

    async def _connect(self) -> None:
        machine, request = self.machine, self._request
        connection = self._pool.acquire_idle(request) if machine.allows_idle_connection else None
        is_reused = connection is not None
        if connection is None:
            connection = self._pool.new_connection(machine)
            try:
                await self._in_task(self._pool.open(connection, request, machine.deadline))
            except DeadlineError:
                machine.deadline_passed(clock())
                return
            except ChatCompletionError as error:
                machine.connection_lost(error, clock())
                return
            except ConfigurationError as error:  # a ValueError, too
                machine.fail(error, clock())
                return
            except (OSError, ValueError) as error:
                machine.connection_failed(error)
                return
            except BaseException:
                connection.close()  # cancelled in the very turn of the loop in which it was opened
                raise
        self._connection = connection
        connection.listener = self
        machine.connected(clock(), is_reused=is_reused)

    def _send(self) -> None:
        machine, connection = self.machine, self._connection
        if connection is None:
            raise AbortedError
        machine.sent(clock())
        try:
            connection.send(machine.settings.wire_bytes)
        except ConfigurationError as error:  # of a caller's own client
            machine.fail(error, clock())

    def _give_up_connection(self, action: Action) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if action is Action.RELEASE:
            self._pool.release(connection, self._request)
        else:
            connection.close()

    def _finish(self) -> None:
        """The call has ended: raise what it ended with."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        error = self.machine.error
        if error is not None:
            raise copy_error(error)
        if self.machine.outcome == "stopped":
            raise AbortedError

    def _resume_reading(self) -> None:
        """All that was read is processed and yielded: more may come."""
        if self._unread_bytes and not self.machine.has_unread_data:
            self._unread_bytes = 0
            if self._connection is not None and self._connection.is_paused:
                self._connection.resume()

    async def _in_task(self, work: Coroutine[object, object, _T]) -> _T:
        """Wait for something in a task of its own: `close` can cancel that one and leave the caller's alone."""
        task = self._task = self._loop.create_task(work)
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if self.is_closed and not (current is not None and current.cancelling()):
                raise AbortedError from None
            raise
        finally:
            self._task = None

    def _next_event(self, deadline: float) -> asyncio.Future[None]:
        """To be awaited: something has happened, or a moment has come; either may turn out to be nothing."""
        if self._timer is None or self._timer_at > deadline:
            self._schedule_timer(deadline)
        self._waiter = self._loop.create_future()
        return self._waiter

    def _schedule_timer(self, deadline: float) -> None:
        """Have a timer that goes off at a moment or before: an early one is set anew when it goes off."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline != math.inf:
            self._timer_at = deadline
            self._timer = self._loop.call_later(max(0.0, deadline - clock()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


_GIVE_UP = (Action.RELEASE, Action.CLOSE)


async def _noop() -> None:
    pass


async def _await_until(work: Awaitable[_T], deadline: float) -> _T:
    """What the caller's own code gives, if it does before a moment."""
    limit = asyncio.timeout(None if deadline == math.inf else max(0.0, deadline - clock()))
    try:
        async with limit:
            return await work
    except TimeoutError:
        if limit.expired():
            raise DeadlineError from None
        raise


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError as error:
        raise ConfigurationError(
            "AsyncClient needs a running asyncio event loop",
            hint="under trio use Client in a thread, as in trio.to_thread.run_sync, or anyio on asyncio",
        ) from error
