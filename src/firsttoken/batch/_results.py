"""What came of each row and of all of them, what it cost by genai-prices, and how that is said."""

from collections import Counter, deque
from dataclasses import dataclass, field
from decimal import Decimal
from importlib import import_module
from typing import Final, Protocol, cast

from firsttoken._version import install_hint
from firsttoken.errors import APIStatusError, ChatCompletionError, ConfigurationError
from firsttoken.types import ChatCompletion

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


class _Price(Protocol):
    total_price: Decimal


class _Library(Protocol):
    """What is used of genai-prices."""

    def Usage(self, **counts: int | None) -> object: ...  # noqa: N802 - its name
    def calc_price(self, usage: object, model_ref: str, *, provider_api_url: str | None) -> _Price: ...


class Prices:
    """Prices of a server's models.

    Args:
        base_url: of the server, which tells the provider; a model's own name does where that is not known.

    Raises:
        ConfigurationError: genai-prices is not installed (extra `batch`).
    """

    def __init__(self, base_url: str | None) -> None:
        try:
            self._library = cast("_Library", import_module("genai_prices"))
        except ModuleNotFoundError as error:
            raise ConfigurationError("prices need the package genai-prices", hint=install_hint("batch")) from error
        self._url = base_url
        self._is_known: dict[str, bool] = {}

    def cost_usd(self, completion: ChatCompletion) -> float | None:
        """What an answer cost, in US dollars; None where its usage or its model's price is not known."""
        usage = completion.usage
        if usage is None:
            return None
        details = usage.prompt_tokens_details
        cached = None if details is None else details.cached_tokens
        counted = self._library.Usage(
            input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens, cache_read_tokens=cached
        )
        return self.price(completion.model, counted)

    def estimate_usd(self, model: str, prompt_tokens: int) -> float | None:
        """What prompts cost, before anything is sent; None where the model's price is not known."""
        return self.price(model, self._library.Usage(input_tokens=prompt_tokens, output_tokens=0))

    def price(self, model: str, usage: object) -> float | None:
        """The price of what was used of a model."""
        if self._is_known.get(model) is False:
            return None
        for url in dict.fromkeys((self._url, None)):
            try:
                price = float(self._library.calc_price(usage, model, provider_api_url=url).total_price)
            except LookupError:
                continue
            self._is_known[model] = True
            return price
        self._is_known[model] = False
        return None


_WINDOW_S: Final = 15.0
_EXCERPT: Final = 160


class Meter:
    """Rates over the last seconds.

    Attributes:
        rows_per_s: rows that ended.
        tokens_per_s: tokens of answers.
    """

    def __init__(self) -> None:
        self.rows_per_s = 0.0
        self.tokens_per_s = 0.0
        self._seen: deque[tuple[float, int, int]] = deque()

    def update(self, summary: Summary, now: float) -> None:
        """Take what a run has done so far."""
        self._seen.append((now, summary.done, summary.completion_tokens))
        while now - self._seen[0][0] > _WINDOW_S:
            self._seen.popleft()
        began_at, rows, tokens = self._seen[0]
        if now > began_at:
            self.rows_per_s = (summary.done - rows) / (now - began_at)
            self.tokens_per_s = (summary.completion_tokens - tokens) / (now - began_at)


def progress_line(summary: Summary, meter: Meter, in_flight: int) -> str:
    """How far a run is."""
    finished = summary.finished_before + summary.done
    total = None if summary.rows is None else summary.rows - summary.duplicates
    parts = [f"{finished:,} done" if total is None else f"{finished:,} of {total:,} done"]
    parts += [f"{summary.failed:,} failed"] if summary.failed else []
    parts.append(f"{in_flight} at once")
    parts.append(f"{meter.tokens_per_s:,.0f} tokens/s")
    if total is not None and meter.rows_per_s > 0:
        parts.append(f"{duration((total - finished) / meter.rows_per_s)} left")
    return ", ".join(parts + _cost(summary))


def summary_lines(summary: Summary) -> list[str]:
    """What came of a run."""
    finished = f", {summary.finished_before:,} finished before" if summary.finished_before else ""
    duplicates = f", {_count(summary.duplicates, 'duplicate')} skipped" if summary.duplicates else ""
    took = f" in {duration(summary.duration_s)}" if summary.done else ""
    lines = [f"{_count(summary.complete, 'answer')}{took}, {summary.failed:,} failed{finished}{duplicates}"]
    for kind, count in summary.failures.most_common():
        message = str(summary.examples[kind])
        lines.append(f"  {count:,} {kind}: {message[:_EXCERPT]}{'…' if len(message) > _EXCERPT else ''}")
    if summary.cut:
        lines.append(f"{_count(summary.cut, 'answer')} cut at the token limit")
    if summary.filtered:
        lines.append(f"{_count(summary.filtered, 'answer')} ended by a content filter")
    if summary.retries:
        lines.append(f"{_count(summary.retries, 'request')} sent again")
    tokens = [f"{summary.prompt_tokens:,} prompt tokens, {summary.completion_tokens:,} completion tokens"]
    if summary.complete:
        lines.append(", ".join(tokens + _cost(summary)))
    return lines


def duration(seconds: float) -> str:
    """A duration as people write it: 4.2 s, 3:21 min, 2:03:21 h."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"


def dollars(amount: float) -> str:
    """An amount, with more digits where it is small."""
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.6f}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _cost(summary: Summary) -> list[str]:
    if summary.cost_usd is None:
        return []
    unpriced = f" ({_count(summary.unpriced, 'answer')} of unknown price)" if summary.unpriced else ""
    return [f"{dollars(summary.cost_usd)}{unpriced}"]
