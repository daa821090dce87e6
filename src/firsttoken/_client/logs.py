"""Log lines of calls, by the logger "firsttoken": what was sent where, what came, and when. Never a key, never content.

A line at DEBUG for each request, response head and end, at INFO for each retry and each failure, at WARNING where an
answer broke off. `FIRSTTOKEN_LOG=debug` or `info` writes them to stderr, for scripts and the command.
"""

import logging
import time
from collections.abc import Sequence
from typing import Literal

from firsttoken._models.base import ResponseInfo
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._models.observer import Attempt, CallInfo, CallObserver, Observer
from firsttoken.errors import APIStatusError, APITimeoutError, ChatCompletionError

LOGGER = logging.getLogger("firsttoken")


def log_to_stderr(level: str) -> None:
    """Log a level and above to stderr; once, however many clients there are."""
    LOGGER.setLevel(logging.DEBUG if level.strip().lower() == "debug" else logging.INFO)
    if not any(isinstance(handler, _StderrHandler) for handler in LOGGER.handlers):
        handler = _StderrHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        LOGGER.addHandler(handler)


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """The one that `FIRSTTOKEN_LOG` adds."""


class LoggingObserver(Observer):
    """Logs each call, and passes everything on to the caller's own observer.

    Args:
        other: the caller's own; None where there is none.
    """

    __slots__ = ("_other",)

    def __init__(self, other: Observer | None) -> None:
        self._other = other

    def call_started(self, call: CallInfo) -> CallObserver:
        """A call begins."""
        other = None if self._other is None else self._other.call_started(call)
        return _CallLog(call, other or CallObserver())


class _CallLog(CallObserver):
    __slots__ = ("_attempts", "_call", "_other", "_started_at")

    def __init__(self, call: CallInfo, other: CallObserver) -> None:
        self._call = call
        self._other = other
        self._attempts = 0
        self._started_at = time.monotonic()

    def attempt_started(self, attempt: Attempt) -> None:
        """An attempt to send the request begins."""
        self._attempts = attempt.number
        request = self._call.request
        LOGGER.debug(
            "POST %s: model %s, %s, %d bytes, attempt %d",
            self._call.url,
            request.model,
            "streamed" if self._call.streamed else "blocking",
            len(self._call.body),
            attempt.number,
        )
        self._other.attempt_started(attempt)

    def request_sent(self, at: float) -> None:
        """The request was sent."""
        self._other.request_sent(at)

    def response_started(self, response: ResponseInfo, at: float) -> None:
        """The head of the response was received."""
        LOGGER.debug(
            "%s: status %d after %.3f s, request id %s",
            self._call.url,
            response.status,
            at - self._started_at,
            response.request_id or "-",
        )
        self._other.response_started(response, at)

    def data_received(self, data: bytes, at: float) -> None:
        """Bytes of the connection were read."""
        self._other.data_received(data, at)

    def chunks_received(self, chunks: Sequence[ChatCompletionChunk], at: float) -> None:
        """Chunks were received."""
        self._other.chunks_received(chunks, at)

    def attempt_failed(self, error: ChatCompletionError, retry_delay_s: float | None) -> None:
        """An attempt has failed."""
        if retry_delay_s is not None:
            LOGGER.info(
                "%s: %s in attempt %d, retrying in %.3g s",
                self._call.url,
                reason_of(error),
                self._attempts,
                retry_delay_s,
            )
        self._other.attempt_failed(error, retry_delay_s)

    def call_ended(
        self,
        outcome: Literal["complete", "stopped", "failed"],
        completion: ChatCompletion,
        error: ChatCompletionError | None,
    ) -> None:
        """The call has ended."""
        if error is None:
            LOGGER.debug("%s: %s, %s", self._call.url, outcome, self._summary(completion))
        elif error.partial is None:
            LOGGER.info("%s: failed, %s, attempts %d", self._call.url, reason_of(error), self._attempts)
        else:
            LOGGER.warning(
                "%s: the answer broke off, %s; what came is in error.partial (%s)",
                self._call.url,
                reason_of(error),
                self._summary(completion),
            )
        self._other.call_ended(outcome, completion, error)

    def _summary(self, completion: ChatCompletion) -> str:
        timing, usage, response = completion.timing, completion.usage, completion.response
        parts = [f"finish reason {completion.finish_reason or '-'}"]
        if timing is not None:
            parts.append(f"{timing.chunks} chunks in {time.monotonic() - self._started_at:.3f} s")
            if timing.time_to_first_token_s is not None:
                parts.append(f"first token after {timing.time_to_first_token_s:.3f} s")
        if usage is not None:
            parts.append(f"{usage.prompt_tokens} + {usage.completion_tokens} tokens")
        request_id = None if response is None else response.request_id
        return ", ".join([*parts, f"attempts {self._attempts}", f"request id {request_id or '-'}"])


def reason_of(error: ChatCompletionError) -> str:
    """What has failed, without the message, which may quote the answer."""
    words = [type(error).__name__]
    if isinstance(error, APIStatusError):
        words += [str(word) for word in (error.status, error.code) if word is not None]
    elif isinstance(error, APITimeoutError):
        words.append(error.phase)
    return " ".join(dict.fromkeys(words))
