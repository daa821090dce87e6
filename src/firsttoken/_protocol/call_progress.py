"""The state of a call so far: the response, its times, the deadlines, and what was yielded."""

from collections.abc import Callable
from typing import Generic

from firsttoken._models.base import Headers, ResponseInfo, Timing
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._protocol.call_states import CallListener, Outcome, Settings
from firsttoken._protocol.completeness import COMPLETE, has_token, is_progress, prompt_tokens_processed
from firsttoken._protocol.deadlines import SILENCE_S, Deadlines
from firsttoken._protocol.redaction import masked_headers, redact
from firsttoken._protocol.response import ResponseReader
from firsttoken._protocol.retry import OVERLOAD_STATUSES, retry_delay_s
from firsttoken.errors import APIConnectionError, APIStatusError, ChatCompletionError, ConfigurationError, NotFoundError


class CallProgress(Generic[Settings]):
    """The part of a call that holds its results.

    Attributes:
        settings: of the attempt.
        outcome: how it ended; None before. Once set it never changes.
        error: of the outcome "failed".
        pending: the chunks to yield.
        attempts: how many there have been.
        client_secrets: further ones that a caller's own client has sent; set by the connection.
    """

    __slots__ = (
        "_deadlines",
        "_ended_at",
        "_first_chunk_at",
        "_first_token_at",
        "_headers_at",
        "_listener",
        "_prompt_tokens",
        "_reader",
        "_started_at",
        "_wall_clock",
        "attempts",
        "client_secrets",
        "error",
        "outcome",
        "pending",
        "settings",
    )

    def __init__(
        self,
        settings: Settings,
        now: float,
        wall_clock: Callable[[], float],
        listener: CallListener[Settings] | None,
    ) -> None:
        self.settings = settings
        self.outcome: Outcome | None = None
        self.error: ChatCompletionError | ConfigurationError | None = None
        self.attempts = 0
        self.client_secrets: tuple[str, ...] = ()
        self._started_at = now
        self._ended_at: float | None = None
        self._deadlines = Deadlines(settings.timeout, now, settings.address, streamed=settings.streamed)
        self._wall_clock = wall_clock
        self._listener = listener

    @property
    def response(self) -> ResponseInfo | None:
        """The head of the response to the last attempt."""
        return self._reader.response

    @property
    def chunks_yielded(self) -> int:
        """How many chunks were yielded."""
        return self._reader.parser.chunks_yielded

    @property
    def has_unread_data(self) -> bool:
        """Whether what was read has not all been yielded."""
        return bool(self.pending) or self._reader.has_pending_data

    @property
    def is_fully_yielded(self) -> bool:
        """Whether all chunks of a complete answer were yielded."""
        return self._reader.parser.end is COMPLETE and not self.pending

    @property
    def completion(self) -> ChatCompletion:
        """The completion, as far as it was yielded."""
        completion = self._reader.completion or self._reader.parser.completion
        completion.complete = self.outcome == "complete"
        completion.response = self.response
        completion.timing = self.timing
        completion._response_type = self.settings.response_type
        return completion

    @property
    def models(self) -> list[str]:
        """The answer of a call that lists the models; empty before it has come."""
        return self._reader.models

    @property
    def timing(self) -> Timing:
        """The times so far."""
        return Timing(
            time_to_headers_s=self._since_start(self._headers_at),
            time_to_first_chunk_s=self._since_start(self._first_chunk_at),
            time_to_first_token_s=self._since_start(self._first_token_at),
            duration_s=self._since_start(self._ended_at),
            chunks=self.chunks_yielded,
        )

    def _name_proxy(self, error: ChatCompletionError) -> None:
        """Name the proxy in an error response that came without a tunnel: it may be the proxy's own."""
        settings = self.settings
        is_forwarded = settings.route_address != settings.address and settings.url.startswith("http://")
        message, words = str(error), "the server answered"
        if is_forwarded and isinstance(error, APIStatusError) and message.startswith(words):
            error.args = (f"{settings.route_address} answered{message.removeprefix(words)}",)

    def forked_error(self) -> APIConnectionError:
        """The error of a forked child that reads its parent's stream: each would get a part of the bytes."""
        error = APIConnectionError(
            f"the stream from {self.settings.address} belongs to the process that opened it",
            hint="a forked child can use the same client, but opens streams of its own",
        )
        error.retryable = False
        self.describe(error)
        return error

    def describe(self, error: ChatCompletionError) -> None:
        """Attach to an error what was yielded before it, and the response; redact secrets."""
        reader = self._reader
        error.chunks_received = self.chunks_yielded
        error.partial = self.completion if error.chunks_received else error.partial
        error.attempts = self.attempts
        error.response = reader.response
        self._name_proxy(error)
        if isinstance(error, NotFoundError) and self.settings.url not in str(error):
            request = f"{self.settings.method} {self.settings.url}"
            error.args = (str(error).replace("404 Not Found", f"404 Not Found to {request}", 1),)
        error.request_id = None if reader.response is None else reader.response.request_id
        redact(error, self.settings.secrets + self.client_secrets)

    def _begin_progress(self) -> None:
        """Start over with an empty answer."""
        settings = self.settings
        self.attempts += 1
        self._reader = ResponseReader(
            streamed=settings.streamed,
            is_model_list=settings.method == "GET",
            expected_choices=settings.expected_choices,
            require_finish_reason=settings.require_finish_reason,
            reasoning_tags=settings.reasoning_tags,
            wall_clock=self._wall_clock,
        )
        self.pending = self._reader.parser.pending
        self._headers_at: float | None = None
        self._first_chunk_at: float | None = None
        self._first_token_at: float | None = None
        self._prompt_tokens: float = 0

    def _note_head(self, response: ResponseInfo, now: float) -> None:
        self._headers_at = now
        headers = masked_headers(response.headers, self.settings.secrets + self.client_secrets)
        if headers is not None:  # the server has repeated a secret
            response = self._reader.replace_head(headers)
        if self._listener is not None:
            self._listener.response_started(response, now)

    def _note_chunks(self, chunks: list[ChatCompletionChunk], now: float) -> None:
        if self._first_token_at is None:
            if self._first_chunk_at is None:
                self._first_chunk_at = now
            if any(map(has_token, chunks)):
                self._first_token_at = now
        if is_progress(chunks[-1]) or any(map(is_progress, chunks)):
            self._deadlines.progressed(now)
        elif self._deadlines.phase == "first_chunk":
            self._note_prompt_progress(chunks, now)
        if self._listener is not None:
            self._listener.chunks_received(chunks, now)

    def _note_prompt_progress(self, chunks: list[ChatCompletionChunk], now: float) -> None:
        processed = max(map(prompt_tokens_processed, chunks))
        if processed > self._prompt_tokens:
            self._prompt_tokens = processed
            self._deadlines.requesting(now)

    def _limiter_waits_for(self, error: ChatCompletionError) -> bool:
        """Whether the limiter waits as long as the server asked: then the retry queues at once, at the front."""
        if not self.settings.needs_permit or not isinstance(error, APIStatusError):
            return False
        return error.status in OVERLOAD_STATUSES and error.retry_after_s is not None

    def _retry_delay_s(self, error: ChatCompletionError, now: float, jitter: float) -> float | None:
        """How long to wait before another attempt; None if there is none."""
        if self.attempts > self.settings.max_retries or self.chunks_yielded:
            return None
        response = self.response
        delay_s = retry_delay_s(
            error,
            Headers() if response is None else response.headers,
            attempt=self.attempts - 1,
            remaining_s=self._deadlines.remaining_s(now),
            jitter=jitter,
        )
        return None if delay_s is None else min(delay_s, self.settings.max_retry_delay_s)

    def _set_outcome(
        self, outcome: Outcome, error: ChatCompletionError | ConfigurationError | None, now: float
    ) -> None:
        self.outcome = outcome
        self.error = error
        self._ended_at = now
        if isinstance(error, ChatCompletionError) and error.partial is not None:
            error.partial.timing = self.timing

    def _silence_s(self) -> float:
        idle_s = self.settings.timeout.idle_s
        return SILENCE_S if idle_s is None else min(SILENCE_S, idle_s)

    def _since_start(self, moment: float | None) -> float | None:
        return None if moment is None else moment - self._started_at
