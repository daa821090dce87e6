"""Drives one call over an event loop: does what its machine asks for, and reports what happened.

What the connection brings goes to the machine in the callback that brings it, whether or not somebody waits.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Coroutine
from typing import TypeVar, cast

from firsttoken._async.connection import Connection
from firsttoken._async.pool import ConnectionPool
from firsttoken._async.waiting import EventWaiter, await_until, running_loop
from firsttoken._client.call import BaseCall, token_provider_error
from firsttoken._client.prepared import PreparedRequest
from firsttoken._client.sockets import AbortedError, DeadlineError, clock
from firsttoken._models.completion import ChatCompletion
from firsttoken._protocol.call_states import Action, State
from firsttoken.errors import ChatCompletionError, ConfigurationError

_T = TypeVar("_T")

HIGH_WATER_BYTES = 256 * 1024
"""How much the caller may leave unread before the reading of the connection pauses."""


class Call(BaseCall):
    """A request and its response.

    Args:
        pool: provides the connections.
        request: what to send, and the limits.
    """

    __slots__ = ("_connection", "_events", "_exception", "_loop", "_pool", "_task", "_unread_bytes")

    def __init__(self, pool: ConnectionPool, request: PreparedRequest) -> None:
        self._pool = pool
        self._loop = running_loop()
        self._events = EventWaiter(self._loop)
        self._connection: Connection | None = None
        self._unread_bytes = 0
        self._exception: BaseException | None = None  # of the caller's code, in a client of its own
        self._task: asyncio.Task[object] | None = None  # connects, gets a token or waits for a permit
        super().__init__(request)

    async def wait_for_head(self) -> None:
        """Wait until a response with a success status has begun, or the call was closed.

        Raises:
            ChatCompletionError: the call failed, and no retry is left.
        """
        try:
            while not self.machine.is_open(clock()):
                if (waiting := self._perform(self.machine.next_action(clock()))) is not None:
                    await waiting
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
                if (waiting := self._perform(action)) is not None:
                    await waiting
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
            ChatCompletionError: the call failed, and no retry is left.
        """
        try:
            action = None
            while action is not Action.FINISH:
                action = self.machine.next_action(clock())
                if (waiting := self._perform(action)) is not None:
                    await waiting
            return self.machine.completion
        finally:
            self.close()

    def completion(self) -> ChatCompletion:
        """The completion, as far as it was yielded."""
        return self.machine.completion

    def close(self) -> None:
        """End the call, and wake who waits in it; chunks not yet yielded are dropped."""
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
        if machine.state is not State.ENDED or self._connection is not None or machine.pending:
            machine.close(clock(), keep_pending=keep_pending)
            while (action := machine.next_action(clock())) in _GIVE_UP:
                self._give_up_connection(action)
            self._give_up_connection(Action.CLOSE)  # one that the machine does not know yet
        if self._task is not None:
            self._task.cancel()
        self._events.cancel_timer()
        self._events.wake()

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
        self._lose_connection(self._connection, error, clock())
        self._events.wake()

    def on_exception(self, error: BaseException) -> None:
        """Keep what the caller's code has raised, for the task that waits."""
        self._exception = error
        self._events.wake()

    # The actions.

    def _perform(self, action: Action) -> Awaitable[None] | None:
        """Perform one action; return what to await, None if it is done."""
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
        return None

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

    async def _sleep(self) -> None:
        await self._events.next_event(self.machine.deadline)
        self.machine.deadline_passed(clock())

    async def _get_token(self) -> None:
        token = self._ask_for_token()
        if inspect.isawaitable(token):
            try:
                given = await self._in_task(await_until(cast("Awaitable[object]", token), self.machine.deadline))
            except DeadlineError:
                self.machine.deadline_passed(clock())
                return
            except (StopIteration, StopAsyncIteration) as error:
                raise token_provider_error(error) from error
            finally:
                if inspect.iscoroutine(token):
                    token.close()  # or Python complains, if the task was cancelled before it began
            token = given
        self._receive_token(token)

    async def _acquire_permit(self) -> None:
        machine = self.machine
        if self._watcher is None:
            return
        permit = self._watcher.request_permit(machine.attempts)
        self._receive_permit(is_granted=await self._in_task(permit.wait_async(machine.deadline)))

    def _connect(self) -> Awaitable[None] | None:
        machine = self.machine
        connection = self._pool.acquire_idle(self._request) if machine.allows_idle_connection else None
        if connection is None:
            return self._open()
        self._use(connection, is_reused=True)
        return None

    async def _open(self) -> None:
        connection = self._pool.new_connection(self.machine)
        try:
            await self._in_task(self._pool.open(connection, self._request, self.machine.deadline))
        except (DeadlineError, ChatCompletionError, OSError, ValueError) as error:
            self._fail_to_connect(error)
        except BaseException:
            connection.close()  # cancelled in the very turn of the loop in which it was opened
            raise
        else:
            self._use(connection, is_reused=False)

    def _use(self, connection: Connection, *, is_reused: bool) -> None:
        self._connection = connection
        connection.listener = self
        self.machine.connected(clock(), is_reused=is_reused)

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
        """The call has ended: raise its error, if there is one."""
        self._events.cancel_timer()
        self._raise_outcome()

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


_GIVE_UP = (Action.RELEASE, Action.CLOSE)
