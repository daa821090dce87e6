"""What can go wrong, as a tree.

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
    ├── StreamTruncatedError(EOFError)       the stream ended, the answer had not
    └── RefusalError                         an answer was to be parsed, and is a refusal    .refusal
    ConfigurationError(ValueError)           no key, bad URL, wrong method for the request

Every exception that leaves a call or an iteration is one of these, except what the caller's own code raised,
`KeyboardInterrupt` and `CancelledError`. They pickle, and hold no secret. `str(error)` is one line; `error.hint` says
what to do about it, where that is known, and a traceback shows it as a note.
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
"""Codes and types of errors that say that the account has no credit left, which no retry changes."""


_HINT = "hint: "
_MAX_CHARACTERS = 2000
"""The longest message or hint: what a server or a caller gave stands in it, and may be of any length."""


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 1]}…"


class _BaseError(Exception):
    """A message of one line, and a hint.

    Pickles by attributes: an exception's own way calls `__init__` with `args`, which keyword arguments defeat.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(" ".join(_shortened(message).splitlines()))
        if hint:
            self.add_note(_HINT + _shortened(hint))

    @property
    def hint(self) -> str | None:
        """What to do about it; None where nothing is known. It is the note that a traceback shows."""
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
        partial: the completion of the chunks that were yielded before; None where there was none.
        chunks_received: how many chunks were yielded before.
        attempts: how often the request was sent, or tried to be; 0 where the error is not of a call.
        response: status and headers of the response; None where its head had not come.
        request_id: the server's name for the request, where it gave one.
        retryable: whether the same request may well succeed when it is sent again. firsttoken has tried it
            `max_retries` times by itself where nothing had been yielded yet.
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
        status: the HTTP status; inside a stream the one that the error names, None where it names none.
        code: the error's `code` ("insufficient_quota", "context_length_exceeded", …), as text.
        type: the error's `type`.
        param: the field of the request that the error is about.
        body: what the server sent: the parsed JSON, else the text.
        retry_after_s: how many seconds the server asked to wait; None where it did not.
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
    """400: the request is wrong, for instance longer than the model's context."""


class AuthenticationError(APIStatusError):
    """401: no key, or one that the server does not know."""


class PermissionDeniedError(APIStatusError):
    """403: the key may not do this."""


class NotFoundError(APIStatusError):
    """404: no such model, or no such address."""


class ConflictError(APIStatusError):
    """409: the request conflicts with another one."""


class UnprocessableEntityError(APIStatusError):
    """422: the request is well-formed and still wrong."""


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
        self.phase: TimeoutPhase = phase  # or pyright takes it for any str
        self.retryable = phase == "connect"


class ResponseFormatError(ChatCompletionError, ValueError):
    """What came is not a chat completion: its content type, JSON, UTF-8 or shape, or an event that is too large."""


class StreamTruncatedError(ChatCompletionError, EOFError):
    """The stream ended, the answer had not: no `[DONE]`, and a choice without a finish reason.

    Also raised by whatever needs a complete answer where it is not complete (`completion.parse()`,
    `completion.tool_calls`).
    """


class RefusalError(ChatCompletionError):
    """The answer was to be parsed (`completion.parse()`), and is a refusal.

    Attributes:
        refusal: the model's words.
    """

    def __init__(self, message: str, *, refusal: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.refusal = refusal


class ConfigurationError(_BaseError, ValueError):
    """The call can't be made as it is: no key, a bad URL or header, a request that needs the other method."""


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
    """The class of the error that a status stands for; `APIStatusError` itself where it has none of its own."""
    if status is not None and 500 <= status <= 599:
        return InternalServerError
    return _BY_STATUS.get(status or 0, APIStatusError)
