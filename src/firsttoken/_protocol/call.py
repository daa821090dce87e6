"""One call as a state machine: attempts over connections until there is an answer, or an error that is not retried.

It does no I/O and reads no clock. A driver asks `next_action` what to do, does it, and reports what happened:

    ===========  ==================  ==============================================================================
    state        action              what ends it
    ===========  ==================  ==============================================================================
    TOKEN        GET_TOKEN           `token_received`
    PERMIT       ACQUIRE_PERMIT      `permit_granted`
    CONNECTING   CONNECT             `connected`, `connection_lost`
    SENDING      SEND                `sent`
    RECEIVING    READ, PROCESS       `receive_data`, `receive_eof`, `connection_lost`: the answer's end is known
    CONCLUDING   YIELD               the pending chunks are yielded: the call ends, or a retry follows
    BACKOFF      SLEEP               `deadline_passed`: the next attempt begins
    DRAINING     READ                `receive_data`, `receive_eof`, `connection_lost`: the response's end is known
    ENDED        FINISH              nothing
    ===========  ==================  ==============================================================================

In every state `deadline_passed` is to be reported when `deadline` has come, and `close` ends the call. A connection
that was reported by `connected` is given up exactly once, by an action RELEASE (into the pool) or CLOSE. An event
that comes too late to matter, for instance data after `close`, is ignored.
"""

import math
from collections.abc import Callable

from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._protocol.call_progress import CallProgress
from firsttoken._protocol.call_states import (
    ACTIONS,
    BEFORE_END,
    READING,
    TRANSITIONS,
    WAITING_FOR,
    WITHOUT_CONNECTION,
    Action,
    CallListener,
    Settings,
    State,
    Step,
)
from firsttoken._protocol.completeness import COMPLETE
from firsttoken._protocol.deadlines import DRAIN_S, ERROR_BODY_S, MIN_PAUSE_S
from firsttoken._protocol.response import load_readers
from firsttoken._protocol.retry import connection_error, may_begin_response
from firsttoken.errors import APITimeoutError, ChatCompletionError, ConfigurationError


class CallMachine(CallProgress[Settings]):
    """One call.

    Args:
        settings: of each attempt, unless a token or the observer changes them.
        now: the time, as in all methods: in seconds of one monotonic clock.
        jitter: returns a random number from 0 to 1, which spreads retries.
        wall_clock: Unix time in seconds; called only if a server sends a date.
        listener: is notified of what happens.

    Attributes:
        state: where the call is.
        allows_idle_connection: whether the attempt may use a pooled connection.
        is_reused: whether the connection has served another request; with a caller's own client that is known late.
    """

    __slots__ = (
        "_awaiting_first_byte",
        "_first_settings",
        "_holds_connection",
        "_is_usable",
        "_jitter",
        "_wake_at",
        "_yielded_at",
        "allows_idle_connection",
        "is_reused",
        "state",
    )

    def __init__(
        self,
        settings: Settings,
        now: float,
        *,
        jitter: Callable[[], float],
        wall_clock: Callable[[], float],
        listener: CallListener[Settings] | None = None,
    ) -> None:
        super().__init__(settings, now, wall_clock, listener)
        self.state = State.TOKEN
        self._first_settings = settings
        self._yielded_at = math.inf
        self._jitter = jitter
        self._holds_connection = False
        self._wake_at = math.inf
        self._begin_attempt(now)

    # What the driver asks.

    def next_action(self, now: float) -> Action:
        """What the driver has to do now."""
        state = self.state
        if state is State.RECEIVING or state is State.CONCLUDING:
            if self.pending:
                self._yielded_at = now
                return Action.YIELD
            if state is State.RECEIVING:
                return Action.PROCESS if self._reader.has_pending_data else Action.READ
            self._conclude(now)
            state = self.state
        if self._holds_connection and state in WITHOUT_CONNECTION:
            self._holds_connection = False
            return Action.RELEASE if self._is_reusable() else Action.CLOSE
        return ACTIONS[state]

    @property
    def deadline(self) -> float:
        """When to stop the current action and report `deadline_passed`."""
        if self.state is State.BACKOFF or self.state is State.DRAINING:
            return self._wake_at
        return min(self._wake_at, self._deadlines.deadline)

    def is_open(self, now: float) -> bool:
        """Whether a response with a success status has begun."""
        self._yielded_at = now
        if self.state is State.RECEIVING:
            return self._reader.is_success
        return bool(self.pending) or self.outcome == "complete"

    def timeout_error(self) -> APITimeoutError:
        """The error for the passing of the next deadline."""
        return self._deadlines.error(WAITING_FOR.get(self.state))

    # What the driver reports.

    def token_received(self, settings: Settings, now: float) -> None:
        """The token provider has returned a token; the settings of the attempt contain it."""
        if self.state is not State.TOKEN:
            return
        if now >= self.deadline:
            self.deadline_passed(now)
            return
        self.settings = settings
        self._move("go on")
        self._queue(now)

    def permit_granted(self, now: float) -> None:
        """The limiter lets the attempt start."""
        if self.state is State.PERMIT:
            self._move("go on")
            self._connect(now)

    def connected(self, now: float, *, is_reused: bool) -> None:
        """There is a connection."""
        self._holds_connection = True
        if self.state is not State.CONNECTING:
            return
        self.is_reused = is_reused
        self._awaiting_first_byte = True
        self._deadlines.requesting(now)
        self._move("go on")

    def sent(self, now: float, *, is_complete: bool = True) -> None:
        """The request was sent; not completely, if the server answers or closes the connection before."""
        if self.state is State.SENDING:
            load_readers()  # while the server works
            self._is_usable = is_complete
            self._move("go on")
            if self._listener is not None:
                self._listener.request_sent(now)

    def receive_data(self, data: bytes, now: float) -> None:
        """Bytes were read from the connection."""
        if self.state is not State.RECEIVING:
            self._receive_rest(data, now)
            return
        if self._awaiting_first_byte:
            if self.is_reused and not may_begin_response(data):
                self._lose_before_response(ConnectionResetError("the connection had data left over"), None, now)
                return
            self._awaiting_first_byte = False
        if self._listener is not None:
            self._listener.data_received(data, now)
        reader = self._reader
        chunks = reader.receive_data(data)
        if self._headers_at is None and reader.response is not None:
            self._note_head(reader.response, now)
            if not reader.is_success:
                self._wake_at = now + ERROR_BODY_S
        self._receive_chunks(chunks, now)

    def process_pending(self, now: float) -> None:
        """Process more of what was read before."""
        if self.state is not State.RECEIVING:
            return
        if now >= self.deadline:
            self.deadline_passed(now)
            return
        self._yielded_at = now
        self._receive_chunks(self._reader.process_pending(), now)

    def receive_eof(self, now: float, *, is_untaken: bool | None = None) -> None:
        """The peer has closed the connection.

        Args:
            now: the time.
            is_untaken: whether the peer's system has acknowledged no byte of the request; None if that is unknown.
        """
        self._is_usable = False
        if self._listener is not None and self.state in READING:
            self._listener.data_received(b"", now)
        if self.state is State.DRAINING:
            self._end()
        elif self.state is State.RECEIVING and self._awaiting_first_byte:
            closed = ConnectionResetError("the server closed the connection without a response")
            self._lose_before_response(closed, is_untaken, now)
        elif self.state is State.RECEIVING:
            self._receive_chunks(self._reader.receive_eof(), now)

    def connection_lost(self, error: Exception, now: float, *, is_untaken: bool | None = None) -> None:
        """There is no connection, or it broke.

        The error is one that `ssl` or `socket` raises, or what a proxy's refusal or a caller's client maps to.
        """
        self._is_usable = False
        if self.state is State.DRAINING:
            self._end()
        elif self.state in BEFORE_END and isinstance(error, ChatCompletionError):
            self._reader.connection_lost(error)
            self._receive_chunks([], now)
        elif self.state is State.CONNECTING:
            self._fail_attempt(connection_error(error, "no connection to", self.settings.route_address))
        elif self.state is State.SENDING:  # it may have answered before; if not, reading fails too
            self.sent(now, is_complete=False)
        elif self.state is State.RECEIVING and self._awaiting_first_byte:
            self._lose_before_response(error, is_untaken, now)
        elif self.state is State.RECEIVING:
            self._reader.connection_lost(connection_error(error, "lost the connection to", self.settings.route_address))
            self._receive_chunks([], now)

    def deadline_passed(self, now: float) -> None:
        """The time of `deadline` has come. The deadline may have moved meanwhile; then nothing happens."""
        if now < self.deadline:
            return
        state = self.state
        if state is State.BACKOFF:
            self._move("go on")
            self._begin_attempt(now)
        elif state is State.DRAINING:
            self._end()
        elif state is State.RECEIVING:
            self._handle_silence(now)
        elif state in BEFORE_END:
            self._fail_attempt(self.timeout_error())

    def fail(self, error: ConfigurationError, now: float) -> None:
        """The call can't be made."""
        if self.outcome is None:
            self._set_outcome("failed", error, now)
            self._end()

    def resume(self, now: float) -> None:
        """The caller waits again: meanwhile the deadlines stood still."""
        away_s = now - self._yielded_at
        if away_s > MIN_PAUSE_S and self.state is State.RECEIVING:
            self._deadlines.paused(away_s, now)
            self._wake_at = min(self._wake_at + away_s, now + self._silence_s())

    def close(self, now: float, *, keep_pending: bool = False) -> None:
        """End the call; an answer that was not fully yielded is stopped. Pending chunks are dropped unless kept."""
        was_complete = self.is_fully_yielded
        if not keep_pending:
            self._reader.parser.drop_pending()
        if self.outcome is None:
            self._set_outcome("complete" if was_complete else "stopped", None, now)
        self._end()

    # The transitions.

    def _move(self, step: Step) -> None:
        self.state = TRANSITIONS[self.state].get(step, self.state)

    def _end(self) -> None:
        """Nothing more will be received."""
        self._reader.release()
        has_just_ended = self.state is not State.ENDED
        self._move("end")
        if has_just_ended and self._listener is not None and self.outcome is not None:
            error = self.error if isinstance(self.error, ChatCompletionError) else None
            self._listener.call_ended(self.outcome, self.completion, error)

    def _begin_attempt(self, now: float) -> None:
        self.settings = self._first_settings
        self._begin_progress()
        self.allows_idle_connection = True
        self.is_reused = self._is_usable = False
        self._awaiting_first_byte = True
        self._wake_at = math.inf
        if self.settings.needs_token:
            self._deadlines.requesting(now)
        else:
            self._move("go on")
            self._queue(now)

    def _queue(self, now: float) -> None:
        if self.settings.needs_permit:
            self._deadlines.waiting()
        else:
            self._move("go on")
            self._connect(now)

    def _connect(self, now: float) -> None:
        self._deadlines.connecting(now)
        if self._listener is not None:
            self.settings = self._listener.attempt_started(self.attempts, self.settings)

    def _lose_before_response(self, error: Exception, is_untaken: bool | None, now: float) -> None:
        """Replace a connection that went stale while it was idle; else the attempt has failed.

        A request that the server is known to have taken is not sent again here, but only as a retry. Where that can't
        be known (`is_untaken` is None: at EOF outside Linux, and with a caller's own client) it is sent again, even
        with `max_retries=0`, so the server may get it twice.
        """
        if self.is_reused and is_untaken is not False:
            self.allows_idle_connection = False
            self._move("stale")
            self._deadlines.connecting(now)
        else:
            self._fail_attempt(connection_error(error, "lost the connection to", self.settings.route_address))

    def _receive_chunks(self, chunks: list[ChatCompletionChunk], now: float) -> None:
        """Handle the result of a read: chunks, an end, both or neither."""
        if chunks:
            self._note_chunks(chunks, now)
        parser = self._reader.parser
        if parser.end is not None:
            self._move("answered")
        elif self._first_token_at is not None and parser.may_end_in_silence:
            self._wake_at = now + self._silence_s()
        elif self._wake_at != math.inf and not self._reader.is_error_response:
            self._wake_at = math.inf

    def _receive_rest(self, data: bytes, now: float) -> None:
        """Receive what follows the end of the answer; it decides whether the connection can be reused."""
        if self.state is State.CONCLUDING or self.state is State.DRAINING:
            if self._listener is not None:
                self._listener.data_received(data, now)
            self._reader.receive_data(data)
            if self.state is State.DRAINING and self._reader.body_ended:
                self._end()

    def _handle_silence(self, now: float) -> None:
        reader = self._reader
        if reader.is_error_response:
            reader.end_error_response()
        elif now >= self._wake_at and self._first_token_at is not None and reader.parser.may_end_in_silence:
            reader.parser.set_end(COMPLETE)
            self._is_usable = False  # the end of the body never came
        elif now >= self._deadlines.deadline:
            self._fail_attempt(self.timeout_error())
            return
        else:
            self._wake_at = math.inf
            return
        self._move("answered")

    def _fail_attempt(self, error: ChatCompletionError) -> None:
        """End the attempt by an error."""
        self._reader.fail(error)
        self._move("answered")

    def _conclude(self, now: float) -> None:
        """All chunks of the attempt were yielded, and its end is known."""
        reader = self._reader
        end = reader.parser.end
        if isinstance(end, ChatCompletionError):
            self._retry_or_fail(end, now)
            return
        self._set_outcome("complete", None, now)
        if self._is_usable and reader.may_be_reusable and not reader.body_ended:
            self._move("go on")
            self._wake_at = now + DRAIN_S
        else:
            self._end()

    def _retry_or_fail(self, error: ChatCompletionError, now: float) -> None:
        self.describe(error)
        delay_s = self._retry_delay_s(error, now, self._jitter())
        if self._listener is not None:
            self._listener.attempt_failed(error, delay_s)
        if delay_s is None:
            self._set_outcome("failed", error, now)
            self._end()
        else:
            self._reader.release()
            self._wake_at = now if self._limiter_waits_for(error) else now + delay_s
            self._move("retry")

    def _is_reusable(self) -> bool:
        return self._is_usable and self.outcome != "stopped" and self._reader.is_reusable
