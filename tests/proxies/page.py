"""docs/reference/proxies.md, from what is seen through each proxy: `python -m tests.proxies.page`, some minutes."""

import statistics
import tempfile
from pathlib import Path

from firsttoken.testing import FAULTS
from tests.proxies.observed import Observed, observe
from tests.proxies.programs import PROXIES, Proxy

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "proxies.md"

_INTRODUCTION = """# Behind reverse proxies

What became of [{count} faults](faults.md) behind reverse proxies, all on one machine, and how late a chunk was: from
the moment at which the server sent it to the moment at which the caller had it. `just proxies` writes this page.

- *Complete*: of {good} streams that are complete, how many arrived as complete. The proxy refuses the others.
- *Errors*: of {broken} streams that break, how many raised an error, as each should.
- *Mended*: how many arrived as complete, since all of the answer had come, finish reason included, and the proxy ended
  properly what the server had not. None was half an answer.
"""
_HEAD = (
    "| proxy | version | complete | errors | mended | a chunk is late by (median, most) |\n"
    "| --- | --- | --- | --- | --- | --- |\n"
)


def row(proxy: Proxy, seen: Observed) -> str:
    """The row of a proxy."""
    delay = "held until more text comes"
    if seen.delays_ms:
        delay = f"{statistics.median(seen.delays_ms):.1f} ms, {max(seen.delays_ms):.0f} ms"
    mended = str(len(seen.mended)) + "".join(f", `{name}`" for name in seen.mended)
    return f"| {proxy.name} | {proxy.version_text()} | {seen.complete} | {seen.failed} | {mended} | {delay} |"


def _observed(proxy: Proxy) -> str:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        line = row(proxy, observe(proxy, Path(folder)))
    print(line, flush=True)
    return line


def introduction() -> str:
    """What stands above the table."""
    good = sum(fault.is_complete for fault in FAULTS)
    return _INTRODUCTION.format(count=len(FAULTS), good=good, broken=len(FAULTS) - good)


if __name__ == "__main__":
    PAGE.write_text(f"{introduction()}\n{_HEAD}" + "\n".join(map(_observed, PROXIES)) + "\n", encoding="utf-8")
