"""Measure a server that speaks chat completions: what its users would wait, at which load.

::

    config     what to measure, from the options of `firsttoken bench`
    prompts    what is asked: a file, ShareGPT's conversations, or made-up text; salted, so that no cache answers
    arrivals   when each request is due: closed loop, constant or Poisson, on one absolute schedule
    worker     a process with one event loop that sends its share of the requests
    sample     one request: its stamps, taken when bytes are read
    histogram  many durations in little memory; merging is exact
    level      the figures of a level from its samples, and the verdict
    runner     levels and worker processes, one after the other
    table      the figures in a terminal
    html       the figures as one page without any outside reference

`docs/reference/bench.md` defines each figure by its formula.
"""

from firsttoken.bench.config import Config
from firsttoken.bench.html import write_html
from firsttoken.bench.runner import merge, run

__all__ = ["Config", "merge", "run", "write_html"]
