"""Notifies the observer of a call and its limiter of what happens to it, and logs it by the logger "firsttoken".

Log lines say what was sent where, what came, and when; never a key, never content. A line at DEBUG for each request,
response head and end, at INFO for each retry and each failure, at WARNING where an answer broke off.
`FIRSTTOKEN_LOG=debug` or `info` writes them to stderr, for scripts and the command.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Literal, ParamSpec

from firsttoken._client.limiter import Permit, estimated_tokens
from firsttoken._client.prepared import PreparedRequest
from firsttoken._client.sockets import clock
from firsttoken._models.base import ResponseInfo
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._models.observer import Attempt, CallInfo, CallObserver, Observer
from firsttoken._protocol.call_states import Outcome
from firsttoken._protocol.limits import AttemptResult
from firsttoken._protocol.request import check_headers
from firsttoken.errors import APIStatusError, APITimeoutError, ChatCompletionError

LOGGER = logging.getLogger("firsttoken")

_Args = ParamSpec("_Args")


def watch(request: PreparedRequest) -> "CallWatcher | None":
    """Begin to watch a call; None if nothing observes it."""
    call_observer = None if request.observer is None else _observe(request.observer, request)
    if call_observer is None and request.limiter is None:
        return None
    return CallWatcher(request, call_observer or CallObserver())


def _observe(observer: Observer, request: PreparedRequest) -> CallObserver | None:
    info = CallInfo(
        request=request.request,
        streamed=request.streamed,
        url=request.route.endpoint.url.partition("?")[0],
        body=request.body,
    )
    try:
        return observer.call_started(info)
    except Exception:
        LOGGER.exception("the observer's call_started raised")
        return None


class CallWatcher:
    """Notifies an observer and a permit of a call's events. Never raises.

    Attributes:
        permit: of the attempt; None before it was requested.
    """

    __slots__ = ("_began_at", "_observer", "_request", "_sent_after_s", "permit")

    def __init__(self, request: PreparedRequest, observer: CallObserver) -> None:
        self._request = request
        self.permit: Permit | None = None
        self._observer = observer
        self._began_at = clock()
        self._sent_after_s = 0.0

    def request_permit(self, attempt: int) -> Permit:
        """Ask the limiter to let an attempt start."""
        assert self._request.limiter is not None, "only asked for where there is one"  # noqa: S101
        tokens = estimated_tokens(self._request.body)
        self.permit = self._request.limiter.request(tokens=tokens, attempt=attempt)
        return self.permit

    def attempt_started(self, number: int, settings: PreparedRequest) -> PreparedRequest:
        """An attempt connects; returns its request with what the observer has added to its headers."""
        self._request = settings
        route = settings.route
        attempt = Attempt(number, route.endpoint.url, dict(route.headers), route.secrets)
        _call(self._observer.attempt_started, attempt)
        added = {name: value for name, value in attempt.headers.items() if route.headers.get(name) != value}
        if added:
            try:
                self._request = self._request.with_route(route.with_headers(route.headers | check_headers(added)))
            except Exception:
                LOGGER.exception("the observer's attempt_started has added headers that can't be sent")
        attempt.wire_bytes = self._request.wire_bytes
        return self._request

    def request_sent(self, at: float) -> None:
        """The request was sent."""
        self._sent_after_s = at - self._began_at
        _call(self._observer.request_sent, at)

    def response_started(self, response: ResponseInfo, at: float) -> None:
        """The head is there."""
        if self.permit is not None and 200 <= response.status <= 299:
            self.permit.accepted()
        _call(self._observer.response_started, response, at)

    def data_received(self, data: bytes, at: float) -> None:
        """Bytes were read."""
        _call(self._observer.data_received, data, at)

    def chunks_received(self, chunks: Sequence[ChatCompletionChunk], at: float) -> None:
        """Chunks were received."""
        _call(self._observer.chunks_received, chunks, at)

    def attempt_failed(self, error: ChatCompletionError, retry_delay_s: float | None) -> None:
        """An attempt has failed."""
        self._release(result_of_failure(error))
        _call(self._observer.attempt_failed, error, retry_delay_s)

    def call_ended(self, outcome: Outcome, completion: ChatCompletion, error: ChatCompletionError | None) -> None:
        """The call has ended."""
        self._release(result_of_end(outcome, completion, self._sent_after_s))
        _call(self._observer.call_ended, outcome, completion, error)

    def _release(self, outcome: AttemptResult) -> None:
        if self.permit is not None:
            self.permit.release(outcome)


def result_of_failure(error: ChatCompletionError) -> AttemptResult:
    """What a limiter is told of an attempt that has failed."""
    if isinstance(error, APIStatusError):
        return AttemptResult("failed", status=error.status, retry_after_s=error.retry_after_s)
    return AttemptResult("failed")


def result_of_end(outcome: Outcome, completion: ChatCompletion, sent_after_s: float) -> AttemptResult:
    """The result for a limiter: its times count from the sending of the request, without the wait for a permit."""
    usage, timing = completion.usage, completion.timing
    first_token_s = None if timing is None else timing.time_to_first_token_s
    return AttemptResult(
        outcome,
        total_tokens=None if usage is None else usage.total_tokens or usage.prompt_tokens + usage.completion_tokens,
        completion_tokens=usage.completion_tokens if usage else timing.chunks if timing else None,
        time_to_first_token_s=None if first_token_s is None else first_token_s - sent_after_s,
    )


def _call(method: Callable[_Args, None], *args: _Args.args, **kwargs: _Args.kwargs) -> None:
    """Call an observer; what it raises is logged and dropped."""
    try:
        method(*args, **kwargs)
    except Exception:
        LOGGER.exception("the observer's %s raised", getattr(method, "__name__", "method"))


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
