"""The figures in a terminal: a row for each level, as soon as it has ended."""

from typing import Any

_COLUMNS = (
    ("load", 8),
    ("requests", 8),
    ("failed", 7),
    ("req/s", 8),
    ("tok/s", 9),
    ("ttft p50", 9),
    ("p90", 8),
    ("p99", 8),
    ("tpot p50", 9),
    ("p99", 8),
    ("e2e p50", 9),
    ("p99", 9),
    ("verdict", 0),
)


def header(*, goodput: bool = False) -> str:
    """The line above the rows; durations are in seconds, those after `e2e` from the intended start."""
    return _line([name for name, _ in _columns(goodput)], goodput)


def row(level: dict[str, Any], *, goodput: bool = False) -> str:
    """The line of a level, and its reason below it if the verdict is not "ok"."""
    load = f"c={level['concurrency']}" if level["rate"] is None else f"{level['rate']:g}/s"
    cells = [
        load,
        str(level["requests"]),
        str(sum(level["failed"].values())),
        f"{level['requests_per_s']:.2f}",
        *([f"{level['goodput_per_s']:.2f}"] if goodput else []),
        "no usage" if level["output_tokens_per_s"] is None else f"{level['output_tokens_per_s']:.1f}",
        *(_seconds(level["ttft_s"][name]) for name in ("p50", "p90", "p99")),
        *(_seconds(level["tpot_s"][name]) for name in ("p50", "p99")),
        *(_seconds(level["e2e_intended_s" if level["rate"] else "e2e_s"][name]) for name in ("p50", "p99")),
        level["verdict"],
    ]
    line = _line(cells, goodput)
    failures = ", ".join(f"{count} {name}" for name, count in level["failed"].items())
    notes = [note for note in (level["reason"], failures and f"failed: {failures}") if note]
    return "\n".join([line, *(f"{'':>{_COLUMNS[0][1]}}  {note}" for note in notes)])


def _columns(goodput: bool) -> list[tuple[str, int]]:
    columns = list(_COLUMNS)
    return [*columns[:4], ("good/s", 8), *columns[4:]] if goodput else columns


def _line(cells: list[str], goodput: bool) -> str:
    widths = [width for _, width in _columns(goodput)]
    return "  ".join(f"{cell:>{width}}" if width else cell for cell, width in zip(cells, widths, strict=True))


def _seconds(value_s: float | None) -> str:
    return "-" if value_s is None else f"{value_s:.3f}" if value_s < 100 else f"{value_s:.0f}"
