"""How far a batch is, in words."""

from collections import deque
from typing import Final

from firsttoken.batch._results import Summary

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
