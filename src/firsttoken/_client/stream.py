"""What both streams share: views of their call, and partial values of a JSON answer."""

import enum
from collections import deque
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from firsttoken._client.call import Machine, copy_error
from firsttoken._models.base import ResponseInfo, Timing
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._protocol.call_states import Outcome
from firsttoken.errors import ChatCompletionError, ConfigurationError, ResponseFormatError, StreamTruncatedError

if TYPE_CHECKING:
    from firsttoken._protocol.events import EventBuilder
    from firsttoken._protocol.partial_json import PartialJSON


class Stop(enum.Enum):
    """The type of `STOP`, which a callback returns to end its stream early."""

    STOP = "STOP"

    def __repr__(self) -> str:
        return self.name


STOP = Stop.STOP
"""What a callback returns to end its stream early."""

StreamState = Literal["idle", "open"] | Outcome


class CallProtocol(Protocol):
    """What a stream needs to know of its call."""

    @property
    def machine(self) -> Machine:
        """What decides."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        ...

    def completion(self) -> ChatCompletion:
        """The chunks yielded, accumulated."""
        ...


_Call = TypeVar("_Call", bound=CallProtocol)


class StreamBase(Generic[_Call]):
    """What both streams are: views of the answer so far."""

    # Class defaults, so that `__del__` works on an object whose constructor failed.
    _call: _Call | None = None
    _is_closed = False
    _event_builder: "EventBuilder | None" = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state}, {self.timing.chunks} chunks>"

    @property
    def state(self) -> StreamState:
        """Where the stream is: "idle", "open", then "complete", "stopped" or "failed"."""
        call = self._call
        if call is None:
            return "stopped" if self._is_closed else "idle"
        return call.machine.outcome or ("stopped" if call.is_closed else "open")

    @property
    def response(self) -> ResponseInfo | None:
        """Status, headers and request id of the response; None until its head is there."""
        return None if self._call is None else self._call.machine.response

    @property
    def timing(self) -> Timing:
        """When things arrived, in seconds; see `firsttoken.types.Timing`."""
        return Timing() if self._call is None else self._call.machine.timing

    @property
    def completion(self) -> ChatCompletion:
        """The chunks yielded so far, accumulated: at any time; its choices are [] before the first chunk."""
        return ChatCompletion(complete=False) if self._call is None else self._call.completion()

    def _events(self) -> "EventBuilder":
        """The builder of this stream's events, kept so that a second loop continues where the first stopped."""
        if self._event_builder is None:
            from firsttoken._protocol.events import EventBuilder

            self._event_builder = EventBuilder()
        return self._event_builder

    def _chunks_yielded(self) -> int:
        return 0 if self._call is None else self._call.machine.chunks_yielded

    def _incomplete_error(self) -> ChatCompletionError | ConfigurationError:
        """The error of the stream, or one that says that it was stopped."""
        failure = None if self._call is None else self._call.machine.error
        if failure is not None:
            return copy_error(failure)
        count = self.timing.chunks
        error = StreamTruncatedError(
            f"the stream was stopped after {count} chunk{'' if count == 1 else 's'}, before the answer was complete"
        )
        self._attach_partial(error)
        return error

    def _attach_partial(self, error: ChatCompletionError) -> None:
        """Attach to an error the chunks that were yielded before it."""
        if self._call is not None:
            self._call.machine.describe(error)


def check_no_gap(seen: int, yielded: int) -> None:
    """Check that no chunk was taken from the stream in another way.

    Raises:
        ConfigurationError: one was.
    """
    if seen != yielded:
        raise ConfigurationError(
            f"iter_events has seen {seen} of the {yielded} chunks that this stream has yielded",
            hint="read the stream with iter_events() alone: an event of the others would be missing",
        )


class StreamLike(Protocol):
    """What partial values need to know of a stream."""

    _pending: deque[ChatCompletionChunk]

    @property
    def state(self) -> StreamState:
        """Where the stream is."""
        ...

    @property
    def completion(self) -> ChatCompletion:
        """The chunks yielded, accumulated."""
        ...

    def _chunks_yielded(self) -> int: ...

    def _attach_partial(self, error: ChatCompletionError) -> None: ...


_Stream = TypeVar("_Stream", bound=StreamLike)


class PartialBase(Generic[_Stream]):
    """The values of choice 0's content while it is written; each differs from the one before."""

    __slots__ = ("_failed", "_json", "_seen", "_stream")

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._json = _new_json()
        self._seen = 0  # chunks that are in `_json`
        self._failed = False  # the failure is raised after the value that was yielded in its place

    def _resync(self) -> None:
        """Start over with the complete text if chunks were taken from the stream in another way."""
        yielded = self._stream._chunks_yielded()
        if yielded != self._seen:
            self._json = _new_json()
            self._json.add(self._stream.completion.text)
            self._seen = yielded

    def _feed(self, chunk: ChatCompletionChunk) -> bool:
        """Add a chunk and those pending after it, all at once: work is per read.

        Returns:
            Whether there is another value.
        """
        texts = [chunk.text]
        pending = self._stream._pending
        while pending:
            try:
                texts.append(pending.popleft().text)
            except IndexError:
                break  # another thread has just closed the stream
        self._json.add("".join(texts))
        self._seen = self._stream._chunks_yielded()
        return self._json.is_due and self._update()

    def _update(self, *, is_complete: bool = False) -> bool:
        try:
            return self._json.update(is_complete=is_complete)
        except ResponseFormatError as error:
            self._stream._attach_partial(error)
            raise


def _new_json() -> "PartialJSON":
    from firsttoken._protocol.partial_json import PartialJSON  # here: few streams need it

    return PartialJSON()
