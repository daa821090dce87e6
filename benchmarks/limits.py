"""What the system allows a process, and what it has used.

`resource` is imported where it is needed: Windows has none, and the rest of the benchmarks can be imported there.
"""

import sys
from pathlib import Path

OPEN_FILES = 4096
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def allow_open_files() -> None:
    """Raise the limit of open files to what a thousand streams and all else need, as far as the system lets."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def forget_peak() -> None:
    """Start the peak anew from what is resident now; on Linux only."""
    if _CLEAR.exists():
        _CLEAR.write_text("5")


def peak_bytes() -> int:
    """The most memory that this process has had resident so far."""
    if _STATUS.exists():  # Linux counts the parent's peak into ru_maxrss
        return int(_STATUS.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
