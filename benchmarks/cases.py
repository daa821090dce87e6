"""The table of cases, in the order in which they run: a case is a function from a scale to rows."""

from collections.abc import Callable

from benchmarks import (
    case_async,
    case_blocking,
    case_core,
    case_guard,
    case_providers,
    case_size,
    case_start,
    case_sync,
)
from benchmarks.report import Row, Scale

CASES: dict[str, Callable[[Scale], list[Row]]] = {
    "core": case_core.run,
    "bulk": case_sync.bulk,
    "single-chunk": case_sync.single_chunk,
    "opening": case_sync.opening,
    "blocking": case_blocking.run,
    "observer": case_sync.observer,
    "guard": case_guard.run,
    "import": case_start.imports,
    "wire": case_start.wire,
    "wire-https": case_start.wire_https,
    "million": case_size.million,
    "event": case_size.large_event,
    "providers": case_providers.run,
    "async-bulk": case_async.bulk,
    "async-many": case_async.many,
    "async-thousand": case_async.thousand,
}
