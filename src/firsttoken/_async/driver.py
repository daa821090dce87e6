"""One call: attempts over connections until there is an answer, or a failure that no attempt mends.

Owns the connection of the attempt under way, when it is closed, and the one future and one timer that a wait needs.
What arrives goes into the exchange in the callback that brings it, whether or not somebody waits.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Coroutine
from typing import TypeVar

from firsttoken._async.connection import AbortedError, Connection, DeadlineError
from firsttoken._async.pool import ConnectionPool
from firsttoken._client.call import NO_TOKEN, Course, clock, connection_failure, token_provider_error
from firsttoken._client.prepared import PreparedRequest, TokenProvider
from firsttoken._models.completion import ChatCompletion
from firsttoken._protocol.http1 import may_begin_response
from firsttoken.errors import ChatCompletionError, ConfigurationError

_T = TypeVar("_T")

DRAIN_S = 0.1
HIGH_WATER_BYTES = 256 * 1024
"""How much may lie unread by the caller before the connection is not read any further."""


class Call:
    """A request and its answer.

    Args:
        transport: gives the connections.
        plan: what to send, and the limits.

    Attributes:
        course: the attempts, and the answer as far as it has come.
        closed: whether `close` was called.
    """

    def __init__(self, transport: ConnectionPool, plan: PreparedRequest) -> None:
        self.course = Course(plan)
        self.closed = False
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._awaiting_first_byte = True  # no byte of the response has come
        self._allow_pooled = True
        self._unread_bytes = 0
        self._raised: BaseException | None = None  # by code of the caller, in a client of its own
        self._opening: asyncio.Task[object] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at_s = 0.0

    async def wait_for_head(self) -> None:
        """Wait until the server has said yes.

        Raises:
            ChatCompletionError: it did not, and no retry is left.
            AbortedError: the call was closed.
        """
        while True:
            exchange = self.course.exchange
            if exchange.core.failure is not None and not exchange.core.ready:
                await self._retry_or_raise()
            elif exchange.opened:
                self.course.left_at_s = clock()
                return
            else:
                await self._step()

    async def wait_for_chunk(self) -> bool:
        """Wait until a chunk is ready; False where the answer is whole instead, and its connection given back.

        Raises:
            ChatCompletionError: the answer failed behind its last good chunk.
            AbortedError: the call was closed.
        """
        self.course.resume()
        if not self.course.exchange.has_pending_data:
            self._unread_bytes = 0
            if self._connection is not None and self._connection.is_paused:
                self._connection.resume()
        while not (core := self.course.exchange.core).ready:
            if core.failure is not None:
                await self._retry_or_raise()
            elif core.complete:
                await self._finish()
                return False
            else:
                await self._step()
        self.course.left_at_s = clock()
        return True

    async def wait_for_completion(self) -> ChatCompletion:
        """Wait for an answer that is not streamed.

        Raises:
            ChatCompletionError: there is none, and no retry is left.
        """
        while True:
            exchange = self.course.exchange
            if exchange.core.failure is not None:
                await self._retry_or_raise()
            elif exchange.whole is not None:
                await self._finish()
                return exchange.whole
            else:
                await self._step()

    def completion(self) -> ChatCompletion:
        """The chunks handed out, folded."""
        return self.course.exchange.core.completion

    def close(self) -> None:
        """End the call, whoever waits in it; what was not handed out is dropped."""
        self.course.exchange.core.stop()
        self.abandon()

    def abandon(self) -> None:
        """End the call, but keep the chunks that are ready."""
        if self.closed:
            return
        self.closed = True
        self._drop_connection()
        if self._opening is not None:
            self._opening.cancel()
        self.course.exchange.release()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake()

    # What the connection calls.

    def on_data(self, data: bytes) -> None:
        """Take bytes of the answer; stop the reading when the caller does not keep up."""
        connection = self._connection
        if self._awaiting_first_byte and not may_begin_response(data) and connection is not None and connection.used:
            connection.close()
            self.on_lost(None)
            return
        exchange = self.course.exchange
        self._awaiting_first_byte = False
        exchange.receive_data(data, clock())
        self._unread_bytes += len(data)
        is_behind = self._unread_bytes > HIGH_WATER_BYTES and (exchange.core.ready or exchange.has_pending_data)
        if is_behind and self._connection is not None:
            self._connection.pause()
        self._wake()

    def on_lost(self, error: Exception | None) -> None:
        """Take the loss of the connection; one that went stale while it was idle is replaced without a word."""
        connection, self._connection = self._connection, None
        exchange = self.course.exchange
        if isinstance(error, ChatCompletionError):  # a caller's own client says by itself what has failed
            exchange.lose(error)
        elif self._awaiting_first_byte:
            if connection is not None and connection.used:
                self._allow_pooled = False
            else:
                error = error or ConnectionResetError("the server closed the connection without an answer")
                exchange.lose(connection_failure(error, self.course.plan, "lost the connection to"))
        elif error is None:
            exchange.receive_eof(clock())
        else:
            exchange.lose(connection_failure(error, self.course.plan, "lost the connection to"))
        self._wake()

    def on_exception(self, error: BaseException) -> None:
        """Take what is no failure of the answer, but for the one who waits."""
        self._connection = None
        self._raised = error
        self._wake()

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

    def _step(self) -> Awaitable[None]:
        """A step towards an answer, to be awaited: more of what was read, an attempt, or news. No frame of its own."""
        if self.closed:
            raise AbortedError
        exchange = self.course.exchange
        if exchange.has_pending_data:
            exchange.process_pending(clock())
            return asyncio.sleep(0)  # there may be much of it, and other tasks
        if self._connection is None:
            return self._attempt()
        if self._timer is None and not exchange.core.ended and clock() >= exchange.until_s():
            exchange.expire(clock())
            if exchange.core.ended:
                self._drop_connection()
                return _nothing()
        if self._connection.is_paused:
            self._read_on()
        return self._news(exchange.until_s())

    async def _attempt(self) -> None:
        """Send the request over an idle connection, or over a new one."""
        if self._raised is not None:
            raised, self._raised = self._raised, None
            try:
                raise raised
            finally:
                del raised  # its traceback refers to this frame
        if self.course.plan.token_provider is not None and not await self._authorize(self.course.plan.token_provider):
            return
        deadlines = self.course.deadlines
        connection = self._transport.acquire_idle(self.course.plan) if self._allow_pooled else None
        self._awaiting_first_byte = True
        if connection is None:
            connection = self._transport.new_connection(self.course)
            deadlines.connecting(clock())
            try:
                await self._open(connection, deadlines.at_s)
            except DeadlineError:
                self.course.exchange.lose(deadlines.error())
                return
            except ChatCompletionError as failure:
                self.course.exchange.lose(failure)
                return
            except ConfigurationError:  # a ValueError, too
                raise
            except (OSError, ValueError) as error:
                self.course.exchange.lose(connection_failure(error, self.course.plan, "no connection to"))
                return
            except BaseException:
                connection.close()  # cancelled in the very turn of the loop in which it was opened
                raise
        if self.closed:
            connection.close()
            raise AbortedError
        self._connection = connection
        connection.receiver = self
        self.course.exchange.requesting(clock())
        connection.send(self.course.plan.message)

    async def _authorize(self, token_provider: TokenProvider) -> bool:
        """Get a token for the attempt; False where none came in time."""
        deadlines = self.course.deadlines
        deadlines.requesting(clock())
        token, in_time = None, False
        try:
            token = token_provider()
            if inspect.isawaitable(token):
                token = await self._in_task(_awaited(token, deadlines.at_s))
            in_time = clock() < deadlines.at_s
        except DeadlineError:
            pass
        except (StopIteration, StopAsyncIteration) as error:
            raise token_provider_error(error) from error
        if not in_time:
            self.course.exchange.lose(deadlines.error(NO_TOKEN))
            return False
        if self.closed:
            raise AbortedError
        self.course.authorize(token)
        return True

    def _read_on(self) -> None:
        """All that came is taken: more may come."""
        self._unread_bytes = 0
        if self._connection is not None and self._connection.is_paused:
            self._connection.resume()

    async def _open(self, connection: Connection, until_s: float) -> None:
        await self._in_task(self._transport.open(connection, self.course.plan, until_s))

    async def _in_task(self, work: Coroutine[object, object, _T]) -> _T:
        """Wait for something in a task of its own: `close` can cancel that one and leave the caller's alone."""
        opening = self._opening = self._loop.create_task(work)
        try:
            return await opening
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self.closed and not (task is not None and task.cancelling()):
                raise AbortedError from None
            raise
        finally:
            self._opening = None

    async def _retry_or_raise(self) -> None:
        self._drop_connection()
        failure = self.course.take_failure()
        try:
            delay_s = self.course.retry_delay_s(failure)
            if delay_s is None:
                raise failure
        finally:
            del failure  # its traceback refers to this frame
        until_s = clock() + delay_s
        while clock() < until_s:
            await self._news(until_s)
            if self.closed:
                raise AbortedError
        self.course.begin_attempt()

    async def _finish(self) -> None:
        """Give the connection back, if the end of the body is there or comes at once."""
        self._read_on()
        exchange = self.course.exchange
        until_s = clock() + DRAIN_S
        while self._connection is not None and exchange.may_be_reusable and not exchange.body_ended:
            if clock() >= until_s:
                break
            await self._news(until_s)
        self._let_go()
        self.abandon()

    def _let_go(self) -> None:
        """Part with the connection: it is given back where the whole response has come, else closed."""
        exchange = self.course.exchange
        exchange.release()
        connection, self._connection = self._connection, None
        if connection is not None:
            if exchange.reusable and not self.closed:
                self._transport.give_back(connection, self.course.plan)
            else:
                connection.close()

    def _news(self, until_s: float) -> asyncio.Future[None]:
        """To be awaited: something has happened, or a moment has come; either may turn out to be nothing."""
        if self._timer is None or self._timer_at_s > until_s:
            self._arm(until_s)
        self._waiter = self._loop.create_future()
        return self._waiter

    def _arm(self, until_s: float) -> None:
        """Have a timer that goes off at a moment or before: an early one is set anew when it goes off."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if until_s != float("inf"):
            self._timer_at_s = until_s
            self._timer = self._loop.call_later(max(0.0, until_s - clock()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


async def _nothing() -> None:
    pass


async def _awaited(work: Awaitable[_T], until_s: float) -> _T:
    """What the caller's own code gives, if it does before a moment."""
    limit = asyncio.timeout(None if until_s == float("inf") else max(0.0, until_s - clock()))
    try:
        async with limit:
            return await work
    except TimeoutError:
        if limit.expired():
            raise DeadlineError from None
        raise
