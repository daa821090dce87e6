"""Drives one call over sockets: does what its machine asks for, and reports what happened.

One thread at a time is in a call and owns the machine. `close` may be called by any other thread, and by a signal
handler at any moment of the same one: it sets a flag, wakes the waiting thread, and leaves the rest to the thread in
the call, or does it itself if there is none.
"""

import threading
from collections.abc import Callable
from typing import Final

from firsttoken._client.call import FAILURES, BaseCall, concurrency_error
from firsttoken._client.prepared import PreparedRequest
from firsttoken._client.sockets import AbortedError, Waker, clock, current_process, raise_foreign
from firsttoken._models.completion import ChatCompletion
from firsttoken._protocol.call_states import Action, State
from firsttoken._sync.connection import Connection
from firsttoken._sync.pool import ConnectionPool


class Call(BaseCall[Connection]):
    """A request and its response.

    Args:
        pool: provides the connections.
        request: what to send, and the limits.
    """

    __slots__ = ("_driving", "_is_settled", "_lock", "_pool", "_process", "_waker")

    def __init__(self, pool: ConnectionPool, request: PreparedRequest) -> None:
        self._is_settled = False
        self._pool = pool
        self._process = current_process()
        self._driving = threading.Lock()  # held by the thread that is in the call; never waited for
        self._lock = threading.RLock()  # guards the machine and the connection; never held while waiting
        self._waker: Waker | None = None
        super().__init__(request)

    def wait(self, *, until_open: bool = False) -> bool:
        """Wait until a chunk is pending; False where the answer has ended instead, or the call was closed.

        Args:
            until_open: wait for the head of a response with a success status only.

        Raises:
            ChatCompletionError: the call failed: after its last chunk, and no retry is left.
        """
        if not self._enter():
            return False
        machine, action = self.machine, None
        try:
            machine.resume(clock())
            while action is not Action.FINISH and not (until_open and machine.is_open(clock())):
                with self._lock:
                    if self.is_closed:
                        self._check_open()
                    action = machine.next_action(clock())
                if action is Action.YIELD:
                    return True
                try:
                    _STEPS[action](self)
                except FAILURES.get(action, ()) as error:
                    raise_foreign(error)
                    self._report(error)
        except AbortedError:
            pass
        except BaseException:
            self.is_closed = True
            raise
        finally:
            self._leave()
        return False

    def completion(self) -> ChatCompletion:
        """The completion, as far as it was yielded."""
        with self._lock:
            return self.machine.completion

    def close(self) -> None:
        """End the call, and wake who waits in it; chunks not yet yielded are dropped."""
        if self._is_settled:
            return
        if self._process != current_process():  # a forked child: socket and locks belong to the parent
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
        if self._process != current_process():
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
        if not self._is_settled and self._driving.acquire(blocking=False):
            try:
                with self._lock:
                    self._end()
                self._is_settled = True
            finally:
                self._driving.release()

    def _check_open(self) -> None:
        if self.is_closed and self.machine.outcome is None:  # else the outcome came first, and is raised if an error
            raise AbortedError

    # The actions.

    def _process_pending(self) -> None:
        with self._lock:
            self.machine.process_pending(clock())

    def _get_token(self) -> None:
        self._receive_token(self._ask_for_token())

    def _acquire_permit(self) -> None:
        permit = self._request_permit()
        self._check_open()
        self._receive_permit(is_granted=permit.wait(self.machine.deadline))

    def _connect(self) -> None:
        machine = self.machine
        connection = self._pool.acquire(self._request, machine)
        with self._lock:
            self._connection = connection
            self._check_open()  # `close` may not have seen this connection
        if not connection.is_reused:
            self._pool.open(connection, self._request, machine.deadline)
        machine.connected(clock(), is_reused=connection.is_reused)

    def _send(self) -> None:
        machine = self.machine
        is_complete = self._open_connection().send(machine.settings.wire_bytes, machine.deadline)
        machine.sent(clock(), is_complete=is_complete)

    def _read(self) -> None:
        data = self._open_connection().recv(self.machine.deadline)
        if not data:
            self._report(None)
            return
        with self._lock:
            self._check_open()
            self.machine.receive_data(data, clock())

    def _report(self, error: Exception | None) -> None:
        with self._lock:
            self._check_open()
            super()._report(error)

    def _sleep(self) -> None:
        waker = self._waker = Waker()
        self._check_open()
        waker.wait(self.machine.deadline - clock())
        self._waker = None
        self.machine.deadline_passed(clock())

    # Under the lock, or `close` might shut down what already serves another call.

    def _release(self) -> None:
        with self._lock:
            connection = self._take_connection()
            if connection is not None:
                self._pool.release(connection, self._request)

    def _close_connection(self) -> None:
        with self._lock:
            super()._close_connection()


_STEPS: Final[dict[Action, Callable[[Call], None]]] = {
    Action.GET_TOKEN: Call._get_token,
    Action.ACQUIRE_PERMIT: Call._acquire_permit,
    Action.CONNECT: Call._connect,
    Action.SEND: Call._send,
    Action.READ: Call._read,
    Action.PROCESS: Call._process_pending,
    Action.SLEEP: Call._sleep,
    Action.RELEASE: Call._release,
    Action.CLOSE: Call._close_connection,
    Action.FINISH: Call._raise_outcome,
}
