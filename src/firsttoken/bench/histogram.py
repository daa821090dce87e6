"""Many durations in little memory, merged without loss.

A duration goes into one of the buckets that grow by 0.1 %, so that a percentile is off by at most half of that; count,
sum and maximum are exact. Merging adds the counts, so that the histogram of two workers is the one that a single worker
would have made of all their samples.
"""

import math
from collections.abc import Iterable, Mapping

_GROWTH = math.log(1.001)
_SMALLEST_S = 1e-7
_ENOUGH = {50: 2, 90: 10, 99: 100}
"""Fewer samples than these give no such percentile: it would be the maximum by another name."""


class Histogram:
    """Durations in seconds, counted in buckets.

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
