"""Drives one call over an event loop: does what its machine asks for, and reports what happened.

What the connection brings goes to the machine in the callback that brings it, whether or not somebody waits.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Final, TypeVar, cast

from firsttoken._async.connection import Connection
from firsttoken._async.pool import ConnectionPool
from firsttoken._async.waiting import EventWaiter, await_until, running_loop
from firsttoken._client.call import FAILURES, BaseCall, token_provider_error
from firsttoken._client.prepared import PreparedRequest
from firsttoken._client.sockets import AbortedError, DeadlineError, clock
from firsttoken._models.completion import ChatCompletion
from firsttoken._protocol.call_states import Action, State
from firsttoken.errors import ConfigurationError

_T = TypeVar("_T")

HIGH_WATER_BYTES = 256 * 1024
"""How much the caller may leave unread before the reading of the connection pauses."""


class Call(BaseCall[Connection]):
    """A request and its response.

    Args:
        pool: provides the connections.
        request: what to send, and the limits.
    """

    __slots__ = ("_events", "_exception", "_loop", "_pool", "_task", "_unread_bytes")

    def __init__(self, pool: ConnectionPool, request: PreparedRequest) -> None:
        self._pool = pool
        self._loop = running_loop()
        self._events = EventWaiter(self._loop)
        self._unread_bytes = 0
        self._exception: BaseException | None = None  # of the caller's code, in a client of its own
        self._task: asyncio.Task[object] | None = None  # connects, gets a token or waits for a permit
        super().__init__(request)

    async def wait(self, *, until_open: bool = False) -> bool:
        """Wait until a chunk is pending; False where the answer has ended instead, or the call was closed.

        Args:
            until_open: wait for the head of a response with a success status only.

        Raises:
            ChatCompletionError: the call failed: after its last chunk, and no retry is left.
        """
        machine, action = self.machine, None
        try:
            machine.resume(clock())
            self._resume_reading()
            while action is not Action.FINISH and not (until_open and machine.is_open(clock())):
                action = machine.next_action(clock())
                if action is Action.YIELD:
                    return True
                if (waiting := _STEPS[action](self)) is not None:
                    await waiting
        except AbortedError:
            pass
        except BaseException:
            self.close(keep_pending=True)
            raise
        return False

    def completion(self) -> ChatCompletion:
        """The completion, as far as it was yielded."""
        return self.machine.completion

    def close(self, *, keep_pending: bool = False) -> None:
        """End the call, and wake who waits in it; chunks not yet yielded are dropped unless they are to be kept."""
        self.is_closed = True
        machine = self.machine
        if machine.state is not State.ENDED or self._connection is not None or machine.pending:
            self._end(keep_pending=keep_pending)
        if self._task is not None:
            self._task.cancel()
        self._events.cancel_timer()
        self._events.wake()

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

    # What the connection calls.

    def on_data(self, data: bytes) -> None:
        """Pass on what was read; pause reading when the caller does not keep up."""
        machine = self.machine
        machine.receive_data(data, clock())
        self._unread_bytes += len(data)
        if self._unread_bytes > HIGH_WATER_BYTES and machine.has_unread_data and self._connection is not None:
            self._connection.pause()
        self._events.wake()

    def on_connection_lost(self, error: Exception | None) -> None:
        """Pass on the end of the connection: by its peer (None), or by an error."""
        self._report(error)
        self._events.wake()

    def on_exception(self, error: BaseException) -> None:
        """Keep what the caller's code has raised, for the task that waits."""
        self._exception = error
        self._events.wake()

    # The actions. Each returns what is to be awaited, if anything.

    def _process_pending(self) -> Awaitable[None]:
        self.machine.process_pending(clock())
        return asyncio.sleep(0)  # there may be much of it, and other tasks

    async def _get_token(self) -> None:
        token = self._ask_for_token()
        if inspect.isawaitable(token):
            try:
                given = await self._in_task(await_until(cast("Awaitable[object]", token), self.machine.deadline))
            except DeadlineError as error:
                self._report(error)
                return
            except (StopIteration, StopAsyncIteration) as error:
                raise token_provider_error(error) from error
            finally:
                if inspect.iscoroutine(token):
                    token.close()  # or Python complains, if the task was cancelled before it began
            token = given
        self._receive_token(token)

    async def _acquire_permit(self) -> None:
        permit = self._request_permit()
        self._receive_permit(is_granted=await self._in_task(permit.wait_async(self.machine.deadline)))

    def _connect(self) -> Awaitable[None] | None:
        connection = self._pool.acquire(self._request, self.machine)
        if not connection.is_reused:
            return self._open(connection)
        self._use(connection)
        return None

    async def _open(self, connection: Connection) -> None:
        try:
            await self._in_task(self._pool.open(connection, self._request, self.machine.deadline))
        except FAILURES[Action.CONNECT] as error:
            self._report(error)
        except BaseException:
            connection.close()  # cancelled in the very turn of the loop in which it was opened
            raise
        else:
            self._use(connection)

    def _use(self, connection: Connection) -> None:
        self._connection = connection
        connection.listener = self
        self.machine.connected(clock(), is_reused=connection.is_reused)

    def _send(self) -> None:
        connection = self._open_connection()
        self.machine.sent(clock())
        try:
            connection.send(self.machine.settings.wire_bytes)
        except ConfigurationError as error:  # of a caller's own client
            self._report(error)

    def _read(self) -> Awaitable[None] | None:
        if self._exception is not None:
            raised, self._exception = self._exception, None
            try:
                raise raised
            finally:
                del raised  # its traceback refers to this frame
        self._resume_reading()
        deadline = self.machine.deadline
        if not self._events.has_timer and (now := clock()) >= deadline:
            self.machine.deadline_passed(now)
            return None
        return self._events.next_event(deadline)

    def _resume_reading(self) -> None:
        """All that was read is processed and yielded: more may come."""
        if self._unread_bytes and not self.machine.has_unread_data:
            self._unread_bytes = 0
            if self._connection is not None and self._connection.is_paused:
                self._connection.resume()

    async def _sleep(self) -> None:
        await self._events.next_event(self.machine.deadline)
        self.machine.deadline_passed(clock())

    def _release(self) -> None:
        connection = self._take_connection()
        if connection is not None:
            self._pool.release(connection, self._request)

    def _finish(self) -> None:
        self._events.cancel_timer()
        self._raise_outcome()

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


_STEPS: Final[dict[Action, Callable[[Call], Awaitable[None] | None]]] = {
    Action.GET_TOKEN: Call._get_token,
    Action.ACQUIRE_PERMIT: Call._acquire_permit,
    Action.CONNECT: Call._connect,
    Action.SEND: Call._send,
    Action.READ: Call._read,
    Action.PROCESS: Call._process_pending,
    Action.SLEEP: Call._sleep,
    Action.RELEASE: Call._release,
    Action.CLOSE: Call._close_connection,
    Action.FINISH: Call._finish,
}
