"""One call: attempts over connections until there is an answer, or a failure that no attempt mends.

Owns the connection of the attempt under way and when it is closed. Another thread may close a call at any moment:
the lock guards what both touch, and is never held while waiting.
"""

import os
import threading
from collections.abc import Callable

from firsttoken._client.call import NO_TOKEN, Course, clock, connection_failure, token_provider_error
from firsttoken._client.prepared import PreparedRequest, TokenProvider
from firsttoken._client.stream import ConcurrencyError
from firsttoken._models.completion import ChatCompletion
from firsttoken._protocol.http1 import may_begin_response
from firsttoken._sync.connection import AbortedError, Connection, DeadlineError
from firsttoken._sync.pool import ConnectionPool
from firsttoken.errors import ChatCompletionError, ConfigurationError

DRAIN_S = 0.1
"""How long to wait for the end of a body behind `[DONE]`, so that its connection can be used again."""


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
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._connection: Connection | None = None
        self._is_waiting = False
        self._awaiting_first_byte = True  # no byte of the response has come
        self._allow_pooled = True

    def wait_for_head(self) -> None:
        """Wait until the server has said yes.

        Raises:
            ChatCompletionError: it did not, and no retry is left.
            AbortedError: the call was closed.
        """
        while True:
            exchange = self.course.exchange
            if exchange.core.failure is not None and not exchange.core.ready:
                self._retry_or_raise()
            elif exchange.opened:
                self.course.left_at_s = clock()
                return
            else:
                self._step()

    def wait_for_chunk(self) -> bool:
        """Wait until a chunk is ready; False where the answer is whole instead, and its connection given back.

        Raises:
            ChatCompletionError: the answer failed behind its last good chunk.
            AbortedError: the call was closed.
        """
        self.course.resume()
        while True:
            core = self.course.exchange.core
            if core.ready:
                return True
            if core.failure is not None:
                self._retry_or_raise()
            elif core.complete:
                self._finish()
                return False
            else:
                self._step()

    def wait_for_completion(self) -> ChatCompletion:
        """Wait for an answer that is not streamed.

        Raises:
            ChatCompletionError: there is none, and no retry is left.
        """
        while True:
            exchange = self.course.exchange
            if exchange.core.failure is not None:
                self._retry_or_raise()
            elif exchange.whole is not None:
                self._finish()
                return exchange.whole
            else:
                self._step()

    def completion(self) -> ChatCompletion:
        """The chunks handed out, folded."""
        with self._lock:
            return self.course.exchange.core.completion

    def close(self) -> None:
        """End the call, whoever waits in it; what was not handed out is dropped."""
        if self._process != os.getpid():  # a forked child: neither the socket nor the lock is its own
            if self._connection is not None:
                self._connection.close()
            return
        with self._lock:
            self.closed = True
            self.course.exchange.core.stop()
            self.course.exchange.release()
            if self._connection is not None:
                self._connection.abort()
            if not self._is_waiting:
                self._drop_connection()  # else the one who waits does: it may be using the descriptor
            self._wake.set()

    def _step(self) -> None:
        """Take one step towards an answer: take what was read, make a connection and send the request, or read once."""
        exchange, connection = self.course.exchange, self._connection
        if exchange.has_pending_data:
            with self._lock:
                self._check_open()
                self.course.left_at_s = now_s = clock()
                exchange.process_pending(now_s)
        elif connection is None:
            self._wait(self._attempt)
        else:
            self._read(connection)

    def _wait(self, act: Callable[[], None]) -> None:
        """Do something that waits, so that `close` can wake it; what it raises closes the connection.

        Raises:
            AbortedError: the call was closed.
            APIConnectionError: this is a forked child, and the call its parent's.
        """
        self._begin_waiting()
        try:
            act()
        except BaseException:
            self._drop_connection()
            raise
        finally:
            self._end_waiting()

    def _begin_waiting(self) -> None:
        if self._process != os.getpid():
            raise self.course.forked_error()
        with self._lock:
            if self.closed:
                raise AbortedError
            if self._is_waiting:
                raise ConcurrencyError
            self._is_waiting = True

    def _end_waiting(self) -> None:
        with self._lock:
            self._is_waiting = False
            if self.closed:
                self._drop_connection()

    def _check_open(self) -> None:
        if self.closed:
            raise AbortedError

    def _attempt(self) -> None:
        """Send the request over an idle connection, or over a new one."""
        if self.course.plan.token_provider is not None and not self._authorize(self.course.plan.token_provider):
            return
        deadlines = self.course.deadlines
        connection = self._transport.acquire_idle(self.course.plan) if self._allow_pooled else None
        self._awaiting_first_byte = True
        try:
            if connection is None:
                connection = self._transport.new_connection(self.course)
                self._adopt(connection)
                deadlines.connecting(clock())
                self._transport.open(connection, self.course.plan, deadlines.at_s)
            else:
                self._adopt(connection)
        except DeadlineError:
            self._fail(deadlines.error())
        except ChatCompletionError as failure:
            self._fail(failure)
        except ConfigurationError:  # a ValueError, too
            raise
        except (OSError, ValueError) as error:
            self._fail(connection_failure(error, self.course.plan, "no connection to"))
        else:
            self._send(connection)

    def _authorize(self, token_provider: TokenProvider) -> bool:
        """Get a token for the attempt; False where none came in time. The caller's code: it runs without the lock."""
        deadlines = self.course.deadlines
        deadlines.requesting(clock())
        try:
            token = token_provider()
        except (StopIteration, StopAsyncIteration) as error:
            raise token_provider_error(error) from error
        if clock() >= deadlines.at_s:
            self._fail(deadlines.error(NO_TOKEN))
            return False
        with self._lock:
            self._check_open()
            self.course.authorize(token)
        return True

    def _adopt(self, connection: Connection) -> None:
        with self._lock:
            self._connection = connection  # a closed call drops it when the waiting ends
            self._check_open()

    def _send(self, connection: Connection) -> None:
        deadlines = self.course.deadlines
        self.course.exchange.requesting(clock())
        try:
            connection.send(self.course.plan.message, deadlines.at_s)
        except DeadlineError:
            self._fail(deadlines.error())
        except OSError:
            pass  # it may have answered before it stopped to listen; if not, reading says so

    def _read(self, connection: Connection) -> None:
        """Wait for bytes, and take them. `_wait`, spelt out: this is paid for with every chunk that comes alone."""
        self._begin_waiting()
        exchange = self.course.exchange
        try:
            data = connection.recv(exchange.until_s())
        except (DeadlineError, OSError, ChatCompletionError) as error:
            self._end_waiting()
            self._take_failed_read(connection, error)
            return
        except BaseException:
            self._end_waiting()
            self._drop_connection()
            raise
        with self._lock:
            self._is_waiting = False
            if self.closed:
                self._drop_connection()
                raise AbortedError
            if self._awaiting_first_byte and not may_begin_response(data) and connection.used:
                self._lose(connection, ConnectionResetError("the connection had data left over"))
            elif data:
                self._awaiting_first_byte = False
                self.course.left_at_s = now_s = clock()
                exchange.receive_data(data, now_s)
            elif self._awaiting_first_byte:
                self._lose(connection, ConnectionResetError("the server closed the connection without an answer"))
            else:
                exchange.receive_eof(clock())

    def _take_failed_read(self, connection: Connection, error: DeadlineError | OSError | ChatCompletionError) -> None:
        if isinstance(error, ChatCompletionError):  # a caller's own client says by itself what has failed
            self._fail(error)
            return
        if isinstance(error, OSError):
            self._lose(connection, error)
            return
        exchange = self.course.exchange
        with self._lock:
            self._check_open()
            exchange.expire(clock())
        if exchange.core.ended:
            self._drop_connection()

    def _lose(self, connection: Connection, error: OSError) -> None:
        """Take the loss of a connection; one that went stale while it was idle is replaced without a word."""
        if self._awaiting_first_byte and connection.used:
            self._allow_pooled = False
            self._drop_connection()
        else:
            self._fail(connection_failure(error, self.course.plan, "lost the connection to"))

    def _fail(self, failure: ChatCompletionError) -> None:
        with self._lock:
            self._check_open()
            self.course.exchange.lose(failure)
        self._drop_connection()

    def _retry_or_raise(self) -> None:
        self._drop_connection()
        failure = self.course.take_failure()
        try:
            delay_s = self.course.retry_delay_s(failure)
            if delay_s is None:
                raise failure
        finally:
            del failure  # its traceback refers to this frame
        self._wake.wait(delay_s)
        with self._lock:
            self._check_open()
            self.course.begin_attempt()

    def _finish(self) -> None:
        """Give the connection back, if the end of the body is there or comes at once."""
        exchange = self.course.exchange
        if exchange.may_be_reusable and not exchange.body_ended:
            try:
                self._wait(self._drain)
            except (AbortedError, DeadlineError, OSError, ChatCompletionError):
                pass  # the answer is whole all the same
        self._let_go()

    def _let_go(self) -> None:
        """Part with the connection: it is given back where the whole response has come, else closed."""
        exchange = self.course.exchange
        with self._lock:
            exchange.release()
            if exchange.reusable and self._connection is not None and not self.closed:
                self._transport.give_back(self._connection, self.course.plan)
                self._connection = None
        self._drop_connection()

    def _drain(self) -> None:
        exchange, connection = self.course.exchange, self._connection
        until_s = clock() + DRAIN_S
        while connection is not None and not exchange.body_ended and (data := connection.recv(until_s)):
            with self._lock:
                exchange.receive_data(data, clock())

    def _drop_connection(self) -> None:
        with self._lock:  # so that `close` does not shut down what is a descriptor of something else by then
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()
