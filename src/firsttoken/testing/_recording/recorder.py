"""Recording what a client does: an observer that writes down each attempt of its calls, as it happens.

It never changes what the client does: a file that takes no more ends the recording alone.
"""

import os
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Literal

from firsttoken._client.sockets import clock
from firsttoken._models.base import ResponseInfo
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._models.observer import Attempt, CallInfo, CallObserver, Observer
from firsttoken._protocol.http1 import ResponseParser
from firsttoken.errors import APIConnectionError, APITimeoutError, ChatCompletionError, StreamTruncatedError
from firsttoken.testing._recording import (
    FIRST_LINE,
    Read,
    RecordedEndReason,
    RecordedExchange,
    Recording,
    RecordingError,
    StrPath,
    content_of,
    create_private,
    encode_line,
    end_line,
    read_line,
    request_line,
    take_line,
    write_error,
)
from firsttoken.testing._recording.masking import MaskedRead, MaskedReads, Redaction

if TYPE_CHECKING:
    from firsttoken import AsyncClient, Client


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
    if not hasattr(client, "observer"):  # not every caller is typed; and what is in the file stays there
        raise TypeError(f"record() takes a Client or an AsyncClient of firsttoken, not {type(client).__name__}")
    recorder = Recorder(path, redact)
    with recorder.attach(client):
        yield recorder.recording
    if recorder.failure is not None:
        raise recorder.failure


class Recorder(Observer):
    """Writes down the attempts of a client's calls.

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
        self._other: Observer | None = None
        self._open: list[_AttemptRecorder] = []
        self._file: IO[bytes] | None = None
        if path is not None:
            try:
                self._file = create_private(path)
            except OSError as error:
                raise write_error(self._path, error) from error
            self._write(FIRST_LINE)

    @contextmanager
    def attach(self, client: "Client | AsyncClient") -> Generator[None]:
        """Listen to the calls that a client begins meanwhile; then close the file.

        Raises:
            ValueError: somebody listens already.
        """
        other = client.observer
        try:
            if isinstance(other, Recorder):
                raise ValueError("this client is being recorded already")  # noqa: TRY004
            self._other = other
            client.observer = self
            try:
                yield
            finally:
                client.observer = other
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

    def call_started(self, call: CallInfo) -> CallObserver:
        """Listen to another call, and let the client's own observer listen too."""
        other = None if self._other is None else self._other.call_started(call)
        return _CallRecorder(self, self._words, call.body, other or CallObserver())

    def begin(self, attempt: "_AttemptRecorder", call: "_CallRecorder", exchange: RecordedExchange) -> int:
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

    def forget(self, attempt: "_AttemptRecorder") -> None:
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
            self.failure = write_error(self._path, error)
            self.failure.__cause__ = error


class _CallRecorder(CallObserver):
    """Listens to one call.

    Attributes:
        number: which of the calls it is; None before its first attempt.
        attempts: how many it has had.
    """

    def __init__(self, recorder: Recorder, words: tuple[str, ...], body: bytes, other: CallObserver) -> None:
        self.number: int | None = None
        self.attempts = 0
        self._recorder = recorder
        self._words = words
        self._body = body
        self._other = other
        self._attempt: _AttemptRecorder | None = None

    def attempt_started(self, attempt: Attempt) -> None:
        """An attempt to send the request begins."""
        self._attempt = _AttemptRecorder(self._recorder, self, attempt, self._body, self._words)
        self._other.attempt_started(attempt)

    def request_sent(self, at: float) -> None:
        """The request was sent."""
        if self._attempt is not None:
            self._attempt.sent(at)
        self._other.request_sent(at)

    def response_started(self, response: ResponseInfo, at: float) -> None:
        """The head of the response was received."""
        self._other.response_started(response, at)

    def data_received(self, data: bytes, at: float) -> None:
        """Bytes were read."""
        if self._attempt is not None:
            self._attempt.received(data, at)
        self._other.data_received(data, at)

    def chunks_received(self, chunks: Sequence[ChatCompletionChunk], at: float) -> None:
        """Chunks were received."""
        self._other.chunks_received(chunks, at)

    def attempt_failed(self, error: ChatCompletionError, retry_delay_s: float | None) -> None:
        """An attempt has failed."""
        if self._attempt is not None:
            self._attempt.failed(error)
        self._other.attempt_failed(error, retry_delay_s)

    def call_ended(
        self,
        outcome: Literal["complete", "stopped", "failed"],
        completion: ChatCompletion,
        error: ChatCompletionError | None,
    ) -> None:
        """The call has ended."""
        if self._attempt is not None:
            self._attempt.ended()
        self._other.call_ended(outcome, completion, error)


class _AttemptRecorder:
    """Writes down one attempt."""

    def __init__(
        self, recorder: Recorder, call: _CallRecorder, attempt: Attempt, body: bytes, words: tuple[str, ...]
    ) -> None:
        self._recorder = recorder
        self._call = call
        self._attempt = attempt
        self._body = body
        self._redaction = Redaction((*attempt.secrets, *words))
        self._reads = MaskedReads(self._redaction)
        self._response = ResponseParser()
        self._number: int | None = None  # of its exchange; None before it has begun
        self._sent_at: float | None = None
        self._end_reason: RecordedEndReason | None = None
        self._ended_at = 0.0
        self._error: str | None = None
        self._has_ended = False

    def sent(self, at: float) -> None:
        """The request was sent; once more, where a connection turned out to be stale."""
        with self._recorder.lock:
            self._sent_at = at
            self._begin()

    def received(self, data: bytes, at: float) -> None:
        """Bytes were read; b"" at the end of the connection."""
        with self._recorder.lock:
            if not data:
                self._note("server closed", at)
            elif not self._recorder.is_closed:
                self._write(self._reads.feed(self._ns(at), data))
                content_of(self._response, data)

    def failed(self, error: ChatCompletionError) -> None:
        """The attempt has failed. What was read is wrong, or the connection has ended."""
        with self._recorder.lock:
            self._error = self._redaction.masked_text(str(error))
            match error:
                case APITimeoutError(phase="connect"):
                    self._note("no connection", clock())
                case APIConnectionError() if self._sent_at is None:
                    self._note("no connection", clock())
                case APITimeoutError():
                    self._note("client timeout", clock())
                case APIConnectionError():
                    self._note("server reset", clock())
                case StreamTruncatedError():  # a caller's own client says it so
                    self._note("server closed", clock())
                case _:
                    pass
            self.ended()

    def ended(self) -> None:
        """Nothing more will come."""
        with self._recorder.lock:
            if self._response.body_ended and self._end_reason != "server closed":
                self._end_reason, self._ended_at = "complete", clock()
            elif self._end_reason is None and self._sent_at is not None:
                self._end_reason, self._ended_at = "client closed", clock()
            self._response.release()
            if self._end_reason is None or self._has_ended:
                return  # nothing has happened, or it was written
            self._has_ended = True
            number = self._begin()
            self.flush()
            self._recorder.write(end_line(number, self._ns(self._ended_at), self._end_reason, self._error))
            self._recorder.forget(self)

    def flush(self) -> None:
        """Write what waits for more to come."""
        self._write(self._reads.finish())

    def _note(self, end_reason: RecordedEndReason, at: float) -> None:
        if self._end_reason is None:
            self._end_reason, self._ended_at = end_reason, at

    def _begin(self) -> int:
        if self._number is None:
            self._number = self._recorder.begin(self, self._call, self._exchange())
        return self._number

    def _exchange(self) -> RecordedExchange:
        head, end_of_head, _ = self._attempt.wire_bytes.partition(b"\r\n\r\n")
        return RecordedExchange(
            call=0,
            attempt=0,
            origin="/".join(self._attempt.url.split("/", 3)[:3]),
            request_head=self._redaction.masked_head(head + end_of_head),
            request_body=self._redaction.masked(self._body),
        )

    def _write(self, reads: list[MaskedRead]) -> None:
        number = self._begin()
        for read in reads:
            self._recorder.write(read_line(number, Read(read.ns, bytes(read.shown), read.head_size)))

    def _ns(self, at: float) -> int:
        return 0 if self._sent_at is None else max(0, round((at - self._sent_at) * 1e9))
