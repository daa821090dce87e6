"""The figures of a level: counted per worker, merged without loss, judged at the end."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple, cast

from firsttoken.bench.config import Level
from firsttoken.bench.sample import Sample

_GROWTH = math.log(1.001)
_SMALLEST_S = 1e-7
_ENOUGH = {50: 2, 90: 10, 99: 100}
"""Fewer samples than these give no such percentile: it would be the maximum by another name."""


class Histogram:
    """Durations in seconds, many in little memory, merged without loss.

    A duration goes into one of the buckets that grow by 0.1 %, so that a percentile is off by at most half of that;
    count, sum and maximum are exact. Merging adds the counts, so that the histogram of two workers is the one that a
    single worker would have made of all their samples.

    Attributes:
        count: how many.
        total: their sum, in seconds.
        max: the longest, in seconds; 0.0 where there is none.
    """

    __slots__ = ("_buckets", "count", "max", "total")

    def __init__(self, values_s: Iterable[float] = ()) -> None:
        self.count = 0
        self.total = 0.0
        self.max = 0.0
        self._buckets: dict[int, int] = {}
        for value_s in values_s:
            self.add(value_s)

    def add(self, value_s: float) -> None:
        """Count a duration; a negative one is 0."""
        value_s = max(0.0, value_s)
        bucket = -1 if value_s < _SMALLEST_S else int(math.log(value_s / _SMALLEST_S) / _GROWTH)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1
        self.total += value_s
        self.max = max(self.max, value_s)

    def merge(self, other: "Histogram") -> None:
        """Add what another has counted."""
        for bucket, count in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count
        self.count += other.count
        self.total += other.total
        self.max = max(self.max, other.max)

    def percentile(self, percent: float) -> float | None:
        """The duration in seconds that so many percent do not exceed (nearest rank); None where there is none."""
        rank = max(1, math.ceil(self.count * percent / 100))
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                middle_s = 0.0 if bucket < 0 else _SMALLEST_S * math.exp(_GROWTH * (bucket + 0.5))
                return min(middle_s, self.max)
        return None

    def summary(self) -> dict[str, float | int | None]:
        """p50, p90 and p99 (None where there are too few samples for it), mean, max, in seconds; and the count."""
        found: dict[str, float | int | None] = {
            f"p{percent}": self.percentile(percent) if self.count >= enough else None
            for percent, enough in _ENOUGH.items()
        }
        mean_s = self.total / self.count if self.count else None
        return found | {"mean": mean_s, "max": self.max if self.count else None, "count": self.count}

    def to_dict(self) -> dict[str, object]:
        """The histogram as JSON, for `from_dict`."""
        buckets = {str(bucket): self._buckets[bucket] for bucket in sorted(self._buckets)}
        return {"total": self.total, "max": self.max, "buckets": buckets}

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> "Histogram":
        """The histogram that `to_dict` wrote.

        Raises:
            TypeError, ValueError: it did not write this.
        """
        found = cls()
        buckets, total, longest = value.get("buckets"), value.get("total"), value.get("max")
        if not isinstance(buckets, dict) or not isinstance(total, int | float) or not isinstance(longest, int | float):
            raise TypeError("expected a histogram: buckets, total and max")
        for bucket, count in buckets.items():  # pyright: ignore[reportUnknownVariableType]
            if not isinstance(bucket, str) or not isinstance(count, int):
                raise TypeError("the buckets of a histogram must be counts by number")
            found._buckets[int(bucket)] = count
            found.count += count
        found.total, found.max = float(total), float(longest)
        return found


HISTOGRAMS = (
    *("ttft_s", "inter_chunk_s", "tpot_s", "ntpot_s", "e2e_s", "e2e_intended_s", "ttft_intended_s"),
    *("schedule_delay_s", "loop_lag_s"),
)
COUNTERS = (
    *("requests", "completed", "good", "output_tokens", "with_usage", "prompt_tokens", "cached_tokens", "chunks"),
    *("coalesced_chunks", "started_in_window", "completed_in_window", "good_in_window", "tokens_in_window"),
    *("running_at_half", "running_at_end", "distinct_prompts"),
)

_MAX_CPU_SHARE = 0.85
_MAX_RUN_DELAY_SHARE = 0.1
_MAX_LAG_S = 0.05
_MAX_FAILED_SHARE = 0.01
_SATURATED_GROWTH = 1.05
_SATURATED_LATENCY = 1.3


class Verdict(NamedTuple):
    """What a level's figures are worth: "ok", "client-limited", "server-errors" or "oversaturated", and why."""

    verdict: str
    reason: str


class LevelStats:
    """What the workers have counted at one level.

    Attributes:
        counters: sums, by name.
        histograms: durations, by name.
        failed: requests that are not complete, by class.
        timeline: per second of the window: requests that were completed, output tokens, requests that failed.
        window_s: the time over which rates are counted, in seconds.
        cpu_share: of the busiest worker: CPU time per second.
        run_delay_share: the largest share of the time that a worker waited for a core; None where it is not known.
    """

    def __init__(self) -> None:
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.histograms = {name: Histogram() for name in HISTOGRAMS}
        self.failed: dict[str, int] = {}
        self.timeline: dict[int, list[int]] = {}
        self.window_s = 0.0
        self.cpu_share = 0.0
        self.run_delay_share: float | None = None

    def add(self, sample: Sample, *, start_at: float, window_s: float | None, slo: dict[str, float]) -> None:
        """Count a request that has ended; `window_s` None counts all of them into the rates."""
        counters = self.counters
        counters["requests"] += 1
        counters["chunks"] += sample.chunks
        counters["coalesced_chunks"] += sample.coalesced
        self.histograms["schedule_delay_s"].add(sample.started_at - sample.intended_at)
        ended_s = sample.ended_at - start_at
        second = self.timeline.setdefault(max(0, int(ended_s)), [0, 0, 0])
        if sample.failure is not None:
            self.failed[sample.failure] = self.failed.get(sample.failure, 0) + 1
            second[2] += 1
            return
        tokens = sample.output_tokens or 0
        second[0] += 1
        second[1] += tokens
        is_good = sample.meets(slo)
        counters["completed"] += 1
        counters["good"] += is_good
        counters["output_tokens"] += tokens
        counters["with_usage"] += sample.output_tokens is not None
        if window_s is None or ended_s <= window_s:
            counters["completed_in_window"] += 1
            counters["good_in_window"] += is_good
            counters["tokens_in_window"] += tokens
        self._add_durations(sample)
        self._add_usage(sample)

    def _add_durations(self, sample: Sample) -> None:
        waited_s = sample.started_at - sample.intended_at
        durations = {
            "ttft_s": sample.ttft_s,
            "ttft_intended_s": None if sample.ttft_s is None else sample.ttft_s + waited_s,
            "tpot_s": sample.tpot_s,
            "ntpot_s": sample.ntpot_s,
            "e2e_s": sample.e2e_s,
            "e2e_intended_s": sample.e2e_s + waited_s,
        }
        for name, value_s in durations.items():
            if value_s is not None:
                self.histograms[name].add(value_s)
        for gap_s in sample.gaps_s:
            self.histograms["inter_chunk_s"].add(gap_s)

    def _add_usage(self, sample: Sample) -> None:
        usage = None if sample.completion is None else sample.completion.usage
        if usage is None:
            return
        self.counters["prompt_tokens"] += usage.prompt_tokens or 0
        details = usage.prompt_tokens_details
        self.counters["cached_tokens"] += (details.cached_tokens or 0) if details is not None else 0

    def merge(self, other: "LevelStats") -> None:
        """Add what another worker, or another machine, has counted at the same level."""
        for name, value in other.counters.items():
            self.counters[name] += value
        for name, histogram in other.histograms.items():
            self.histograms[name].merge(histogram)
        for name, count in other.failed.items():
            self.failed[name] = self.failed.get(name, 0) + count
        for second, counts in other.timeline.items():
            ours = self.timeline.setdefault(second, [0, 0, 0])
            self.timeline[second] = [mine + theirs for mine, theirs in zip(ours, counts, strict=True)]
        self.window_s = max(self.window_s, other.window_s)
        self.cpu_share = max(self.cpu_share, other.cpu_share)
        shares = [share for share in (self.run_delay_share, other.run_delay_share) if share is not None]
        self.run_delay_share = max(shares, default=None)

    def to_dict(self) -> dict[str, object]:
        """What was counted, for `from_dict`: the raw material of every figure."""
        return {
            "counters": self.counters,
            "histograms": {name: histogram.to_dict() for name, histogram in self.histograms.items()},
            "failed": self.failed,
            "timeline": {str(second): counts for second, counts in sorted(self.timeline.items())},
            "window_s": self.window_s,
            "cpu_share": self.cpu_share,
            "run_delay_share": self.run_delay_share,
        }

    @classmethod
    def from_dict(cls, value: dict[str, object]) -> "LevelStats":
        """What `to_dict` wrote.

        Raises:
            ValueError, KeyError, TypeError: it did not write this.
        """
        found = cls()
        found.counters |= cast("dict[str, int]", value["counters"])
        for name, histogram in cast("dict[str, dict[str, object]]", value["histograms"]).items():
            found.histograms[name] = Histogram.from_dict(histogram)
        found.failed = dict(cast("dict[str, int]", value["failed"]))
        found.timeline = {int(key): item for key, item in cast("dict[str, list[int]]", value["timeline"]).items()}
        found.window_s = float(cast("float", value["window_s"]))
        found.cpu_share = float(cast("float", value["cpu_share"]))
        found.run_delay_share = cast("float | None", value["run_delay_share"])
        return found


def figures(level: Level, stats: LevelStats, before: "dict[str, object] | None" = None) -> dict[str, object]:
    """The figures of a level, as the JSON file has them.

    Args:
        level: the load.
        stats: what was counted.
        before: the figures of the level before, to see whether more load still brings more.
    """
    counters, window_s = stats.counters, stats.window_s or 1.0
    has_usage = counters["completed"] > 0 and counters["with_usage"] == counters["completed"]
    found: dict[str, object] = {
        "concurrency": level.concurrency,
        "rate": level.rate,
        "requests": counters["requests"],
        "completed": counters["completed"],
        "failed": dict(sorted(stats.failed.items())),
        **{name: histogram.summary() for name, histogram in stats.histograms.items()},
        "output_tokens_per_s": counters["tokens_in_window"] / window_s if has_usage else None,
        "requests_per_s": counters["completed_in_window"] / window_s,
        "achieved_rate": counters["started_in_window"] / window_s,
        "goodput_per_s": counters["good_in_window"] / window_s,
        "coalesced_share": counters["coalesced_chunks"] / max(1, counters["chunks"]),
        "client_cpu_share": stats.cpu_share,
        "run_delay_share": stats.run_delay_share,
        "window_s": stats.window_s,
        "distinct_prompts": counters["distinct_prompts"],
        "prompt_tokens": counters["prompt_tokens"] if has_usage else None,
        "output_tokens": counters["output_tokens"] if has_usage else None,
        "cached_tokens": counters["cached_tokens"] if has_usage else None,
    }
    verdict = _verdict(level, stats, found, before)
    return found | {"verdict": verdict.verdict, "reason": verdict.reason, "counted": stats.to_dict()}


def _verdict(level: Level, stats: LevelStats, found: dict[str, object], before: "dict[str, object] | None") -> Verdict:
    limit = _client_limit(stats)
    if limit:
        return Verdict("client-limited", f"{limit}: the figures are the client's, not the server's")
    failed = sum(stats.failed.values())
    if failed > _MAX_FAILED_SHARE * stats.counters["requests"]:
        share = failed / stats.counters["requests"]
        worst = max(stats.failed, key=lambda name: stats.failed[name])
        return Verdict("server-errors", f"{share:.1%} of the requests failed, mostly {worst}")
    if level.rate is not None:
        half, end = stats.counters["running_at_half"], stats.counters["running_at_end"]
        if end > 1.5 * half + 5:
            return Verdict("oversaturated", f"requests pile up: {half} were running at half time, {end} at the end")
    elif before is not None and (words := _no_longer_grows(found, before)):
        return Verdict("oversaturated", words)
    return Verdict("ok", "")


def _client_limit(stats: LevelStats) -> str:
    if stats.cpu_share > _MAX_CPU_SHARE:
        return f"a worker used {stats.cpu_share:.0%} of a core; try more --workers"
    if stats.run_delay_share is not None and stats.run_delay_share > _MAX_RUN_DELAY_SHARE:
        return f"a worker waited for a core {stats.run_delay_share:.0%} of the time"
    for name, label in (("loop_lag_s", "the event loop"), ("schedule_delay_s", "the schedule")):
        late_s = stats.histograms[name].percentile(99)
        if late_s is not None and late_s > _MAX_LAG_S and stats.histograms[name].count >= 100:
            return f"{label} was late by {late_s * 1000:.0f} ms or more in 1 % of the cases"
    return ""


def _no_longer_grows(found: dict[str, object], before: dict[str, object]) -> str:
    name = "output_tokens_per_s" if found["output_tokens_per_s"] is not None else "requests_per_s"
    now, then = found[name], before[name]
    median_s = cast("dict[str, float | None]", found["e2e_s"])["p50"]
    median_before_s = cast("dict[str, float | None]", before["e2e_s"])["p50"]
    if not isinstance(now, float) or not isinstance(then, float) or median_s is None or median_before_s is None:
        return ""
    if now >= then * _SATURATED_GROWTH or median_s < median_before_s * _SATURATED_LATENCY:
        return ""
    return (
        f"{now / then - 1:+.0%} throughput for {median_s / median_before_s:.1f} times the latency of the level before"
    )
