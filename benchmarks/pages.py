"""What the docs show of the benchmarks, made from their JSON: `python -m benchmarks.pages`.

`python -m benchmarks --docs` and `python -m benchmarks.sweep` make the JSON. Each block between
`<!-- benchmarks: … -->` and `<!-- end -->` is written anew, and so are the charts beside the JSON.
"""

import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks import bars
from benchmarks.providers import OF_THEIR_OWN
from benchmarks.report import Row, Run, header, line
from benchmarks.sweep import FOLDER, JSON, Figures, chart, table

RUN = FOLDER / "run.json"
BARS = FOLDER / "cost.svg"
CHART = FOLDER / "sweep.svg"
ROOT = FOLDER.parents[1]
README = ROOT / "benchmarks" / "README.md"
FRONT = ROOT / "README.md"
LANDING = ROOT / "docs" / "index.md"
PERFORMANCE = ROOT / "docs" / "explanation" / "performance.md"
GUARD = ROOT / "docs" / "how-to" / "guard.md"
PAGES = (README, PERFORMANCE, GUARD, FRONT, LANDING)
_BLOCK = re.compile(r"(?<=<!-- benchmarks: )([\w-]+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)

_TIMES = "\N{MULTIPLICATION SIGN}"
_BULK = "baseline: bare socket, split and decode"
_ASYNC_BULK = "baseline: bare protocol, split and decode"
_COMPARED = (
    ("sync, as fast as the server sends: a chunk", "bulk", (_BULK, "firsttoken", "openai")),
    ("sync, each chunk alone", "single-chunk", (_BULK, "firsttoken", "openai")),
    ("asyncio, as fast as the server sends: a chunk", "async-bulk", (_ASYNC_BULK, "firsttoken", "openai")),
    ("asyncio, 200 streams of 50 chunks a second: a chunk", "async-many", (_ASYNC_BULK, "firsttoken", "openai")),
    (
        "asyncio, 200 streams: the latest chunk is late by",
        "async-many",
        tuple(f"{kind}, latest chunk is late by" for kind in ("baseline", "firsttoken", "openai")),
    ),
    (
        "asyncio, opening one of 200 streams",
        "async-many",
        tuple(f"{kind}, opening a stream" for kind in ("baseline", "firsttoken", "openai")),
    ),
    ("a blocking call, sync (baseline: `http.client`)", "blocking", ("http.client", "firsttoken", "openai")),
    ("a blocking call, asyncio (baseline: `aiohttp`)", "blocking", ("aiohttp", "firsttoken async", "")),
    ("the package's import", "import", ("", "import firsttoken", "import openai")),
    (
        "from a new process to the request on the wire",
        "wire",
        ("baseline: interpreter and a bare socket", "firsttoken", "openai"),
    ),
)
"""The rows of the table: the case, and the names there of the baseline, firsttoken and openai."""

_CHARTED = (
    ("Sync, as fast as the server sends", 0),
    ("Sync, each chunk alone", 1),
    ("asyncio, as fast as the server sends", 2),
    ("asyncio, 200 streams at once", 3),
)
"""The groups of the chart, and which of the rows above they are."""


def blocks(run: Run, sweep: Figures) -> dict[str, str]:
    """The text of each block, by its name."""
    makers: dict[str, Callable[[Run], str]] = {
        "run": _run,
        "providers": _providers,
        "compared": _compared,
        "budgets": missed,
        "guard": _guard,
        "cost": _cost,
    }
    return {name: make(run) for name, make in makers.items()} | {"sweep": table(sweep)}


def with_blocks(text: str, blocks: dict[str, str]) -> str:
    """A page with its blocks written anew."""
    return _BLOCK.sub(lambda found: f"{found[1]}{found[2]}{blocks[found[1]]}\n", text)


def cost_chart(run: Run) -> str:
    """The bars of the landing page: CPU time per chunk."""
    groups: list[bars.Group] = []
    for title, number in _CHARTED:
        _, case, names = _COMPARED[number]
        shown = zip(("bare floor", "firsttoken", "openai"), names, strict=True)
        of_case = [bars.Bar(name, _value(run.find(case, what)), colour) for colour, (name, what) in enumerate(shown)]
        groups.append(bars.Group(title, of_case))
    versions = ", ".join(f"{name} {run.versions[name]}" for name in ("firsttoken", "openai"))
    notes = [
        "Less is better. The floor: a bare socket, split and msgspec, no promises.",
        f"{versions}; Python {run.python}, {run.machine}.",
    ]
    return bars.draw("CPU time per chunk", "µs", groups, notes)


def _value(row: Row) -> float:
    return float(row.measured.split()[0])


def _shown(row: Row) -> str:
    return f"{bars.three_digits(_value(row))} {row.measured.split()[1].replace('us', 'µs')}"


def _run(run: Run) -> str:
    return "\n".join(["```", run.conditions(), header(), *(line(case, row) for case, row in run.rows), "```"])


def _providers(run: Run) -> str:
    lines = ["| server | of its own | baseline | firsttoken | openai |", "| --- | --- | ---: | ---: | ---: |"]
    for name, own in OF_THEIR_OWN.items():
        whats = (f"{name}: {of}" for of in ("baseline, plain dicts", "firsttoken", "openai, one decode"))
        lines.append(f"| {name} | {own} | " + " | ".join(_shown(run.find("providers", what)) for what in whats) + " |")
    return "\n".join(lines)


def _compared(run: Run) -> str:
    openai = run.versions["openai"].rpartition(".")[0]
    lines = [f"| | baseline | firsttoken | openai {openai} |", "| --- | ---: | ---: | ---: |"]
    for title, case, names in _COMPARED:
        rows = [run.find(case, name) if name else None for name in names]
        lines.append(f"| {title} | " + " | ".join(_compared_cell(row, rows[0]) for row in rows) + " |")
    return "\n".join(lines)


def _cost(run: Run) -> str:
    """The table's CPU time of a chunk, in one sentence."""
    found = [[_value(run.find(case, name)) for name in names] for _, case, names in _COMPARED[: len(_CHARTED)]]
    chunk_us = sorted(ours for _, ours, _ in found)
    ours, theirs = (sorted(values[kind] / values[0] for values in found) for kind in (1, 2))
    return (
        f"A chunk costs {chunk_us[0]:.2g} to {chunk_us[-1]:.2g} µs of CPU time, "
        f"{ours[0]:.2g} to {ours[-1]:.2g} times a bare socket's; "
        f"`openai` takes {theirs[0]:.2g} to {theirs[-1]:.2g} times."
    )


def _compared_cell(row: Row | None, baseline: Row | None) -> str:
    if row is None:
        return ""
    is_per_work = row.measured.endswith("us")
    if baseline is None or baseline is row or not is_per_work:
        return _shown(row)
    return f"{_shown(row)} ({_value(row) / _value(baseline):.2g} {_TIMES})"


def missed(run: Run) -> str:
    """The budgets that a run missed."""
    broken = [f"- {case}, {row.what}: {_against_budget(row)}" for case, row in run.rows if not row.holds()]
    return "\n".join(["Budgets that this run missed:", "", *broken]) if broken else "This run held every budget."


def _against_budget(row: Row) -> str:
    figure = row.measured if row.ratio is None or not row.budget.endswith(" x") else f"{row.ratio:.2f} x"
    return f"{figure}, budget {row.budget}".replace(" x", f" {_TIMES}").replace("<=", "≤").replace(">=", "≥")


def _guard(run: Run) -> str:
    lines = ["| | stock transport | guard | |", "| --- | ---: | ---: | ---: |"]
    for title in ("sync, bulk", "sync, each chunk alone", "asyncio, bulk", "asyncio, each chunk alone"):
        stock, guarded = (run.find("guard", f"{title}, {of}") for of in ("stock transport", "guard"))
        ratio = _value(guarded) / _value(stock)
        lines.append(f"| {title} | {_shown(stock)} | {_shown(guarded)} | {ratio:.2f} {_TIMES} |")
    return "\n".join(lines)


def load() -> tuple[Run, Figures]:
    """The run and the sweep that the docs show."""
    run = msgspec.json.decode(RUN.read_bytes(), type=Run)
    return run, msgspec.json.decode(JSON.read_bytes(), type=Figures)


def made(run: Run, sweep: Figures) -> dict[Path, str]:
    """Everything that is made of them, by its file."""
    of_blocks = blocks(run, sweep)
    pages = {path: with_blocks(path.read_text(encoding="utf-8"), of_blocks) for path in PAGES}
    return pages | {BARS: cost_chart(run), CHART: chart(sweep)}


def write() -> None:
    """Write pages and charts."""
    for path, content in made(*load()).items():
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    write()
