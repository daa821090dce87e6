"""What one input may cost: CPU time and memory, which a fuzzer does not look at by itself."""

import resource
import sys
import time
from collections.abc import Callable

MAX_CPU_S = 3.0
"""For at most 16 KiB, each decoded some dozen times by code that the fuzzer slows down; a cost for each pair of bytes
or events takes longer."""

MAX_MEMORY_MIB = 64

REPEATS = 64
_REPEATED_FROM = 0xF0


class BudgetError(AssertionError):
    """An input has cost too much."""


def within_budget(run: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """A harness that fails where an input costs too much; some inputs are run once more, repeated.

    Args:
        run: takes the fuzzer's bytes, of which the first two steer.
    """

    def measured(data: bytes) -> None:
        began_s, before_kib = time.process_time(), _peak_kib()
        run(data)
        if data[:1] and data[0] >= _REPEATED_FROM:
            run(data[:2] + data[2:] * REPEATS)
        cpu_s = time.process_time() - began_s
        grown_mib = (_peak_kib() - before_kib) // 1024
        if cpu_s > MAX_CPU_S or grown_mib > MAX_MEMORY_MIB:
            raise BudgetError(f"an input of {len(data)} bytes took {cpu_s:.1f} s and {grown_mib} MiB")

    return measured


def _peak_kib() -> int:
    """The most memory that this process has had: it grows only where an input needs more than any before."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak
