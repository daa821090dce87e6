"""Starts clients, and takes what they say."""

import json
import subprocess
import sys
from typing import NamedTuple

from tests.support.server import Server

TIMEOUT_S = 110.0


class ResourceUsage(NamedTuple):
    """What a call has used, and come to.

    Attributes:
        grown_mib: the most memory above that at its start, in MiB.
        peak_mib: the most memory of the process, in MiB.
        cpu_s: in seconds.
        chunks: how many were yielded.
        failure: its class and text, None where there was none.
    """

    grown_mib: float
    peak_mib: float
    cpu_s: float
    chunks: int
    failure: str | None


def measure(
    server: Server, shell: str, *, style: str = "stream", calls: int = 1, most_chunks: int = 0
) -> list[ResourceUsage]:
    """What calls use, one after the other, in a fresh process; each stops at so many chunks, if it gets there."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.limits.reader", shell, style, server.base_url, str(calls), str(most_chunks)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=TIMEOUT_S,
    )
    return [ResourceUsage(**json.loads(line)) for line in ended.stdout.splitlines()]
