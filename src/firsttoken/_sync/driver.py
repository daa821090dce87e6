"""Drives one call over sockets: does what its machine asks for, and reports what happened.

One thread at a time is in a call and owns the machine. `close` may be called by any other thread, and by a signal
handler at any moment of the same one: it sets a flag, wakes the waiting thread, and leaves the rest to the thread in
the call, or does it itself if there is none.
"""

import os
import threading

from firsttoken._client.call import BaseCall, concurrency_error
from firsttoken._client.prepared import PreparedRequest
from firsttoken._client.sockets import AbortedError, DeadlineError, Waker, clock, raise_foreign
from firsttoken._models.completion import ChatCompletion
from firsttoken._protocol.call_states import Action, State
from firsttoken._sync.connection import Connection
from firsttoken._sync.pool import ConnectionPool
from firsttoken.errors import ChatCompletionError, ConfigurationError


class Call(BaseCall):
    """A request and its response.

    Args:
        pool: provides the connections.
        request: what to send, and the limits.
    """

    __slots__ = ("_connection", "_driving", "_is_settled", "_lock", "_pool", "_process", "_waker")

    def __init__(self, pool: ConnectionPool, request: PreparedRequest) -> None:
        self._is_settled = False
        self._pool = pool
        self._process = os.getpid()
        self._driving = threading.Lock()  # held by the thread that is in the call; never waited for
        self._lock = threading.RLock()  # guards the machine and the connection; never held while waiting
        self._connection: Connection | None = None
        self._waker: Waker | None = None
        super().__init__(request)

    def wait_for_head(self) -> None:
        """Wait until a response with a success status has begun, or the call was closed.

        Raises:
            ChatCompletionError: the call failed, and no retry is left.
        """
        if not self._enter():
            return
        try:
            while not self.machine.is_open(clock()):
                self._perform(self._next_action())
        except AbortedError:
            pass
        except BaseException:
            self.is_closed = True
            raise
        finally:
            self._leave()

    def wait_for_chunk(self) -> bool:
        """Wait until a chunk is pending; False where the answer has ended instead, or the call was closed.

        Raises:
            ChatCompletionError: the answer failed after its last chunk.
        """
        if not self._enter():
            return False
        try:
            self.machine.resume(clock())
            return self._run() is Action.YIELD
        except AbortedError:
            return False
        except BaseException:
            self.is_closed = True
            raise
        finally:
            self._leave()

    def wait_for_completion(self) -> ChatCompletion:
        """Wait for a response that is not streamed.

        Raises:
            ChatCompletionError: the call failed, and no retry is left.
        """
        self._enter()
        try:
            self._run()
            return self.machine.completion
        finally:
            self.is_closed = True
            self._leave()

    def completion(self) -> ChatCompletion:
        """The completion, as far as it was yielded."""
        with self._lock:
            return self.machine.completion

    def close(self) -> None:
        """End the call, and wake who waits in it; chunks not yet yielded are dropped."""
        if self._is_settled:
            return
        if self._process != os.getpid():  # a forked child: socket and locks belong to the parent
            if self._connection is not None:
                self._connection.close()
            return
        self.is_closed = True
        with self._lock:  # else the connection might already serve another call
            if self._connection is not None:
                self._connection.abort()
        if self._waker is not None:
            self._waker.set()
        if self._watcher is not None and self._watcher.permit is not None:
            self._watcher.permit.release()
        self._settle()

    # Entering and leaving the call.

    def _enter(self) -> bool:
        """Enter the call; False where it was closed."""
        if self._process != os.getpid():
            raise self.machine.forked_error()
        if self._driving.acquire(blocking=False):
            return True
        if self.is_closed:
            return False
        raise concurrency_error()

    def _leave(self) -> None:
        self._driving.release()
        if self.is_closed:
            self._settle()

    def _settle(self) -> None:
        """End a call that was closed, unless a thread is in it, which does so when it leaves."""
        if self._connection is None and self.machine.state is State.ENDED:
            self._is_settled = True
        while not self._is_settled and self._driving.acquire(blocking=False):
            try:
                with self._lock:
                    self.machine.close(clock())
                    while (action := self.machine.next_action(clock())) is not Action.FINISH:
                        self._give_up_connection(action)
                    self._give_up_connection(Action.CLOSE)  # one that the machine does not know yet
                self._is_settled = True
            finally:
                self._driving.release()

    # The actions.

    def _run(self) -> Action:
        """Perform the machine's actions until there is something for the caller."""
        action = self._next_action()
        while True:
            if action is Action.READ:
                action = self._read()
            elif action is Action.YIELD:
                return action
            elif action is Action.FINISH:
                self._raise_outcome()
                return action
            else:
                self._perform(action)
                action = self._next_action()

    def _next_action(self) -> Action:
        with self._lock:
            if (
                self.is_closed and self.machine.outcome is None
            ):  # else the outcome came first, and is raised if an error
                raise AbortedError
            return self.machine.next_action(clock())

    def _perform(self, action: Action) -> None:
        match action:
            case Action.READ:
                self._read()
            case Action.PROCESS:
                with self._lock:
                    self.machine.process_pending(clock())
            case Action.GET_TOKEN:
                self._receive_token(self._ask_for_token())
            case Action.ACQUIRE_PERMIT:
                self._acquire_permit()
            case Action.CONNECT:
                self._connect()
            case Action.SEND:
                self._send()
            case Action.SLEEP:
                self._sleep()
            case Action.RELEASE | Action.CLOSE:
                self._give_up_connection(action)
            case Action.FINISH:
                self._raise_outcome()
            case Action.YIELD:
                pass

    def _read(self) -> Action:
        machine, connection = self.machine, self._connection
        if connection is None:
            raise AbortedError
        data, error = b"", None
        try:
            data = connection.recv(machine.deadline)
        except (DeadlineError, OSError, ChatCompletionError) as raised:
            raise_foreign(raised)
            error = raised
        try:
            with self._lock:
                if self.is_closed:
                    raise AbortedError
                now = clock()
                if data:
                    machine.receive_data(data, now)
                elif isinstance(error, DeadlineError):
                    machine.deadline_passed(now)
                else:
                    self._lose_connection(connection, error, now)
                return machine.next_action(now)
        finally:
            del error  # its traceback refers to this frame

    def _acquire_permit(self) -> None:
        if self._watcher is None:
            return
        permit = self._watcher.request_permit(self.machine.attempts)
        if self.is_closed:
            raise AbortedError
        self._receive_permit(is_granted=permit.wait(self.machine.deadline))

    def _connect(self) -> None:
        machine, request = self.machine, self._request
        connection = self._pool.acquire_idle(request) if machine.allows_idle_connection else None
        if connection is not None:
            self._set_connection(connection)
            machine.connected(clock(), is_reused=True)
            return
        connection = self._pool.new_connection(machine)
        self._set_connection(connection)
        try:
            self._pool.open(connection, request, machine.deadline)
        except (DeadlineError, ChatCompletionError, OSError, ValueError) as error:
            raise_foreign(error)
            self._fail_to_connect(error)
            self._give_up_connection(Action.CLOSE)
        else:
            machine.connected(clock(), is_reused=False)

    def _set_connection(self, connection: Connection) -> None:
        with self._lock:
            self._connection = connection
            if self.is_closed:  # `close` has not seen this connection
                raise AbortedError

    def _send(self) -> None:
        machine, connection = self.machine, self._connection
        if connection is None:
            raise AbortedError
        is_complete = False
        try:
            is_complete = connection.send(machine.settings.wire_bytes, machine.deadline)
        except DeadlineError:
            machine.deadline_passed(clock())
            return
        except ConfigurationError as error:
            machine.fail(error, clock())
            return
        except OSError as error:
            raise_foreign(error)  # else it may have answered before it stopped reading; if not, `recv` raises
        machine.sent(clock(), is_complete=is_complete)

    def _sleep(self) -> None:
        """Wait before a retry."""
        waker = self._waker = Waker()
        if self.is_closed:
            raise AbortedError
        waker.wait(self.machine.deadline - clock())
        self._waker = None
        self.machine.deadline_passed(clock())

    def _give_up_connection(self, action: Action) -> None:
        with self._lock:  # else `close` might shut down what already serves another call
            connection, self._connection = self._connection, None
            if connection is None:
                return
            if action is Action.RELEASE:
                self._pool.release(connection, self._request)
            else:
                connection.close()
