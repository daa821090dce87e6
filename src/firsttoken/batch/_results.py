"""What came of each row, and of all of them."""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from firsttoken.errors import APIStatusError, ChatCompletionError, ConfigurationError
from firsttoken.types import ChatCompletion

if TYPE_CHECKING:
    from firsttoken.batch._prices import Prices

RESULT_ID = "firsttoken_"
"""What the `id` of an output line begins with; the digest of the row's content follows."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one row: a complete answer, or an error.

    Attributes:
        id: the row's `custom_id`, else a hash of its content.
        completion: the answer, always a complete one; None where there is an error.
        error: why there is none; what arrived of the last attempt is in its `partial`.
        attempts: how many requests were sent.
        value: the row, as the input held it.
        digest: of the row's content.
    """

    id: str
    completion: ChatCompletion | None
    error: ChatCompletionError | ConfigurationError | None
    attempts: int
    value: object = None
    digest: int = 0

    @property
    def text(self) -> str:
        """The answer's text; "" where there is none."""
        return "" if self.completion is None else self.completion.text

    def to_dict(self) -> dict[str, object]:
        """The line of the output, as OpenAI's Batch API has it."""
        line: dict[str, object] = {"id": f"{RESULT_ID}{self.digest:016x}", "custom_id": self.id}
        completion, error = self.completion, self.error
        if completion is not None:
            request_id = None if completion.response is None else completion.response.request_id
            response: dict[str, object] | None = {
                "status_code": 200,
                "request_id": request_id,
                "body": completion.to_dict(),
            }
            return line | {"response": response, "error": None}
        response = None
        if isinstance(error, APIStatusError) and error.status is not None and not error.in_stream:
            response = _response(error.status, error.request_id, error.body)
        return line | {"response": response, "error": self._error_dict()}

    def _error_dict(self) -> dict[str, object]:
        error = self.error
        partial = error.partial if isinstance(error, ChatCompletionError) else None
        return {
            "code": error.code if isinstance(error, APIStatusError) else None,
            "message": str(error),
            "class": type(error).__name__,
            "status": error.status if isinstance(error, APIStatusError) else None,
            "attempts": self.attempts,
            "partial": None if partial is None else partial.text,
        }


def _kind(error: Exception) -> str:
    status = getattr(error, "status", None)
    return type(error).__name__ + ("" if status is None else f" {status}")


def _response(status: int, request_id: str | None, body: object) -> dict[str, object]:
    return {"status_code": status, "request_id": request_id, "body": body}


@dataclass(slots=True)
class Summary:
    """What came of a run, so far or in all.

    Attributes:
        rows: how many rows the input has, as far as that is known.
        finished_before: how many of them the output had already.
        duplicates: how many were skipped, because the same row stood there before.
        complete: how many got a complete answer in this run.
        failed: how many ended as an error row in this run.
        cut: how many of the answers end at a token limit.
        filtered: how many of the answers a content filter ended.
        retries: how many requests were sent again.
        failures: how many failed, by class of the error and status, as in "RateLimitError 429".
        examples: the first error of each of these kinds.
        prompt_tokens: used, as far as the server counted.
        completion_tokens: used.
        cost_usd: what the tokens cost; None where no prices were asked for.
        unpriced: for how many answers no price is known.
        duration_s: how long it took.
        stopped: whether rows are left, because the run was interrupted or gave up.
        reason: the error it gave up for.
    """

    rows: int | None = None
    finished_before: int = 0
    duplicates: int = 0
    complete: int = 0
    failed: int = 0
    cut: int = 0
    filtered: int = 0
    retries: int = 0
    failures: Counter[str] = field(default_factory=Counter[str])
    examples: dict[str, Exception] = field(default_factory=dict[str, Exception])
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    unpriced: int = 0
    duration_s: float = 0.0
    stopped: bool = False
    reason: ChatCompletionError | None = None

    @property
    def done(self) -> int:
        """How many rows ended in this run, one way or the other."""
        return self.complete + self.failed

    def add(self, result: Result, prices: "Prices | None" = None) -> None:
        """Count a result."""
        completion = result.completion
        self.retries += max(0, result.attempts - 1)
        if completion is None:
            self.failed += 1
            if result.error is not None:
                kind = _kind(result.error)
                self.failures[kind] += 1
                self.examples.setdefault(kind, result.error)
            return
        self.complete += 1
        reasons = {choice.finish_reason for choice in completion.choices}
        self.cut += bool(reasons & {"length"})
        self.filtered += bool(reasons & {"content_filter"})
        usage = completion.usage
        if usage is not None:
            self.prompt_tokens += usage.prompt_tokens
            self.completion_tokens += usage.completion_tokens
        if prices is not None:
            cost = prices.cost_usd(completion)
            self.cost_usd = (self.cost_usd or 0.0) + (cost or 0.0)
            self.unpriced += cost is None
