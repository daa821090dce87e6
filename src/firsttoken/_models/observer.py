"""The one seam to watch a call: the interface of an observer. `_client/observers.py` calls it."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from firsttoken._models.base import ResponseInfo
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._models.request import ChatCompletionRequest
from firsttoken.errors import ChatCompletionError


class CallInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A call that begins.

    Attributes:
        request: the request; it must not be changed.
        streamed: whether the answer is streamed.
        url: where the request goes, without its query, which may hold a key.
        body: the JSON body, as it is sent.
    """

    request: ChatCompletionRequest
    streamed: bool
    url: str
    body: bytes


class Attempt:
    """One attempt to send the request of a call.

    Attributes:
        number: 1 for the first.
        url: where it goes; its query may hold a key.
        headers: those that are sent, names in lower case; `attempt_started` may add to them. They contain the key.
        secrets: texts that must not be shown: keys, tokens and passwords.
        wire_bytes: the request as it is sent, head and body; b"" before `attempt_started` has returned.
    """

    __slots__ = ("headers", "number", "secrets", "url", "wire_bytes")

    def __init__(self, number: int, url: str, headers: dict[str, str], secrets: tuple[str, ...]) -> None:
        self.number = number
        self.url = url
        self.headers = headers
        self.secrets = secrets
        self.wire_bytes = b""

    def __repr__(self) -> str:
        return f"Attempt(number={self.number}, url={self.url.partition('?')[0]!r})"


class CallObserver:
    """Is notified of what happens to one call; override the methods that you need.

    The methods are called by the thread or task that reads the answer, in order. `at` is by `time.monotonic()`. What
    they raise is logged by the logger "firsttoken", and does not reach the call.
    """

    __slots__ = ()

    def attempt_started(self, attempt: Attempt) -> None:
        """An attempt to send the request begins. Headers may be added to `attempt.headers`."""

    def request_sent(self, at: float) -> None:
        """The request was sent; called again if a stale connection was replaced."""

    def response_started(self, response: ResponseInfo, at: float) -> None:
        """The head of the response was received."""

    def data_received(self, data: bytes, at: float) -> None:
        """Bytes of the connection were read, head and framing included; b"" if the server has closed it."""

    def chunks_received(self, chunks: Sequence[ChatCompletionChunk], at: float) -> None:
        """Chunks of one read were received. They may be yielded later, or never."""

    def attempt_failed(self, error: ChatCompletionError, retry_delay_s: float | None) -> None:
        """An attempt has failed; the next one begins after `retry_delay_s`. None: there is no next one."""

    def call_ended(
        self,
        outcome: Literal["complete", "stopped", "failed"],
        completion: ChatCompletion,
        error: ChatCompletionError | None,
    ) -> None:
        """The call has ended; exactly once for each call that has started, and last.

        Args:
            outcome: how it ended.
            completion: the completion, as far as it was yielded.
            error: of the outcome "failed"; None if it is a `ConfigurationError`.
        """


class Observer:
    """Is notified of the calls of a client, as in `Client(observer=…)`; override `call_started`."""

    __slots__ = ()

    def call_started(self, call: CallInfo) -> CallObserver | None:
        """A call begins; return its observer, or None."""
