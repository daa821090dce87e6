"""What the sync and the async shell share: the course of a call without the waiting, and the stream's views of it."""

import copy
import enum
import os
import random
import time
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from firsttoken._core.deadlines import Deadlines
from firsttoken._core.exchange import Exchange
from firsttoken._core.retry import retry_delay_s
from firsttoken._settings import Plan
from firsttoken._types.completion import ChatCompletion
from firsttoken._types.wire import Headers, ResponseInfo, Timing
from firsttoken.errors import APIConnectionError, ChatCompletionError, ConfigurationError, StreamTruncatedError

if TYPE_CHECKING:
    from firsttoken._core.events import EventMaker

SHORTEST_PAUSE_S = 0.01
"""What a caller does between two chunks is not counted, if it takes so long that it could matter."""

_NEVER = float("inf")

clock = time.monotonic


class Course:
    """A call under way: its attempts, deadlines and stamps. The shells add the connection and the waiting.

    Attributes:
        exchange: the answer to the attempt under way.
        left_at_s: when the caller was last given something, and went about its own business.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.started_s = clock()
        self.deadlines = Deadlines(plan.timeout, self.started_s, plan.endpoint.origin.address)
        self.retries = 0
        self.left_at_s = _NEVER
        self.exchange = self._new_exchange()

    def _new_exchange(self) -> Exchange:
        make = Exchange if self.plan.recorder is None else self.plan.recorder.maker_of_exchange(self.plan)
        return make(
            streamed=self.plan.streamed,
            choices_wanted=self.plan.choices_wanted,
            deadlines=self.deadlines,
            secrets=self.plan.secrets,
            wall_clock=time.time,
        )

    def begin_attempt(self) -> None:
        """Start over with an empty answer."""
        self.exchange = self._new_exchange()

    def authorize(self, token: object) -> Plan:
        """Take the token for the attempt that begins; give the plan that has it.

        Raises:
            ConfigurationError: it is no token.
        """
        self.plan = self.plan.with_token(token)
        self.begin_attempt()  # the token is one more word to keep out of errors
        return self.plan

    def take_failure(self) -> ChatCompletionError:
        """The failure of the attempt, as a copy: the traceback of what is raised refers to all that keeps it."""
        self.exchange.release()
        kept = self.exchange.core.take_failure()
        assert kept is not None, "asked only where there is one"  # noqa: S101
        return copied(kept)

    def foreign_failure(self) -> APIConnectionError:
        """The failure of a forked child that reads on where its parent reads: each would get half of the bytes."""
        failure = APIConnectionError(
            f"the stream from {self.plan.endpoint.origin.address} belongs to the process that opened it",
            hint="a forked child can use the same client, but opens streams of its own",
        )
        core = self.exchange.core
        failure.retryable = False
        failure.chunks_received = core.chunks_handed_out
        failure.partial = core.completion if core.chunks_handed_out else None
        return failure

    def retry_delay_s(self, failure: ChatCompletionError) -> float | None:
        """How long to wait before another attempt; None where there is to be none."""
        core = self.exchange.core
        if self.retries >= self.plan.max_retries or core.chunks_handed_out or core.ready:
            return None
        info = self.exchange.response
        delay_s = retry_delay_s(
            failure,
            Headers() if info is None else info.headers,
            attempt=self.retries,
            left_s=self.deadlines.left_s(clock()),
            jitter=random.random(),  # noqa: S311 - it spreads retries, it guards nothing
        )
        if delay_s is not None:
            self.retries += 1
        return delay_s

    def resume(self) -> None:
        """The caller is back, to wait: the deadlines of waiting have stood still."""
        now_s = clock()
        away_s = now_s - self.left_at_s
        if away_s > SHORTEST_PAUSE_S:
            self.exchange.pause(away_s, now_s)

    def dressed(self, completion: ChatCompletion, ended_s: float | None = None) -> ChatCompletion:
        """The whole completion, with the response and the timing that it came with."""
        completion.complete = True
        completion._answer_type = self.plan.answer_type
        completion.response = self.exchange.response
        completion.timing = self.timing(clock() if ended_s is None else ended_s)
        return completion

    def timing(self, ended_s: float | None) -> Timing:
        """The stamps so far."""
        exchange = self.exchange
        return Timing(
            time_to_headers_s=self._since_start(exchange.headers_at_s),
            time_to_first_chunk_s=self._since_start(exchange.first_chunk_at_s),
            time_to_first_token_s=self._since_start(exchange.first_token_at_s),
            duration_s=self._since_start(ended_s),
            chunks=exchange.core.chunks_handed_out,
        )

    def _since_start(self, moment_s: float | None) -> float | None:
        return None if moment_s is None else moment_s - self.started_s


NO_TOKEN = "no token from the token provider"  # noqa: S105 - what has not come, for messages


class Stop(enum.Enum):
    """The type of `STOP`."""

    STOP = "STOP"

    def __repr__(self) -> str:
        return self.name


STOP = Stop.STOP
"""What a callback returns to end its stream early."""

Outcome = Literal["complete", "stopped", "failed"]
StreamState = Literal["idle", "open"] | Outcome


class CallLike(Protocol):
    """What a stream needs to know of the call behind it."""

    course: Course

    def completion(self) -> ChatCompletion:
        """The chunks handed out, folded."""
        ...


_Call = TypeVar("_Call", bound=CallLike)


class StreamBase(Generic[_Call]):
    """What both streams are: a state, and views of the answer so far."""

    # Defaults of the class, so that one whose constructor failed can be dropped.
    _call: _Call | None = None
    _outcome: Outcome | None = None
    _ended_s: float | None = None
    _failure: ChatCompletionError | ConfigurationError | None = None
    _event_maker: "EventMaker | None" = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state}, {self.timing.chunks} chunks>"

    @property
    def state(self) -> StreamState:
        """Where the stream is: "idle", "open", then "complete", "stopped" or "failed"."""
        if self._outcome is not None:
            return self._outcome
        return "idle" if self._call is None else "open"

    @property
    def response(self) -> ResponseInfo | None:
        """Status, headers and request id of the response; None until its head is there."""
        return None if self._call is None else self._call.course.exchange.response

    @property
    def timing(self) -> Timing:
        """When things arrived, in seconds; see `firsttoken.types.Timing`."""
        return Timing() if self._call is None else self._call.course.timing(self._ended_s)

    @property
    def completion(self) -> ChatCompletion:
        """The chunks handed out so far, folded: at any time; its choices are [] before the first chunk."""
        if self._call is None:
            return ChatCompletion(complete=False)
        completion = self._call.completion()
        self._dress(completion, self._call)
        return completion

    def _dress(self, completion: ChatCompletion, call: CallLike) -> None:
        """Write into a completion how it came, and whether it is whole."""
        completion.response = self.response
        completion.timing = self.timing
        completion.complete = self.state == "complete"
        completion._answer_type = call.course.plan.answer_type

    def _events(self) -> "EventMaker":
        """The maker of this stream's events, kept so that a second loop goes on where the first was left."""
        if self._event_maker is None:
            from firsttoken._core.events import EventMaker

            self._event_maker = EventMaker()
        return self._event_maker

    def _chunks_handed_out(self) -> int:
        return 0 if self._call is None else self._call.course.exchange.core.chunks_handed_out

    def _is_whole(self) -> bool:
        """Whether every chunk of a whole answer was handed out."""
        if self._call is None:
            return False
        core = self._call.course.exchange.core
        return core.complete and not core.ready

    def _end(self, outcome: Outcome) -> None:
        if self._outcome is None:
            self._outcome = outcome
            self._ended_s = clock()

    def _fail(self, failure: ChatCompletionError | ConfigurationError) -> None:
        self._end("failed")
        if isinstance(failure, ChatCompletionError) and failure.partial is not None and self._call is not None:
            self._dress(failure.partial, self._call)
        self._failure = copied(failure)  # without the traceback, which refers to this stream

    def _not_whole(self) -> ChatCompletionError | ConfigurationError:
        if self._failure is not None:
            return copied(self._failure)
        count = self.timing.chunks
        error = StreamTruncatedError(f"the stream was stopped after {count} chunks, before the answer was whole")
        self._fill_in(error)
        return error

    def _fill_in(self, error: ChatCompletionError) -> None:
        """Write into an error what was handed out before it."""
        error.chunks_received = self.timing.chunks
        error.partial = self.completion if error.chunks_received else None
        error.request_id = self.response.request_id if self.response is not None else None


_Failure = TypeVar("_Failure", bound=BaseException)


def copied(failure: _Failure) -> _Failure:
    """A failure without its traceback, which refers to all that led to it; the cause stays."""
    copy_of_it = copy.copy(failure)
    copy_of_it.__cause__ = failure.__cause__
    return copy_of_it


class BusyError(Exception):
    """Another thread or task waits for this stream already."""


def check_all_seen(seen: int, handed_out: int) -> None:
    """Check that whoever makes something of all chunks has seen all of them.

    Raises:
        ConfigurationError: it has not.
    """
    if seen != handed_out:
        raise ConfigurationError(
            f"iter_events has seen {seen} of the {handed_out} chunks that this stream has handed out",
            hint="read the stream with iter_events() alone: an event of the others would be missing",
        )


def busy_failure() -> ConfigurationError:
    """What a stream raises where two want to wait for it; the one that waits is not disturbed."""
    return ConfigurationError("another thread or task waits for this stream already", hint="give each its own stream")


def provider_stopped(error: Exception) -> RuntimeError:
    """What to raise for a token provider's `StopIteration`, which would end the caller's loop as if it were the end."""
    return RuntimeError(f"the token provider raised {type(error).__name__}")


def connection_failure(error: Exception, plan: Plan, what: str) -> APIConnectionError:
    """The failure that an error of the connection means; it is its cause.

    Args:
        error: an `OSError`, or what `ssl` and `socket` raise besides.
        plan: the call.
        what: failed: "no connection to", "lost the connection to".
    """
    address = plan.endpoint.origin.address
    through = f" through the proxy {plan.proxy.origin.address}" if plan.proxy is not None else ""
    words = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error) or type(error).__name__
    if isinstance(error, OSError) and error.errno and words.startswith("Connect call failed"):  # asyncio's own words
        words = os.strerror(error.errno)
    failure = APIConnectionError(f"{what} {address}{through}: {words}", hint=_hint(error))
    failure.retryable = not hasattr(error, "verify_message")  # no retry mends a certificate
    failure.__cause__ = error
    return failure


def _hint(error: Exception) -> str | None:
    if isinstance(error, ConnectionRefusedError):
        return "does the server run, and is this its port?"
    if hasattr(error, "verify_message"):
        code: object = getattr(error, "verify_code", 0)
        return _CERTIFICATE_HINTS.get(code, _UNTRUSTED_HINT) if isinstance(code, int) else _UNTRUSTED_HINT
    if "WRONG_VERSION_NUMBER" in str(error):
        return "the server does not speak TLS there; does base_url begin with https:// by mistake?"
    return None


_UNTRUSTED_HINT = "the certificate is not trusted; SSL_CERT_FILE can name a file with the one of a private authority"
_CERTIFICATE_HINTS = {  # X509_V_ERR_… of OpenSSL's x509_vfy.h
    9: "the certificate is not valid yet; is this machine's clock right?",
    10: "the certificate has expired; is this machine's clock right?",
    62: "the certificate is for another name; is the host of base_url the server's own?",
    64: "the certificate is for another name; is the host of base_url the server's own?",
}
