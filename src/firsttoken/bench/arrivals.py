"""When each request of an open loop is due: one absolute schedule for all workers, without drift."""

import random


def arrivals(rate: float, count: int, arrival: str, seed: int) -> list[float]:
    """The instants at which requests are due, in seconds from the start of the level.

    "poisson": a Poisson process of exactly `count` arrivals in `count / rate` seconds: given their number, its arrivals
    are uniform order statistics (Ross, Stochastic Processes, theorem 2.3.1). So the rate is the requested one, and the
    gaps are those of random users. "constant": equal gaps.
    """
    if arrival == "constant":
        return [position / rate for position in range(count)]
    random_of = random.Random(f"arrivals {seed}")  # noqa: S311 - it spreads requests, it guards nothing
    return sorted(random_of.uniform(0, count / rate) for _ in range(count))
