"""Notifies the caller's observer, and the limiter, of what happens to a call."""

import logging
from collections.abc import Callable, Sequence
from typing import ParamSpec

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
from firsttoken.errors import APIStatusError, ChatCompletionError

_Args = ParamSpec("_Args")
_logger = logging.getLogger("firsttoken")


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
        _logger.exception("the observer's call_started raised")
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
                _logger.exception("the observer's attempt_started has added headers that can't be sent")
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
        self._release(_failed(error))
        _call(self._observer.attempt_failed, error, retry_delay_s)

    def call_ended(self, outcome: Outcome, completion: ChatCompletion, error: ChatCompletionError | None) -> None:
        """The call has ended."""
        self._release(_ended(outcome, completion, self._sent_after_s))
        _call(self._observer.call_ended, outcome, completion, error)

    def _release(self, outcome: AttemptResult) -> None:
        if self.permit is not None:
            self.permit.release(outcome)


def _failed(error: ChatCompletionError) -> AttemptResult:
    if isinstance(error, APIStatusError):
        return AttemptResult("failed", status=error.status, retry_after_s=error.retry_after_s)
    return AttemptResult("failed")


def _ended(outcome: Outcome, completion: ChatCompletion, sent_after_s: float) -> AttemptResult:
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
        _logger.exception("the observer's %s raised", getattr(method, "__name__", "method"))
