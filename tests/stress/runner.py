"""Runs a scenario, and says what was wrong with it."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
MAX_GROWTH_KIB = 16 * 1024
FULL = {"close-thread": 20_000, "close-signal": 20_000, "raise-signal": 5_000, "cancel-asyncio": 20_000} | {
    "cancel-uvloop": 20_000
}
"""The scenarios, and how many calls each makes in full."""

SCHEMES = ("plain", "tls")


class Result(NamedTuple):
    """What a scenario has come to.

    Attributes:
        ends: how many calls ended in which way.
        problems: what was wrong; empty where nothing was.
    """

    ends: dict[str, int]
    problems: list[str]


@contextmanager
def server() -> Generator[dict[str, str]]:
    """The server, in a process of its own; gives its base URLs and its certificate."""
    with tempfile.TemporaryDirectory() as folder:
        certificate = str(Path(folder, "authority.pem"))
        with subprocess.Popen(
            [sys.executable, "-m", "tests.stress.server", certificate],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # asyncio's words on clients that leave in the middle of TLS
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                yield json.loads(process.stdout.readline()) | {"certificate": certificate}
            finally:
                process.stdin.close()


def run(name: str, count: int, scheme: str, addresses: dict[str, str]) -> Result:
    """Run a scenario in a process of its own."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", "tests.stress.worker"]
    done = subprocess.run(
        [*command, name, str(count), addresses[scheme], addresses["certificate"]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        return Result({}, [f"status {done.returncode}: {done.stderr[-4000:]}"])
    found: dict[str, Any] = json.loads(done.stdout)
    problems = found["problems"][:20]
    problems += [f"on stderr: {done.stderr[:4000]}"] if done.stderr else []
    problems += [f"left over: {number} {kind}" for kind, number in found["left"].items() if number]
    problems += [f"tasks left: {found['ends']['tasks left']}"] if found["ends"].pop("tasks left", 0) else []
    if found["grown_kib"] > MAX_GROWTH_KIB:
        problems.append(f"memory has grown by {found['grown_kib']} KiB")
    return Result(found["ends"], problems)
