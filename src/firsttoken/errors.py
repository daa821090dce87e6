"""The errors, as a tree.

::

    ChatCompletionError                      .partial .chunks_received .attempts .hint
    │                                        .response .headers .request_id .retryable
    ├── APIStatusError                       an error response, by HTTP status or inside the stream
    │   │                                    .status .code .type .param .body .retry_after_s .in_stream
    │   ├── BadRequestError 400
    │   ├── AuthenticationError 401
    │   ├── PermissionDeniedError 403
    │   ├── NotFoundError 404
    │   ├── ConflictError 409
    │   ├── UnprocessableEntityError 422
    │   ├── RateLimitError 429
    │   └── InternalServerError 5xx
    ├── APIConnectionError(ConnectionError)  no connection, or it was reset
    ├── APITimeoutError(TimeoutError)        .phase "connect" | "first_chunk" | "idle" | "response" | "total"
    ├── ResponseFormatError(ValueError)      not a chat completion: content type, JSON, UTF-8, shape, event too large
    ├── StreamTruncatedError(EOFError)       the stream ended before the answer was complete
    └── RefusalError                         `parse()` was called on a refusal    .refusal
    ConfigurationError(ValueError)           no key, bad URL, wrong method for the request

Every exception that leaves a call or an iteration is one of these, except what the caller's own code raised (as
`RuntimeError`, if it was a token provider's `StopIteration`), `KeyboardInterrupt` and `CancelledError`. They can be
pickled, and contain no secret. `str(error)` is one line; `error.hint` says what to do about it, if that is known, and a
traceback shows it as a note.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from firsttoken._models.base import ResponseInfo
    from firsttoken._models.completion import ChatCompletion

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ChatCompletionError",
    "ConfigurationError",
    "ConflictError",
    "InternalServerError",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "RefusalError",
    "ResponseFormatError",
    "StreamTruncatedError",
    "TimeoutPhase",
    "UnprocessableEntityError",
    "status_error_class",
]

TimeoutPhase = Literal["connect", "first_chunk", "idle", "response", "total"]

RETRYABLE_STATUSES = frozenset({408, 409, 429})

OUT_OF_CREDIT = frozenset(
    {
        "insufficient_quota",  # OpenAI, DashScope
        "exceeded_current_quota_error",  # Moonshot
        "billing_hard_limit_reached",  # OpenAI
        "insufficient_balance",
        "insufficient_credits",
        "Arrearage",  # DashScope
    }
)
"""Codes and types of errors that mean that the account has no credit left; a retry does not help."""


_HINT = "hint: "
_MAX_CHARACTERS = 2000
"""The longest message or hint: text of a server or caller in it may be of any length."""


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 1]}…"


class _BaseError(Exception):
    """A message of one line, and a hint.

    Pickled by its attributes: the default calls `__init__` with `args`, and would lose keyword arguments.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(" ".join(_shortened(message).splitlines()))
        if hint:
            self.add_note(_HINT + _shortened(hint))

    @property
    def hint(self) -> str | None:
        """What to do about it; None if nothing is known. It is the note that a traceback shows."""
        notes: list[str] = getattr(self, "__notes__", [])
        return next((note.removeprefix(_HINT) for note in notes if note.startswith(_HINT)), None)

    def __reduce__(self) -> "tuple[object, ...]":
        return _unpickle, (type(self), self.args, self.__dict__)


def _unpickle(cls: type[BaseException], args: tuple[object, ...], attributes: dict[str, object]) -> BaseException:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(attributes)
    if "__notes__" in attributes:
        error.__notes__ = [*error.__notes__]  # a note of the copy is not one of the original
    return error


class ChatCompletionError(_BaseError):
    """A call or a stream failed.

    Attributes:
        partial: the completion of the chunks that were yielded before; None if there were none.
        chunks_received: how many chunks were yielded before.
        attempts: how many attempts were made to send the request; 0 if the error did not come from a call.
        response: status and headers of the response; None if no head was received.
        request_id: the server's id of the request, if it sent one.
        retryable: whether the same request may succeed if it is sent again. firsttoken has already retried it
            `max_retries` times, unless a chunk had been yielded.
    """

    retryable = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.partial: ChatCompletion | None = None
        self.chunks_received = 0
        self.attempts = 0
        self.response: ResponseInfo | None = None
        self.request_id: str | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the response (`x-ratelimit-…` and the like), names case-insensitive; empty without one."""
        return {} if self.response is None else self.response.headers


class APIStatusError(ChatCompletionError):
    """An error response: by HTTP status, or inside the stream of a 200.

    Attributes:
        status: the HTTP status; inside a stream the one that the error names, None if it names none.
        code: the error's `code` ("insufficient_quota", "context_length_exceeded", …), as text.
        type: the error's `type`.
        param: the field of the request that the error is about.
        body: what the server sent: the parsed JSON, else the text.
        retry_after_s: how many seconds the server asked to wait; None if it did not.
        in_stream: whether the error came inside a 200.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        type: str | None = None,  # noqa: A002 - the API's name
        param: str | None = None,
        body: object = None,
        retry_after_s: float | None = None,
        in_stream: bool = False,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.type = type
        self.param = param
        self.body = body
        self.retry_after_s = retry_after_s
        self.in_stream = in_stream
        self.retryable = OUT_OF_CREDIT.isdisjoint((code, type)) and is_transient(status)


def is_transient(status: int | None) -> bool:
    return status is not None and (status in RETRYABLE_STATUSES or 500 <= status <= 599)


class BadRequestError(APIStatusError):
    """400: the request is invalid, for instance longer than the model's context."""


class AuthenticationError(APIStatusError):
    """401: no key, or an invalid one."""


class PermissionDeniedError(APIStatusError):
    """403: the key lacks permission for this."""


class NotFoundError(APIStatusError):
    """404: no such model, or no such path."""


class ConflictError(APIStatusError):
    """409: the request conflicts with another one."""


class UnprocessableEntityError(APIStatusError):
    """422: the request is well-formed but invalid."""


class RateLimitError(APIStatusError):
    """429: too many requests or tokens, or (`code` "insufficient_quota") no credit left."""


class InternalServerError(APIStatusError):
    """5xx: the server, or one behind it, failed."""


class APIConnectionError(ChatCompletionError, ConnectionError):
    """No connection could be made, or it was reset. The cause is chained."""

    retryable = True


class APITimeoutError(ChatCompletionError, TimeoutError):
    """A deadline passed (see `firsttoken.Timeout`).

    Attributes:
        phase: which one: "connect", "first_chunk", "idle", "response" or "total".
    """

    def __init__(self, message: str, *, phase: TimeoutPhase, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.phase: TimeoutPhase = phase  # else pyright infers str
        self.retryable = phase == "connect"


class ResponseFormatError(ChatCompletionError, ValueError):
    """The response is not a chat completion, by its content type, JSON, UTF-8 or shape; or an event is too large."""


class StreamTruncatedError(ChatCompletionError, EOFError):
    """The stream ended before the answer was complete, for instance without a finish reason.

    Also raised by what needs a complete answer, if it is not (`completion.parse()`, `completion.tool_calls`).
    """


class RefusalError(ChatCompletionError):
    """`completion.parse()` was called on a refusal.

    Attributes:
        refusal: the model's words.
    """

    def __init__(self, message: str, *, refusal: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.refusal = refusal


class ConfigurationError(_BaseError, ValueError):
    """The call can't be made as it is: no key, a bad URL or header, a request for the other method."""


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def status_error_class(status: int | None) -> type[APIStatusError]:
    """The class of the error for a status; `APIStatusError` itself if it has no subclass."""
    if status is not None and 500 <= status <= 599:
        return InternalServerError
    return _BY_STATUS.get(status or 0, APIStatusError)
