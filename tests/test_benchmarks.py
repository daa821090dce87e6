"""The benchmarks run and print their table; the figures are not tested."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import pages
from benchmarks.bars import Bar, Group, draw
from benchmarks.chart import spread, ticks_around
from benchmarks.providers import OF_THEIR_OWN, PROVIDERS
from benchmarks.report import Row, Scale, all_hold, at_least, at_most, within

ROOT = Path(__file__).parents[1]
COLUMNS = ["case", "what", "measured", "ratio", "budget", "verdict"]


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    pytest.importorskip("openai")
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def test_a_quick_run_prints_a_table_and_forgives_what_is_missed_by_less_than_half() -> None:
    done = run("--quick", "core", "event")
    assert done.stderr == ""
    conditions, titles, _, *lines = done.stdout.splitlines()
    assert conditions.startswith("# Python ")
    assert titles.split() == COLUMNS
    rows = [re.split(" {2,}", line) for line in lines]
    assert [len(row) for row in rows] == [len(COLUMNS)] * len(rows)
    assert [row[0] for row in rows] == ["core"] * 4 + ["event"] * 2
    assert all(re.fullmatch(r"\d+\.\d\d us|\d+\.\d ms", row[2]) for row in rows)
    assert all(float(row[3]) > 0 for row in rows)
    verdicts = [row[5] for row in rows]
    assert verdicts[0] == "-"
    assert verdicts[1] in ("holds", "BROKEN")
    limits = [float(row[4].strip("<= x")) if row[4] != "-" else float("inf") for row in rows]
    missed_by_half = any(float(row[3]) > 1.5 * limit for row, limit in zip(rows, limits, strict=True))
    assert done.returncode == missed_by_half


def test_the_providers_are_measured_side_by_side() -> None:
    done = run("--quick", "providers")
    assert done.stderr == ""
    rows = [re.split(" {2,}", line) for line in done.stdout.splitlines()[3:]]
    names = [row[1].rpartition(": ")[0] for row in rows]
    assert names[::3] == names[1::3] == names[2::3] == list(PROVIDERS)
    assert [row[3] for row in rows[::3]] == ["1.00"] * len(PROVIDERS)


def test_an_unknown_case_is_refused_with_the_names_of_those_there_are() -> None:
    done = run("cor")
    assert done.returncode == 2
    assert "no such case: cor; there are core, bulk, single-chunk, opening, blocking" in done.stderr


@pytest.mark.parametrize("arguments", [("--quick",), ("core",)])
def test_only_a_full_run_gets_into_the_docs(arguments: tuple[str, ...]) -> None:
    done = run("--docs", *arguments)
    assert done.returncode == 2
    assert "--docs needs a full run of all cases" in done.stderr


@pytest.mark.parametrize(
    ("row", "holds", "forgiven"),
    [
        (Row("", ""), True, True),
        (at_most("", "", 2.0, 2.0), True, True),
        (at_most("", "", 2.9, 2.0), False, True),
        (at_most("", "", 3.1, 2.0), False, False),
        (at_least("", "", 10.0, 10.0), True, True),
        (at_least("", "", 7.0, 10.0), False, True),
        (at_least("", "", 6.0, 10.0), False, False),
        (within("", "", 1.4, 1.0, str), False, True),
        (within("", "", 99.0, None, str), True, True),
    ],
)
def test_a_quick_run_fails_only_where_a_budget_is_missed_by_more_than_half(
    row: Row, *, holds: bool, forgiven: bool
) -> None:
    assert row.holds() == holds
    assert all_hold([Row("", ""), row], Scale().tolerance) == holds
    assert all_hold([Row("", ""), row], Scale(quick=True).tolerance) == forgiven


def test_pages_and_charts_show_the_figures_of_the_json() -> None:
    run, sweep = pages.load()
    for path, content in pages.made(run, sweep).items():
        assert path.read_text(encoding="utf-8") == content, f"{path.name}: python -m benchmarks.pages"
    blocks = pages.blocks(run, sweep)
    shown = "".join(path.read_text(encoding="utf-8") for path in pages.PAGES)
    assert {name for name, text in blocks.items() if text in shown} == set(blocks)


def test_a_budget_that_was_missed_is_named() -> None:
    run, _ = pages.load()
    run.rows = [("core", at_most("firsttoken", "1.00 us", 1.0, 2.0))]
    assert pages.missed(run) == "This run held every budget."
    run.rows.append(("core", at_most("firsttoken", "3.00 us", 3.0, 2.0)))
    run.rows.append(("million", within("growth", "20.0 MiB", 20.0, 10.0, lambda size: f"{size} MiB")))
    assert pages.missed(run).splitlines()[2:] == [
        "- core, firsttoken: 3.00 x, budget ≤ 2 x".replace("x", "\N{MULTIPLICATION SIGN}"),
        "- million, growth: 20.0 MiB, budget ≤ 10.0 MiB",
    ]


def test_every_provider_has_a_row_that_says_what_is_its_own() -> None:
    assert list(OF_THEIR_OWN) == list(PROVIDERS)


def test_the_bars_are_as_long_as_their_figures_and_ask_for_nothing() -> None:
    svg = draw("t", "µs", [Group("g", [Bar("a", 100.0, 0), Bar("b", 25.0, 1)])], ["<note>"])
    long, short = [float(width) for width in re.findall(r'<rect class="f\d" .*?width="([\d.]+)"', svg)]
    assert long == pytest.approx(4 * short, abs=0.2)
    assert "&lt;note&gt;" in svg
    assert not re.search(r"href|url\(|<image|<script|@import", svg)


def test_a_chart_has_round_ticks_around_its_values_and_labels_apart() -> None:
    assert ticks_around(3.0, 90.0) == [2, 5, 10, 20, 50, 100]
    assert ticks_around(0.4, 1900.0) == [0.2, 1, 10, 100, 1000, 2000]
    assert spread([10.0, 50.0], 16) == [10.0, 50.0]
    low, high = sorted(spread([20.0, 20.0], 16))
    assert (low, high) == (12.0, 28.0)
