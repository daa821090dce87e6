"""Which CPU a process runs on: the client on one, the server on another.

Left to the scheduler the two share a CPU in one run and not in the next. Where they share it and the server waits
busily, it never idles and its caches stay warm: a chunk that comes alone then costs half of what it costs a client
whose server is another machine, and the figures hardly vary. So the case `single-chunk` is measured both ways.
"""

import os
import sys

CLIENT = -1
SERVER = 0


def pin_cpu(position: int) -> None:
    """Keep this process on one of the CPUs it may use, by its position among them; on Linux only."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[position]})
