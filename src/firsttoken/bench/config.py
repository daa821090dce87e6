"""What to measure."""

import msgspec

from firsttoken.errors import ConfigurationError

METRICS = ("ttft", "tpot", "ntpot", "e2e", "inter_chunk")
"""What an objective of `--slo` may bound."""


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """One load: so many requests at once, or so many a second.

    Attributes:
        concurrency: how many requests run at once (closed loop); None in an open loop.
        rate: how many requests start in a second (open loop); None in a closed loop.
    """

    concurrency: int | None = None
    rate: float | None = None

    def __str__(self) -> str:
        return f"c={self.concurrency}" if self.rate is None else f"{self.rate:g}/s"


class Config(msgspec.Struct, kw_only=True):
    """A measurement.

    Attributes:
        model: the model's name for the requests.
        base_url: the server; None leaves it to the client, which reads the environment.
        levels: the loads, one after the other.
        arrival: of an open loop: "poisson" or "constant".
        duration_s: how long each level starts requests, in seconds; not used where `requests` is set.
        requests: how many requests each level sends; None: as many as start in `duration_s`.
        warmup: requests before each level that are not counted.
        data: what is asked; see `firsttoken.bench.prompts`.
        slo: the longest duration, in seconds, that still is good, by metric.
        workers: processes, each with one event loop.
        seed: of prompts and arrivals.
        salt: whether each prompt is made unique, so that no cache of prompts answers.
        max_tokens_field: the name that the server knows for the limit of tokens.
        start_at: Unix time in seconds at which the first level starts, for several machines; None: at once.
        proxy: "" for none; None leaves it to the environment.
        timeout_s: when a request is given up, in seconds.
    """

    model: str
    base_url: str | None = None
    levels: list[Level] = []
    arrival: str = "poisson"
    duration_s: float = 30.0
    requests: int | None = None
    warmup: int | None = None
    data: str = "synthetic:in=128,out=64"
    slo: dict[str, float] = {}
    workers: int = 1
    seed: int = 0
    salt: bool = True
    max_tokens_field: str = "max_tokens"
    start_at: float | None = None
    proxy: str | None = None
    timeout_s: float = 600.0


def parse_levels(concurrency: str | None, rate: str | None) -> list[Level]:
    """The levels of `-c 1,8,64` or `--rate 5,10`; without either, one request at a time.

    Raises:
        ConfigurationError: both are given, or one is not a list of positive numbers.
    """
    if concurrency and rate:
        raise ConfigurationError("-c and --rate are mutually exclusive", hint="one run is a closed or an open loop")
    if rate:
        return [Level(rate=value) for value in _numbers(rate, "--rate", float)]
    return [Level(concurrency=int(value)) for value in _numbers(concurrency or "1", "-c", int)]


def parse_slo(text: str) -> dict[str, float]:
    """The objectives of `--slo ttft=0.5,tpot=0.05`, in seconds.

    Raises:
        ConfigurationError: a name or a number is invalid.
    """
    found: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        if name not in METRICS:
            raise ConfigurationError(f"--slo: unknown metric {name!r}", hint=f"one of {', '.join(METRICS)}")
        (found[name],) = _numbers(value, f"--slo {name}", float)
    return found


def _numbers(text: str, option: str, kind: type[int] | type[float]) -> list[float]:
    try:
        values = [float(kind(part)) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(0 < value < 1e9 for value in values):
        raise ConfigurationError(f"{option} must be positive numbers separated by commas, not {text!r}")
    return values
