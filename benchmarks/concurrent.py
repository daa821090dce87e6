"""A process that reads many streams at once: `python -m benchmarks.concurrent KIND PORT STREAMS CHUNKS GAP`.

It prints a `ConcurrentReading` as JSON.

KIND is a name of `async_readers.READERS`, PORT that of a `concurrent_server`. All streams are opened before the first
chunk is sent, so that the cost of opening, that of the chunks, and the memory of an open stream are figures apart.
"""

import asyncio
import json
import socket
import sys
import time

import msgspec

from benchmarks.async_readers import READERS, Open, Read
from benchmarks.concurrent_server import GO
from benchmarks.cpus import CLIENT, pin_cpu
from benchmarks.limits import allow_open_files, forget_peak, peak_bytes

OPENED_AT_ONCE = 50
_WARM_UP_CHUNKS = 20
_WARM_UP_GAP_S = 0.005


class ConcurrentReading(msgspec.Struct):
    """What reading many streams cost.

    Attributes:
        streams: their number.
        chunks: of all streams.
        opening_cpu_s: from the first request until the last head was there.
        cpu_s: of the chunks, until the last stream had ended.
        wall_s: the same by the clock on the wall.
        latest_s: how long after its due time the latest of all chunks was yielded.
        grown_bytes: by how much the peak of resident memory grew, from before the opening to the end.
    """

    streams: int
    chunks: int
    opening_cpu_s: float
    cpu_s: float
    wall_s: float
    latest_s: float
    grown_bytes: int

    @property
    def cpu_per_chunk_s(self) -> float:
        """What a chunk cost."""
        return self.cpu_s / self.chunks


def start_sending(port: int) -> None:
    """Have the server send."""
    body = json.dumps({"model": GO}).encode()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


async def read_concurrent(open_stream: Open, port: int, streams: int, chunks: int, gap_s: float) -> ConcurrentReading:
    """Open streams, some at a time, then read them all at once."""
    peak_before = peak_bytes()
    opening_started_at = time.process_time()
    reads: list[Read] = []
    while len(reads) < streams:
        batch = min(OPENED_AT_ONCE, streams - len(reads))
        reads += await asyncio.gather(*(open_stream(f"concurrent:{chunks}:{gap_s}", gap_s) for _ in range(batch)))
    opened_at = time.process_time()
    start_sending(port)
    started_at, wall_started_at = time.process_time(), time.monotonic()
    all_stats = await asyncio.gather(*(read() for read in reads))
    ended_at, wall_ended_at = time.process_time(), time.monotonic()
    if any(stats.chunks != chunks for stats in all_stats):
        raise RuntimeError(f"a stream gave {min(stats.chunks for stats in all_stats)} chunks of {chunks}")
    return ConcurrentReading(
        streams=streams,
        chunks=streams * chunks,
        opening_cpu_s=opened_at - opening_started_at,
        cpu_s=ended_at - started_at,
        wall_s=wall_ended_at - wall_started_at,
        latest_s=max(stats.latest_s for stats in all_stats),
        grown_bytes=peak_bytes() - peak_before,
    )


async def measure(kind: str, port: int, streams: int, chunks: int, gap_s: float) -> ConcurrentReading:
    """Read one stream to warm up, then those to be measured."""
    async with READERS[kind](port) as open_stream:
        await read_concurrent(open_stream, port, 1, _WARM_UP_CHUNKS, _WARM_UP_GAP_S)
        forget_peak()
        return await read_concurrent(open_stream, port, streams, chunks, gap_s)


def main() -> None:
    kind, port, streams, chunks, gap_s = sys.argv[1:]
    pin_cpu(CLIENT)
    allow_open_files()
    print(msgspec.json.encode(asyncio.run(measure(kind, int(port), int(streams), int(chunks), float(gap_s)))).decode())


if __name__ == "__main__":
    main()
