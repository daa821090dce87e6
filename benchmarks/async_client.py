"""A process that reads streams one after another with asyncio: the twin of `client`, called in the same way.

KIND is a name of `async_readers.READERS`.
"""

import asyncio
import json
import sys
import time

from benchmarks.async_readers import READERS, Open, ReadStats
from benchmarks.client import WARM_UP
from benchmarks.cpus import CLIENT, pin_cpu
from benchmarks.limits import peak_bytes


async def read(open_stream: Open, model: str) -> ReadStats:
    """Open a stream and read it to its end."""
    return await (await open_stream(model, 0.0))()


async def measure(kind: str, port: int, model: str, streams: int) -> dict[str, float]:
    """Read streams; what the cheapest cost, and what the last one brought."""
    async with READERS[kind](port) as open_stream:
        stats = await read(open_stream, WARM_UP)
        peak_before = peak_bytes()
        cpu_s: list[float] = []
        for _ in range(streams):
            started_at = time.process_time()
            stats = await read(open_stream, model)
            cpu_s.append(time.process_time() - started_at)
        return {
            "cpu_s": min(cpu_s),
            "chunks": stats.chunks,
            "characters": stats.characters,
            "grown_bytes": peak_bytes() - peak_before,
        }


def main() -> None:
    kind, port, model, streams = sys.argv[1:]
    pin_cpu(CLIENT)
    print(json.dumps(asyncio.run(measure(kind, int(port), model, int(streams)))))


if __name__ == "__main__":
    main()
