"""A client in a process of its own that says what each of its calls took: `python -m tests.limits.reader …`."""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from firsttoken import STOP, AsyncClient, ChatCompletionChunk, Client
from firsttoken.errors import ChatCompletionError
from tests.support.request import KEY, REQUEST

MIB = 1024 * 1024


def main(shell: str, style: str, base_url: str, calls: str, most_chunks: str) -> None:
    run = {"sync": _ask, "async": lambda *arguments: asyncio.run(_ask_async(*arguments))}[shell]  # type: ignore[arg-type,misc]
    for _ in range(int(calls)):
        print(json.dumps(_measured(lambda: run(style, base_url, int(most_chunks)))), flush=True)


def _measured(run: Callable[[], Any]) -> dict[str, Any]:
    """What a call took: the most memory above that at its start, in MiB, and CPU time, in seconds."""
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak to what is used now: proc(5)
    before_mib = _memory_mib("VmRSS")
    started_s = time.process_time()
    chunks, failure = run()
    cpu_s = time.process_time() - started_s
    peak_mib = _memory_mib("VmHWM")
    return {
        "grown_mib": peak_mib - before_mib,
        "peak_mib": peak_mib,
        "cpu_s": cpu_s,
        "chunks": chunks,
        "failure": failure and f"{type(failure).__name__}: {failure}",
    }


def _memory_mib(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


class _Count:
    """A callback that counts, and stops at so many chunks."""

    def __init__(self, most: int) -> None:
        self.chunks = 0
        self._most = most

    def __call__(self, chunk: ChatCompletionChunk) -> Any:
        self.chunks += 1
        return STOP if self.chunks == self._most else None


def _ask(style: str, base_url: str, most_chunks: int) -> tuple[int, ChatCompletionError | None]:
    count = _Count(most_chunks)
    with Client(api_key=KEY, base_url=base_url, max_retries=0) as client:
        try:
            if style == "stream":
                client.chat_completion_stream(REQUEST, count)
            else:
                client.chat_completion(REQUEST)
        except ChatCompletionError as failure:
            return count.chunks, failure
    return count.chunks, None


async def _ask_async(style: str, base_url: str, most_chunks: int) -> tuple[int, ChatCompletionError | None]:
    count = _Count(most_chunks)
    async with AsyncClient(api_key=KEY, base_url=base_url, max_retries=0) as client:
        try:
            if style == "stream":
                await client.chat_completion_stream(REQUEST, count)
            else:
                await client.chat_completion(REQUEST)
        except ChatCompletionError as failure:
            return count.chunks, failure
    return count.chunks, None


if __name__ == "__main__":
    main(*sys.argv[1:])
