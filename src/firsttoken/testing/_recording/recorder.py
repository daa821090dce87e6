"""Recording what a client does: each attempt of its calls is listened to, and written down as it happens.

Owns when what is written. Refuses to change what the client does: a file that takes no more ends the recording alone.
"""

import os
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from functools import partial
from typing import IO, TYPE_CHECKING

from firsttoken._client.prepared import PreparedRequest
from firsttoken._protocol.response import ResponseReader
from firsttoken.errors import ChatCompletionError
from firsttoken.testing._recording.format import FIRST_LINE, encode_line, end_line, read_line, request_line, take_line
from firsttoken.testing._recording.masking import MaskedRead, MaskedReads, Redaction
from firsttoken.testing._recording.model import Read, RecordedEndReason, RecordedExchange
from firsttoken.testing._recording.recording import Recording, RecordingError, StrPath, create_private, write_error

if TYPE_CHECKING:
    from firsttoken import AsyncClient, Client
from typing import TYPE_CHECKING

from firsttoken._client.call import clock
from firsttoken.errors import APIConnectionError, APITimeoutError, StreamTruncatedError


class HeardExchange(ResponseReader):
    """An exchange that is listened to."""

    def __init__(self, attempt: "Attempt", **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        self._attempt = attempt
        self._end_reason: RecordedEndReason | None = None
        self._ended_at = 0.0

    def requesting(self, now_s: float) -> None:
        """The request goes out."""
        super().requesting(now_s)
        self._attempt.sent(now_s)

    def receive_data(self, data: bytes, now_s: float) -> None:
        """Take bytes of the connection, read at a time."""
        self._attempt.read(data, now_s)
        super().receive_data(data, now_s)

    def receive_eof(self, now_s: float) -> None:
        """Take the end of the connection."""
        self._note("server closed", now_s)
        super().receive_eof(now_s)

    def lose(self, failure: ChatCompletionError) -> None:
        """Take the loss of the connection."""
        # What is read wrong comes this way too, and is no end of the connection.
        match failure:
            case APITimeoutError() | APIConnectionError() if not self._attempt.was_sent:
                self._note("no connection", clock())
            case APITimeoutError():
                self._note("client timeout", clock())
            case APIConnectionError():
                self._note("server reset", clock())
            case StreamTruncatedError():  # a caller's own client says it so
                self._note("server closed", clock())
            case _:
                pass
        super().lose(failure)

    def expire(self, now_s: float) -> None:
        """The moment that `until_s` named has come."""
        super().expire(now_s)
        if isinstance(self.core.failure, APITimeoutError):
            self._note("client timeout", now_s)

    def release(self) -> None:
        """Nothing more will be received."""
        end_reason, ended_at = self._end_reason, self._ended_at
        if self.body_ended and end_reason != "server closed":
            end_reason, ended_at = "complete", clock()
        elif end_reason is None and self._attempt.was_sent:
            end_reason, ended_at = "client closed", clock()
        if end_reason is not None:  # else nothing has happened
            self._attempt.ended(end_reason, ended_at, self.core.failure)
        super().release()

    def _note(self, end_reason: RecordedEndReason, now_s: float) -> None:
        if self._end_reason is None:
            self._end_reason, self._ended_at = end_reason, now_s


@contextmanager
def record(
    client: "Client | AsyncClient", path: StrPath | None = None, *, redact: Iterable[str] = ()
) -> Generator[Recording]:
    """Record the calls that a client begins meanwhile, from whichever thread or task.

    Keys are not recorded: headers that hold secrets, the parameters of the URL, and the client's key wherever else it
    stands have asterisks in their place, as many, so that all lengths and boundaries are true.

    Args:
        client: whose calls; it is used as always.
        path: of a file to write, line by line as things happen; over one that is there.
        redact: words of your own that must not be recorded.

    Yields:
        The recording; it fills as things happen.

    Raises:
        RecordingError: the file can't be written, which ends nothing but the recording.
        ValueError: the client is being recorded already.
        TypeError: it is another library's client.
    """
    if not hasattr(client, "_settings"):  # not every caller is typed; and what is in the file stays there
        raise TypeError(f"record() takes a Client or an AsyncClient of firsttoken, not {type(client).__name__}")
    recorder = Recorder(path, redact)
    with recorder.attach(client):
        yield recorder.recording
    if recorder.failure is not None:
        raise recorder.failure


class Recorder:
    """Writes down what the attempts of a client's calls say.

    Args:
        path: of the file; None for none.
        redact: words that must not be recorded.

    Attributes:
        recording: what has happened so far.
        failure: why no more is written into the file; None where all is well.
        lock: is held by whoever writes.
        is_closed: whether nobody listens any more.

    Raises:
        RecordingError: the file can't be written.
    """

    def __init__(self, path: StrPath | None, redact: Iterable[str] = ()) -> None:
        self.recording = Recording()
        self.failure: RecordingError | None = None
        self.lock = threading.RLock()
        self._path = "" if path is None else os.fspath(path)
        self._words = (redact,) if isinstance(redact, str) else tuple(redact)
        self.is_closed = False
        self._calls = 0
        self._open: list[Attempt] = []
        self._file: IO[bytes] | None = None
        if path is not None:
            try:
                self._file = create_private(path)
            except OSError as error:
                raise self._failure_of(error) from error
            self._write(FIRST_LINE)

    @contextmanager
    def attach(self, client: "Client | AsyncClient") -> Generator[None]:
        """Listen to the calls that a client begins meanwhile; then close the file.

        Raises:
            ValueError: somebody listens already.
        """
        settings = client._settings
        try:
            if settings.recorder is not None:
                raise ValueError("this client is being recorded already")
            settings.recorder = self
            try:
                yield
            finally:
                settings.recorder = None
        finally:
            self.close()

    def close(self) -> None:
        """Write what waits to be written, and no more: the streams that are still open go on unheard."""
        with self.lock:
            for attempt in self._open:
                attempt.flush()
            self.is_closed = True
            self._open.clear()
            try:
                if self._file is not None:
                    self._file.close()
            except OSError as error:  # what it holds finds no place
                self._fail(error)

    def begin_call(self) -> "_Call":
        """Listen to another call."""
        return _Call(self, self._words)

    def begin(self, attempt: "Attempt", call: "_Call", exchange: RecordedExchange) -> int:
        """Write a request down; give the number of its exchange."""
        if call.number is None:
            self._calls += 1
            call.number = self._calls
        call.attempts += 1
        exchange.call, exchange.attempt = call.number, call.attempts
        self._open.append(attempt)
        number = len(self.recording.exchanges) + 1
        self.write(request_line(number, exchange))
        return number

    def forget(self, attempt: "Attempt") -> None:
        """An attempt has ended."""
        if attempt in self._open:
            self._open.remove(attempt)

    def write(self, fields: dict[str, object]) -> None:
        """Write a line down."""
        if not self.is_closed:
            take_line(self.recording.exchanges, fields)
            self._write(encode_line(fields))

    def _write(self, line: bytes) -> None:
        if self._file is None or self.failure is not None:
            return
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if self.failure is None:
            self.failure = self._failure_of(error)
            self.failure.__cause__ = error

    def _failure_of(self, error: OSError) -> RecordingError:
        return write_error(self._path, error)


class _Call:
    """One call.

    Attributes:
        number: which of the calls it is; None before its first attempt.
        attempts: how many it has had.
    """

    def __init__(self, recorder: Recorder, words: tuple[str, ...]) -> None:
        self.number: int | None = None
        self.attempts = 0
        self._recorder = recorder
        self._words = words

    def exchange_factory(self, plan: PreparedRequest) -> Callable[..., ResponseReader]:
        """What makes the exchange of the next attempt, as `ResponseReader` would."""
        redaction = Redaction((*plan.secrets, *self._words))
        return partial(HeardExchange, Attempt(self._recorder, self, plan, redaction))


class Attempt:
    """What is heard of one attempt; each method is called when something happens."""

    def __init__(self, recorder: Recorder, call: _Call, plan: PreparedRequest, redaction: Redaction) -> None:
        self._recorder = recorder
        self._call = call
        self._plan = plan
        self._redaction = redaction
        self._reads = MaskedReads(redaction)
        self._number: int | None = None  # of its exchange; None before it has begun
        self._sent_at: float | None = None
        self._has_ended = False

    @property
    def was_sent(self) -> bool:
        """Whether there was a connection to send the request over."""
        return self._sent_at is not None

    def sent(self, now_s: float) -> None:
        """The request goes out; once more, where a connection turned out to be stale."""
        with self._recorder.lock:
            self._sent_at = now_s
            self._begin()

    def read(self, data: bytes, now_s: float) -> None:
        """Bytes have come."""
        with self._recorder.lock:
            if not self._recorder.is_closed:
                self._write(self._reads.feed(self._ns(now_s), data))

    def ended(self, end_reason: RecordedEndReason, now_s: float, failure: ChatCompletionError | None) -> None:
        """Nothing more will come."""
        with self._recorder.lock:
            if self._has_ended:
                return
            self._has_ended = True
            number = self._begin()
            self.flush()
            error = None if failure is None else self._redaction.masked_text(str(failure))
            self._recorder.write(end_line(number, self._ns(now_s), end_reason, error))
            self._recorder.forget(self)

    def flush(self) -> None:
        """Write what waits for more to come."""
        self._write(self._reads.finish())

    def _begin(self) -> int:
        if self._number is None:
            self._number = self._recorder.begin(self, self._call, self._exchange())
        return self._number

    def _exchange(self) -> RecordedExchange:
        head, end_of_head, body = self._plan.message.partition(b"\r\n\r\n")
        origin = self._plan.endpoint.origin
        return RecordedExchange(
            call=0,
            attempt=0,
            origin=f"{origin.scheme}://{origin.authority}",
            request_head=self._redaction.masked_head(head + end_of_head),
            request_body=self._redaction.masked(body),
        )

    def _write(self, reads: list[MaskedRead]) -> None:
        number = self._begin()
        for read in reads:
            self._recorder.write(read_line(number, Read(read.ns, bytes(read.shown), read.head_size)))

    def _ns(self, now_s: float) -> int:
        return 0 if self._sent_at is None else max(0, round((now_s - self._sent_at) * 1e9))
