"""Two hundred browsers on one process: none is forgotten, nothing is left, and a slow one costs no memory."""

import asyncio
import json
import random
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from firsttoken.testing import ScriptedServer, repeat
from tests.support.web import Kind
from tests.support.web_app import serving

pytestmark = pytest.mark.slow
BROWSERS = 200
ROUNDS = 3
GROWTH_BYTES = 8 * 1024 * 1024


async def visit(origin: str, path: str, stay_s: float, *, reads: bool = True) -> int:
    """Ask, read (or not) for a while, and leave; how much was read."""
    host, _, port = origin.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 2\r\n\r\n{{}}".encode())
    count = 0
    try:
        async with asyncio.timeout(stay_s):
            while reads and (data := await reader.read(65536)):
                count += len(data)
            await asyncio.Event().wait()
    except TimeoutError:
        pass
    finally:
        writer.close()
    return count


def settled(origin: str) -> dict[str, int]:
    """The figures once the last reader has ended, for which it may take a moment."""
    seen = stats(origin)
    for _ in range(100):
        if seen["tasks"] == seen["threads"] == 0:
            break
        seen = stats(origin)
    return seen


def stats(origin: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{origin}/stats", timeout=10) as response:
        return json.loads(response.read())


@pytest.mark.parametrize("behind", ["uvicorn", "hypercorn"])
def test_each_is_stopped_when_its_browser_leaves_and_nothing_leaks(tmp_path: Path, kind: Kind, behind: str) -> None:
    dice = random.Random(7)
    with ScriptedServer([repeat("word ", gap_s=0.05)]) as server, serving(behind, tmp_path) as origin:

        async def round_of_visits() -> float:
            """How long the last of the models went on after the last of the browsers had left, in seconds."""
            path = f"/api/{kind}/{server.port}"
            before = server.journal.connections_closed_by_client
            counts = await asyncio.gather(*(visit(origin, path, dice.uniform(2, 6)) for _ in range(BROWSERS)))
            assert all(counts)
            loop = asyncio.get_running_loop()
            left_at = loop.time()
            assert await asyncio.to_thread(server.journal.wait_for_disconnect, before + BROWSERS)
            return loop.time() - left_at

        after: list[dict[str, int]] = []
        late_s: list[float] = []
        for _ in range(ROUNDS):
            late_s.append(asyncio.run(round_of_visits()))
            after.append(settled(origin))
    print(f"\n{behind}, {kind}: last stopped after {late_s} s; {after}")
    assert max(late_s) < 0.5
    assert [(it["tasks"], it["threads"]) for it in after] == [(0, 0)] * ROUNDS
    assert after[-1]["files"] <= after[0]["files"]
    assert after[-1]["memory"] - after[0]["memory"] < GROWTH_BYTES


def test_browsers_that_do_not_read_cost_little(tmp_path: Path, kind: Kind) -> None:
    """Each model could send without end: it is held up. The back end holds the answer so far, as each stream does."""
    browsers = 50
    with ScriptedServer([repeat("x" * 10_000)]) as server, serving("uvicorn", tmp_path) as origin:
        path = f"/api/{kind}/{server.port}"

        async def visits(stay_s: float) -> dict[str, Any]:
            visiting = [asyncio.create_task(visit(origin, path, stay_s, reads=False)) for _ in range(browsers)]
            await asyncio.sleep(stay_s * 0.8)
            seen = await asyncio.to_thread(stats, origin)
            await asyncio.gather(*visiting)
            return seen

        idle = stats(origin)
        late = asyncio.run(visits(10))
        sent = [entry.sent_bytes for entry in server.journal.entries]
    print(f"\n{kind}: {(late['memory'] - idle['memory']) / browsers:,.0f} bytes of memory for each; {max(sent):,} sent")
    assert max(sent) < 16_000_000  # what both kernels' buffers hold
    assert (late["memory"] - idle["memory"]) / browsers < max(sent)
