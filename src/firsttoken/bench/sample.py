"""One request: its stamps, taken when the connection's bytes were read, not when they were parsed."""

from collections.abc import Sequence
from contextvars import ContextVar

from firsttoken._protocol.completeness import has_token
from firsttoken.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ChatCompletionError,
    ResponseFormatError,
    StreamTruncatedError,
)
from firsttoken.types import CallInfo, CallObserver, ChatCompletion, ChatCompletionChunk, Observer

CURRENT: ContextVar["Sample"] = ContextVar("CURRENT")
"""The sample of the request that the running task sends."""


class Sample(CallObserver):
    """The stamps of one request. Instants are of the monotonic clock, in seconds.

    Attributes:
        intended_at: when the schedule wanted it to start; in a closed loop when it did.
        started_at: when it did start.
        first_token_at: when the first non-empty content, reasoning, refusal or tool-call text was read.
        ended_at: when the last chunk was read; of a failed request when it failed.
        gaps_s: the time between two reads that brought text.
        chunks: how many chunks came.
        coalesced: how many of them came in one read with others.
        failure: why it is not complete, as a word; None where it is.
        completion: what came.
    """

    def __init__(self, intended_at: float, started_at: float) -> None:
        self.intended_at = intended_at
        self.started_at = started_at
        self.first_token_at: float | None = None
        self.ended_at = started_at
        self.gaps_s: list[float] = []
        self.chunks = 0
        self.coalesced = 0
        self.failure: str | None = None
        self.completion: ChatCompletion | None = None
        self._last_text_at: float | None = None

    def chunks_received(self, chunks: Sequence[ChatCompletionChunk], at: float) -> None:
        """Take the chunks of one read."""
        self.chunks += len(chunks)
        self.coalesced += len(chunks) if len(chunks) > 1 else 0
        self.ended_at = at
        if not any(map(has_token, chunks)):
            return
        if self._last_text_at is None:
            self.first_token_at = at
        else:
            self.gaps_s.append(at - self._last_text_at)
        self._last_text_at = at

    @property
    def output_tokens(self) -> int | None:
        """The tokens of the answer, as the server counts them; None where it does not."""
        usage = None if self.completion is None else self.completion.usage
        return None if usage is None else usage.completion_tokens or None

    @property
    def ttft_s(self) -> float | None:
        """Time to first token."""
        return None if self.first_token_at is None else self.first_token_at - self.started_at

    @property
    def e2e_s(self) -> float:
        """From the start to the last chunk."""
        return self.ended_at - self.started_at

    @property
    def tpot_s(self) -> float | None:
        """Time per output token after the first: (e2e - ttft) / (N - 1)."""
        tokens, ttft_s = self.output_tokens, self.ttft_s
        return None if tokens is None or ttft_s is None or tokens < 2 else (self.e2e_s - ttft_s) / (tokens - 1)

    @property
    def ntpot_s(self) -> float | None:
        """Normalized time per output token: e2e / N."""
        return None if self.output_tokens is None else self.e2e_s / self.output_tokens

    def meets(self, slo: dict[str, float]) -> bool:
        """Whether the request is complete and within every objective; one that can't be measured is not met."""
        if self.failure is not None:
            return False
        values: dict[str, float | None] = {
            "ttft": self.ttft_s,
            "tpot": self.tpot_s,
            "ntpot": self.ntpot_s,
            "e2e": self.e2e_s,
            "inter_chunk": max(self.gaps_s, default=0.0),
        }
        return all((value := values[name]) is not None and value <= limit for name, limit in slo.items())


class SampleObserver(Observer):
    """Has each call observed by the sample of its task."""

    def call_started(self, call: CallInfo) -> CallObserver | None:  # noqa: ARG002 - all calls of a task are one request
        """The sample of the running task."""
        return CURRENT.get(None)


def failure_class(error: ChatCompletionError) -> str:
    """A word for why a request is not complete, for counting."""
    match error:
        case StreamTruncatedError():
            return "truncated"
        case APITimeoutError():
            return f"timeout_{error.phase}"
        case APIStatusError():
            return f"status_{error.status}" if error.status else "in_stream_error"
        case ResponseFormatError():
            return "invalid_response"
        case APIConnectionError():
            return "connection"
        case _:
            return type(error).__name__
