"""openai over the guard beside openai over its stock transport: what the guarantee costs whoever keeps that client."""

from benchmarks.processes import read_streams, stream_server
from benchmarks.report import Row, Scale, at_most, best, microseconds

LIMIT = 1.0
STOCK, GUARDED = "openai", "openai+guard"
STYLES = {"sync": "client", "asyncio": "async_client"}


def run(scale: Scale) -> list[Row]:
    """Sync and asyncio, in bulk and each chunk alone; with --quick in bulk alone."""
    loads = {"bulk": "bulk:10000", "each chunk alone": "single-chunk:1000"}
    if scale.quick:
        loads = {"bulk": "bulk:2000"}
    return [
        row
        for style, module in STYLES.items()
        for load, model in loads.items()
        for row in _beside_stock(scale, f"{style}, {load}", model, module)
    ]


def _beside_stock(scale: Scale, what: str, model: str, module: str) -> list[Row]:
    with stream_server() as port:

        def cost_s(kind: str) -> float:
            return read_streams(kind, port, model, scale.pick(4, 1), module=module).cpu_per_chunk_s

        figures = best(scale.pick(5, 1), {kind: lambda kind=kind: cost_s(kind) for kind in (STOCK, GUARDED)})
    stock_s, guarded_s = figures[STOCK], figures[GUARDED]
    return [
        Row(f"{what}, stock transport", microseconds(stock_s), 1.0),
        at_most(f"{what}, guard", microseconds(guarded_s), guarded_s / stock_s, LIMIT),
    ]
