"""Rows, budgets and the table; how often a case is repeated; a run as JSON."""

import os
import platform
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

import msgspec

WIDTHS = (14, 46, 14, 9, 11)
QUICK_TOLERANCE = 1.5
PACKAGES = ("firsttoken", "openai", "aiohttp", "msgspec", "httptools")
TITLES = ("case", "what", "measured", "ratio", "budget", "verdict")


@dataclass(frozen=True)
class Scale:
    """How thorough a run is.

    Attributes:
        quick: whether it is for CI: fewer chunks, fewer repetitions, noisier figures.
    """

    quick: bool = False

    @property
    def tolerance(self) -> float:
        """The factor by which a budget may be missed before the run fails: shared machines are noisy."""
        return QUICK_TOLERANCE if self.quick else 1.0

    @property
    def once(self) -> Collection[str]:
        """The kinds of client that are measured once: they take longest, and have no budget."""
        return ("openai",) if self.quick else ()

    def pick(self, full: int, quick: int) -> int:
        """The count that goes with this scale."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: was measured.
        measured: the figure, with its unit.
        ratio: to the row that the case compares with; None where it is compared with nothing.
        budget: in words, "" where there is none.
        excess: how much of the budget is used: 1.0 is all of it; None where there is none.
    """

    what: str
    measured: str
    ratio: float | None = None
    budget: str = ""
    excess: float | None = None

    def holds(self, tolerance: float = 1.0) -> bool:
        """Whether the budget holds, or would if it were larger by a factor."""
        return self.excess is None or self.excess <= tolerance


class Run(msgspec.Struct):
    """What a run measured, and on what.

    Attributes:
        machine: its architecture and how many CPUs it has.
        versions: of the packages that are measured, by name.
        rows: each with its case.
    """

    python: str
    machine: str
    versions: dict[str, str]
    rows: list[tuple[str, Row]]

    @classmethod
    def here(cls) -> "Run":
        """A run on this machine, without rows as yet."""
        versions = {name: version(name) for name in PACKAGES}
        return cls(platform.python_version(), f"{platform.machine()}, {os.cpu_count()} CPUs", versions, [])

    def conditions(self) -> str:
        """The line above the table."""
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return f"# Python {self.python}, {self.machine}; {versions}; best of several"

    def find(self, case: str, what: str) -> Row:
        """The row of a case.

        Raises:
            LookupError: it was not measured.
        """
        for of_case, row in self.rows:
            if (of_case, row.what) == (case, what):
                return row
        raise LookupError(f"no row {what!r} of {case}: the run has to be one of all cases")


def at_most(what: str, measured: str, ratio: float, limit: float) -> Row:
    """A row whose ratio must not exceed a limit."""
    return Row(what, measured, ratio, f"<= {limit:g} x", ratio / limit)


def at_least(what: str, measured: str, ratio: float, limit: float) -> Row:
    """A row whose ratio must reach a limit."""
    return Row(what, measured, ratio, f">= {limit:g} x", limit / ratio)


def within(what: str, measured: str, figure: float, limit: float | None, words: Callable[[float], str]) -> Row:
    """A row whose figure must not exceed a limit, if there is one; `words` gives the limit its unit."""
    return Row(what, measured) if limit is None else Row(what, measured, None, f"<= {words(limit)}", figure / limit)


def microseconds(seconds: float) -> str:
    """A time per chunk, as the table has it."""
    return f"{seconds * 1e6:.2f} us"


def seconds(figure_s: float) -> str:
    """A time that people notice, as the table has it."""
    return f"{figure_s:.2f} s"


def milliseconds(seconds: float) -> str:
    """A longer time, as the table has it."""
    return f"{seconds * 1e3:.1f} ms"


def kibibytes(size_bytes: float) -> str:
    """A small size, as the table has it."""
    return f"{size_bytes / 2**10:.1f} KiB"


def mebibytes(size_bytes: float) -> str:
    """A size, as the table has it."""
    return f"{size_bytes / 2**20:.1f} MiB"


def as_json(figures: object) -> bytes:
    """Figures as a file that people can read."""
    return msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n"


def line(case: str, row: Row) -> str:
    """A row as a line of the table: columns are two or more spaces apart, an empty one is a dash."""
    ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
    verdict = "-" if row.excess is None else "holds" if row.holds() else "BROKEN"
    return _line(case, row.what, row.measured, ratio, row.budget or "-", verdict)


def header() -> str:
    """The first two lines of the table."""
    return _line(*TITLES) + "\n" + _line(*("-" * len(title) for title in TITLES))


def _line(*columns: str) -> str:
    padded = [column.ljust(width) for column, width in zip(columns, WIDTHS, strict=False)]
    return "  ".join([*padded, columns[-1]])


def best(
    repetitions: int, measurements: Mapping[str, Callable[[], float]], once: Collection[str] = ()
) -> dict[str, float]:
    """Measure several things in turn, time and again; the least of each, since noise only ever adds.

    Args:
        repetitions: how often.
        measurements: what, by name.
        once: the names of those that are measured in the first turn alone.
    """
    figures = {name: measure() for name, measure in measurements.items()}
    for _ in range(repetitions - 1):
        for name, measure in measurements.items():
            if name not in once:
                figures[name] = min(figures[name], measure())
    return figures


def cpu_s(work: Callable[[], object]) -> float:
    """The CPU time that some work takes this process, in seconds."""
    started_at = time.process_time()
    work()
    return time.process_time() - started_at


def all_hold(rows: Iterable[Row], tolerance: float) -> bool:
    """Whether no budget is broken by more than a factor."""
    return all(row.holds(tolerance) for row in rows)
