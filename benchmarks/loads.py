"""The table of loads, in the order in which they run: a new one is a function from a scale to rows, and a line here."""

from collections.abc import Callable

from benchmarks import load_async, load_core, load_flavours, load_size, load_start, load_sync
from benchmarks.report import Row, Scale

LOADS: dict[str, Callable[[Scale], list[Row]]] = {
    "core": load_core.run,
    "bulk": load_sync.bulk,
    "lone": load_sync.lone,
    "import": load_start.imports,
    "wire": load_start.wire,
    "million": load_size.million,
    "event": load_size.large_event,
    "flavours": load_flavours.run,
    "async-bulk": load_async.bulk,
    "async-many": load_async.many,
    "async-thousand": load_async.thousand,
}
