"""What both drivers share: the machine, its watcher, and the mapping from failures to the machine's events."""

import copy
import time
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from firsttoken._client.prepared import PreparedRequest
from firsttoken._client.sockets import AbortedError, DeadlineError, clock
from firsttoken._protocol.call import CallMachine
from firsttoken._protocol.call_states import Action
from firsttoken.errors import ChatCompletionError, ConfigurationError

if TYPE_CHECKING:
    from firsttoken._client.limiter import Permit
    from firsttoken._client.observers import CallWatcher

Machine = CallMachine[PreparedRequest]
_Error = TypeVar("_Error", bound=BaseException)

_TRANSFER_FAILURES = (DeadlineError, OSError, ChatCompletionError, ConfigurationError)

FAILURES: Final[dict[Action, tuple[type[Exception], ...]]] = {
    Action.CONNECT: (*_TRANSFER_FAILURES, ValueError),  # of an address or a certificate
    Action.SEND: _TRANSFER_FAILURES,
    Action.READ: _TRANSFER_FAILURES,
}
"""What an action may fail with, to be reported to the machine; what the others raise is the caller's own."""


class DrivenConnection(Protocol):
    """What both drivers need of a connection."""

    is_reused: bool

    def is_untaken(self, *, at_eof: bool) -> bool | None:
        """Whether the server has received nothing of the last request; None where that can't be known."""
        ...

    def close(self) -> None:
        """Close it at once."""
        ...


_Connection = TypeVar("_Connection", bound=DrivenConnection)


class BaseCall(Generic[_Connection]):
    """A request and its response, without the waiting.

    Args:
        request: what to send, and the limits.

    Attributes:
        machine: decides what is done.
        is_closed: whether the call was ended from outside.
    """

    __slots__ = ("__weakref__", "_connection", "_request", "_watcher", "is_closed", "machine")

    def __init__(self, request: PreparedRequest) -> None:
        self.is_closed = False
        self._connection: _Connection | None = None
        self._request = request
        self._watcher: CallWatcher | None = None
        if request.observer is not None or request.limiter is not None:
            from firsttoken._client.observers import watch

            self._watcher = watch(request)
        self.machine = CallMachine(request, clock(), jitter=_jitter, wall_clock=time.time, listener=self._watcher)

    def _ask_for_token(self) -> object:
        """What the token provider returns: a token or an awaitable. The caller's code runs without any lock."""
        provider = self._request.token_provider
        try:
            return None if provider is None else provider()
        except (StopIteration, StopAsyncIteration) as error:
            raise token_provider_error(error) from error

    def _receive_token(self, token: object) -> None:
        try:
            request = self._request.with_token(token)
        except ConfigurationError as error:
            self.machine.fail(error, clock())
        else:
            self.machine.token_received(request, clock())

    def _request_permit(self) -> "Permit":
        """Queue for the limiter's permit; the machine asks for one only where there is a limiter."""
        if self._watcher is None:
            raise AbortedError
        return self._watcher.request_permit(self.machine.attempts)

    def _receive_permit(self, *, is_granted: bool) -> None:
        if is_granted:
            self.machine.permit_granted(clock())
        else:
            self.machine.deadline_passed(clock())

    def _report(self, error: Exception | None) -> None:
        """Report to the machine what an action has failed with, or the end of the connection by its peer (None)."""
        machine, connection, now = self.machine, self._connection, clock()
        if isinstance(error, DeadlineError):
            machine.deadline_passed(now)
            return
        if isinstance(error, ConfigurationError):
            machine.fail(error, now)
            return
        is_untaken = None
        if connection is not None:
            is_untaken = connection.is_untaken(at_eof=error is None)
            machine.is_reused = connection.is_reused  # a caller's own client knows it late
        if error is None:
            machine.receive_eof(now, is_untaken=is_untaken)
        else:
            machine.connection_lost(error, now, is_untaken=is_untaken)

    def _open_connection(self) -> _Connection:
        if self._connection is None:
            raise AbortedError
        return self._connection

    def _end(self, *, keep_pending: bool = False) -> None:
        """End the call and give up its connection."""
        self.machine.close(clock(), keep_pending=keep_pending)
        if self.machine.next_action(clock()) is Action.RELEASE:
            self._release()
        self._close_connection()  # maybe one that the machine does not know yet

    def _close_connection(self) -> None:
        connection = self._take_connection()
        if connection is not None:
            connection.close()

    def _release(self) -> None:
        """Keep the connection, whose response has ended, for the next request."""
        raise NotImplementedError

    def _take_connection(self) -> _Connection | None:
        connection, self._connection = self._connection, None
        return connection

    def _raise_outcome(self) -> None:
        """Raise the error that the call has ended with, or `AbortedError` where the caller stopped it."""
        error = self.machine.error
        if error is not None:
            raise copy_error(error)
        if self.machine.outcome == "stopped":
            raise AbortedError


def _jitter() -> float:
    import random  # here, since most programs never retry

    return random.random()  # noqa: S311 - it spreads retries, no secret depends on it


def copy_error(error: _Error) -> _Error:
    """A copy to raise: a traceback of the original would keep its frames alive. The cause stays."""
    copied = copy.copy(error)
    copied.__cause__ = error.__cause__
    return copied


def token_provider_error(error: Exception) -> RuntimeError:
    """The error in place of a token provider's `StopIteration`, which would end the caller's loop silently."""
    return RuntimeError(f"the token provider raised {type(error).__name__}")


def concurrency_error() -> ConfigurationError:
    """The error of a second reader of a stream; the first one is not disturbed."""
    return ConfigurationError(
        "the stream is already being read by another thread or task", hint="give each a stream of its own"
    )
