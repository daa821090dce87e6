"""Measure a server that speaks chat completions: what its users would wait, at which load.

::

    config     what to measure, from the options of `firsttoken bench`
    prompts    what is asked: a file, ShareGPT's conversations, or made-up text; salted, so that no cache answers
    worker     a process with one event loop that sends its share of the requests, each when it is due
    sample     one request: its stamps, taken when bytes are read
    level      the figures of a level from its samples, in histograms that merge exactly, and the verdict
    runner     levels and worker processes, one after the other
    report     the figures in a terminal, and as one page without any outside reference

`docs/reference/bench.md` defines each figure by its formula.
"""

from firsttoken.bench.config import Config
from firsttoken.bench.report import write_html
from firsttoken.bench.runner import merge, run

__all__ = ["Config", "merge", "run", "write_html"]
