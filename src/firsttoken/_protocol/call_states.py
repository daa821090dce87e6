"""The states of a call, the transitions between them, and the machine's interfaces. See `call`."""

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeVar

from firsttoken._models.base import ResponseInfo
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._models.request import Timeout
from firsttoken._protocol.request import Method
from firsttoken.errors import ChatCompletionError

if TYPE_CHECKING:
    from firsttoken._schema.parsing import ResponseType

Outcome = Literal["complete", "stopped", "failed"]


class State(enum.IntEnum):
    """Where a call is; the docstring of `call` has the table."""

    TOKEN = enum.auto()
    PERMIT = enum.auto()
    CONNECTING = enum.auto()
    SENDING = enum.auto()
    RECEIVING = enum.auto()
    CONCLUDING = enum.auto()
    BACKOFF = enum.auto()
    DRAINING = enum.auto()
    ENDED = enum.auto()


class Action(enum.IntEnum):
    """What a driver has to do."""

    GET_TOKEN = enum.auto()
    ACQUIRE_PERMIT = enum.auto()
    CONNECT = enum.auto()
    SEND = enum.auto()
    READ = enum.auto()
    PROCESS = enum.auto()
    YIELD = enum.auto()
    SLEEP = enum.auto()
    RELEASE = enum.auto()
    CLOSE = enum.auto()
    FINISH = enum.auto()


ACTIONS: Final = {
    State.TOKEN: Action.GET_TOKEN,
    State.PERMIT: Action.ACQUIRE_PERMIT,
    State.CONNECTING: Action.CONNECT,
    State.SENDING: Action.SEND,
    State.RECEIVING: Action.READ,
    State.BACKOFF: Action.SLEEP,
    State.DRAINING: Action.READ,
    State.ENDED: Action.FINISH,
}

Step = Literal["go on", "stale", "answered", "retry", "end"]

TRANSITIONS: Final[dict[State, dict[Step, State]]] = {
    State.TOKEN: {"go on": State.PERMIT, "answered": State.CONCLUDING, "end": State.ENDED},
    State.PERMIT: {"go on": State.CONNECTING, "answered": State.CONCLUDING, "end": State.ENDED},
    State.CONNECTING: {"go on": State.SENDING, "answered": State.CONCLUDING, "end": State.ENDED},
    State.SENDING: {"go on": State.RECEIVING, "answered": State.CONCLUDING, "end": State.ENDED},
    State.RECEIVING: {"stale": State.CONNECTING, "answered": State.CONCLUDING, "end": State.ENDED},
    State.CONCLUDING: {"go on": State.DRAINING, "retry": State.BACKOFF, "end": State.ENDED},
    State.BACKOFF: {"go on": State.TOKEN, "end": State.ENDED},
    State.DRAINING: {"end": State.ENDED},
    State.ENDED: {},
}
"""The transitions. "answered" also means that there will be no answer: the attempt has failed."""

WITHOUT_CONNECTION: Final = frozenset({State.TOKEN, State.PERMIT, State.CONNECTING, State.BACKOFF, State.ENDED})
BEFORE_END: Final = frozenset({State.TOKEN, State.PERMIT, State.CONNECTING, State.SENDING, State.RECEIVING})
READING: Final = frozenset({State.RECEIVING, State.CONCLUDING, State.DRAINING})
WAITING_FOR: Final = {State.TOKEN: "the token provider", State.PERMIT: "the limiter"}


class CallSettings(Protocol):
    """What the machine needs to know of a call."""

    @property
    def url(self) -> str:
        """Where the request goes, without a query, which may hold a key."""
        ...

    @property
    def method(self) -> Method:
        """POST for a completion, GET for the list of models."""
        ...

    @property
    def streamed(self) -> bool:
        """Whether chunks are wanted; else one completion."""
        ...

    @property
    def expected_choices(self) -> int:
        """The request's `n`."""
        ...

    @property
    def require_finish_reason(self) -> bool:
        """Whether `[DONE]` ends an answer only after a finish reason."""
        ...

    @property
    def reasoning_tags(self) -> tuple[str, str] | None:
        """The tags of reasoning in the content."""
        ...

    @property
    def timeout(self) -> Timeout:
        """The deadlines."""
        ...

    @property
    def max_retries(self) -> int:
        """How many further attempts there may be."""
        ...

    @property
    def max_retry_delay_s(self) -> float:
        """The longest wait before one, in seconds, whatever the server asks for; tests limit it."""
        ...

    @property
    def address(self) -> str:
        """The server's, for messages."""
        ...

    @property
    def route_address(self) -> str:
        """The server's and that of a proxy, for messages."""
        ...

    @property
    def needs_token(self) -> bool:
        """Whether each attempt needs a token of the caller's token provider."""
        ...

    @property
    def needs_permit(self) -> bool:
        """Whether each attempt needs a permit of a limiter."""
        ...

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that no error may contain, even if the server repeats them."""
        ...

    @property
    def response_type(self) -> "ResponseType | None":
        """What `completion.parse()` makes of the answer."""
        ...


Settings = TypeVar("Settings", bound=CallSettings)


class CallListener(Protocol[Settings]):
    """Is notified of a call's events; never raises. Times are those that the machine was given."""

    def attempt_started(self, number: int, settings: Settings) -> Settings:
        """An attempt is about to connect; return the settings to use."""
        ...

    def request_sent(self, at: float) -> None:
        """The request was sent; called again if a stale connection was replaced."""
        ...

    def response_started(self, response: ResponseInfo, at: float) -> None:
        """The response head was received."""
        ...

    def data_received(self, data: bytes, at: float) -> None:
        """Bytes of the connection were read."""
        ...

    def chunks_received(self, chunks: Sequence[ChatCompletionChunk], at: float) -> None:
        """The chunks of one read."""
        ...

    def attempt_failed(self, error: ChatCompletionError, retry_delay_s: float | None) -> None:
        """An attempt has failed; None where there is no further one."""
        ...

    def call_ended(self, outcome: Outcome, completion: ChatCompletion, error: ChatCompletionError | None) -> None:
        """The outcome is known."""
        ...
