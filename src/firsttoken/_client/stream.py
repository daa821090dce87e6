"""What both streams share: a state, and views of the course of their call."""

import enum
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from firsttoken._client.call import Course, clock, copied
from firsttoken._models.base import ResponseInfo, Timing
from firsttoken._models.completion import ChatCompletion
from firsttoken.errors import ChatCompletionError, ConfigurationError, StreamTruncatedError

if TYPE_CHECKING:
    from firsttoken._protocol.events import EventBuilder
from collections import deque

from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._protocol.partial_json import PartialJSON
from firsttoken.errors import ResponseFormatError


class Stop(enum.Enum):
    """The type of `STOP`."""

    STOP = "STOP"

    def __repr__(self) -> str:
        return self.name


STOP = Stop.STOP
"""What a callback returns to end its stream early."""

Outcome = Literal["complete", "stopped", "failed"]
StreamState = Literal["idle", "open"] | Outcome


class CallProtocol(Protocol):
    """What a stream needs to know of the call behind it."""

    course: Course

    def completion(self) -> ChatCompletion:
        """The chunks handed out, folded."""
        ...


_Call = TypeVar("_Call", bound=CallProtocol)


class StreamBase(Generic[_Call]):
    """What both streams are: a state, and views of the answer so far."""

    # Defaults of the class, so that one whose constructor failed can be dropped.
    _call: _Call | None = None
    _outcome: Outcome | None = None
    _ended_s: float | None = None
    _failure: ChatCompletionError | ConfigurationError | None = None
    _event_builder: "EventBuilder | None" = None

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
        self.finalize_completion(completion, self._call)
        return completion

    def finalize_completion(self, completion: ChatCompletion, call: CallProtocol) -> None:
        """Write into a completion how it came, and whether it is whole."""
        completion.response = self.response
        completion.timing = self.timing
        completion.complete = self.state == "complete"
        completion._response_type = call.course.plan.response_type

    def _events(self) -> "EventBuilder":
        """The maker of this stream's events, kept so that a second loop goes on where the first was left."""
        if self._event_builder is None:
            from firsttoken._protocol.events import EventBuilder

            self._event_builder = EventBuilder()
        return self._event_builder

    def _chunks_yielded(self) -> int:
        return 0 if self._call is None else self._call.course.exchange.core.chunks_yielded

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
            self.finalize_completion(failure.partial, self._call)
        self._failure = copied(failure)  # without the traceback, which refers to this stream

    def incomplete_error(self) -> ChatCompletionError | ConfigurationError:
        if self._failure is not None:
            return copied(self._failure)
        count = self.timing.chunks
        error = StreamTruncatedError(f"the stream was stopped after {count} chunks, before the answer was whole")
        self.attach_partial(error)
        return error

    def attach_partial(self, error: ChatCompletionError) -> None:
        """Write into an error what was handed out before it."""
        error.chunks_received = self.timing.chunks
        error.partial = self.completion if error.chunks_received else None
        error.request_id = self.response.request_id if self.response is not None else None


class ConcurrencyError(Exception):
    """Another thread or task waits for this stream already."""


def check_no_gap(seen: int, handed_out: int) -> None:
    """Check that whoever makes something of all chunks has seen all of them.

    Raises:
        ConfigurationError: it has not.
    """
    if seen != handed_out:
        raise ConfigurationError(
            f"iter_events has seen {seen} of the {handed_out} chunks that this stream has handed out",
            hint="read the stream with iter_events() alone: an event of the others would be missing",
        )


def concurrency_error() -> ConfigurationError:
    """What a stream raises where two want to wait for it; the one that waits is not disturbed."""
    return ConfigurationError("another thread or task waits for this stream already", hint="give each its own stream")


class StreamLike(Protocol):
    """What the value of a stream is made of."""

    _ready: deque[ChatCompletionChunk]

    @property
    def state(self) -> StreamState:
        """Where the stream is."""
        ...

    @property
    def completion(self) -> ChatCompletion:
        """The chunks handed out, folded."""
        ...

    def _chunks_yielded(self) -> int: ...

    def attach_partial(self, error: ChatCompletionError) -> None: ...


_Stream = TypeVar("_Stream", bound=StreamLike)


class PartialBase(Generic[_Stream]):
    """The values of choice 0's content while it is written; each differs from the one before."""

    __slots__ = ("_failed", "_json", "_seen", "_stream")

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._json = PartialJSON()
        self._seen = 0  # chunks that are in `_json`
        self._failed = False  # and the failure is to be raised behind the value that was given instead

    def _resync(self) -> None:
        """Start anew with the whole text where chunks were taken from the stream in another way."""
        handed_out = self._stream._chunks_yielded()
        if handed_out != self._seen:
            self._json = PartialJSON()
            self._json.add(self._stream.completion.text)
            self._seen = handed_out

    def _take(self, chunk: ChatCompletionChunk) -> bool:
        """Take a chunk and those that are ready behind it: the work of a read, done at once.

        Returns:
            Whether there is another value.
        """
        texts = [chunk.text]
        ready = self._stream._ready
        while ready:
            try:
                texts.append(ready.popleft().text)
            except IndexError:
                break  # another thread has closed the stream this moment
        self._json.add("".join(texts))
        self._seen = self._stream._chunks_yielded()
        return self._json.is_due and self._update()

    def _update(self, *, is_complete: bool = False) -> bool:
        try:
            return self._json.update(is_complete=is_complete)
        except ResponseFormatError as error:
            self._stream.attach_partial(error)
            raise
