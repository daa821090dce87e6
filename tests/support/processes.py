"""Other processes, as the tests see them: scripts to run, and ends to wait for."""

import os
import select
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pytest

TIMEOUT_S = 60.0
DESCRIPTORS = Path("/proc/self/fd")
"""Where Linux lists what a process has open."""


def open_sockets() -> int:
    """How many sockets this process has open."""
    count = 0
    for descriptor in DESCRIPTORS.iterdir():
        try:
            count += str(descriptor.readlink()).startswith("socket:")
        except OSError:
            pass  # closed this moment
    return count


def run_python(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs a script in a fresh interpreter, warnings on, and waits for its end."""
    return subprocess.run(
        [sys.executable, "-W", "default", "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
        stdin=subprocess.DEVNULL,
    )


def start_python(script: str, *arguments: str, env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
    """Starts a script in a fresh interpreter, with pipes to its input and output."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )


class Watch:
    """A hold on any process of this system, to wait for its end, whoever started it."""

    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def ends_within(self, timeout_s: float) -> bool:
        return bool(select.select([self._fd], [], [], timeout_s)[0])


def has_exited(pid: int) -> bool:
    """Whether a process has gone, and has been waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def children(pid: int) -> list[int]:
    """The processes that a process has started, by whichever of its threads."""
    if sys.platform != "linux":
        pytest.skip("which processes one has started is read from /proc")
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
