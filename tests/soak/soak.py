"""The soak itself: a server in a process of its own, callers of both kinds at once, and what is left afterwards."""

import asyncio
import ctypes
import gc
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.callers import run_tasks, run_threads
from tests.soak.scenarios import Scenario, scenarios
from tests.support.processes import open_sockets

STREAMS = 36_000
"""Ten a second for an hour."""

THREADS, TASKS = 8, 48
SAMPLES = 10


@dataclass
class Findings:
    """What a soak has shown.

    Attributes:
        kinds: how many streams of each kind there were.
        problems: what was wrong, with which stream.
        memory_kib: of this process, after each tenth of the streams.
        objects: how many blocks of memory Python's own allocator has given out, likewise.
        sockets, threads, tasks: those left over.
        duration_s: how long it took.
    """

    kinds: Counter[str] = field(default_factory=Counter[str])
    problems: list[str] = field(default_factory=list[str])
    memory_kib: list[int] = field(default_factory=list[int])
    objects: list[int] = field(default_factory=list[int])
    sockets: int = 0
    threads: int = 0
    tasks: int = 0
    duration_s: float = 0.0

    @property
    def growth_kib(self) -> int:
        """How much memory grew, once pools and caches had their size: after the third tenth."""
        return self.memory_kib[-1] - self.memory_kib[2]


class WorkQueue:
    """Hands jobs out, takes outcomes in, and measures in between."""

    def __init__(self, work: list[Scenario], findings: Findings) -> None:
        self._lock = threading.Lock()
        self._left: Iterator[Scenario] = iter(work)
        self._count = len(work)
        self._done = 0
        self._findings = findings

    def take(self) -> Scenario | None:
        with self._lock:
            return next(self._left, None)

    def report(self, scenario: Scenario, problem: str | None) -> None:
        with self._lock:
            self._done += 1
            self._findings.kinds["fault" if scenario.fault is not None else scenario.kind] += 1
            if problem is not None:
                self._findings.problems.append(f"stream {scenario.number} ({scenario.kind}): {problem}")
            if self._done * SAMPLES // self._count > len(self._findings.memory_kib):
                self._findings.memory_kib.append(resident_kib())
                self._findings.objects.append(sys.getallocatedblocks())
                self._say()

    def _say(self) -> None:
        memory = self._findings.memory_kib[-1] // 1024
        wrong = len(self._findings.problems)
        print(f"{self._done} of {self._count} streams, {wrong} problems, {memory} MiB", file=sys.stderr)


def soak(streams: int) -> Findings:
    """Work through so many streams."""
    findings = Findings()
    desk = WorkQueue(scenarios(streams), findings)
    sockets, threads, began_s = open_sockets(), threading.active_count(), time.monotonic()
    with server() as base_url:
        others = threading.Thread(target=run_threads, args=(THREADS, base_url, desk.take, desk.report))
        others.start()
        findings.tasks = asyncio.run(run_tasks(TASKS, base_url, desk.take, desk.report))
        others.join()
    gc.collect()
    findings.sockets = open_sockets() - sockets
    findings.threads = threading.active_count() - threads
    findings.duration_s = time.monotonic() - began_s
    return findings


@contextmanager
def server() -> Generator[str]:
    """The scripted server, in a process of its own: what it keeps is not the clients'. Gives its base URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.soak.server"],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()  # its sign to leave


def resident_kib() -> int:
    """How much memory this process has in use; what the allocator keeps for each thread's next need is given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024
