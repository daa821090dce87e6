"""A run for people: its figures in a terminal, a row for each level as soon as it has ended, and as one HTML page.

The page has no script, no font and no image from anywhere else; its charts are SVG.
"""

import math
import time
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from firsttoken.bench.level import Histogram
from firsttoken.bench.runner import Report

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


_WIDTH, _HEIGHT = 340, 210
"""As wide as a phone's column, so that text has about the size in which it is written here."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 18, 10, 40
_TICKS = 5
_NAMES = 8
"""How many names fit below each other's axis; of more only every second, third, … is shown."""


class Series(NamedTuple):
    """A line: its name, "" where there is but one, and its points, None where one is missing."""

    name: str
    points: Sequence[tuple[float, float | None]]


class Name(NamedTuple):
    """A name on the x axis, and the CSS class that gives it a colour."""

    text: str
    css: str = ""


def line_chart(title: str, x_label: str, y_label: str, series: Sequence[Series], x_names: Sequence[Name] = ()) -> str:
    """A chart of lines from zero upwards, with a legend; `x_names` name the positions 0, 1, … on the x axis."""
    title = f"{title}, {y_label}"
    series = [line for line in series if any(y is not None for _, y in line.points)]
    points = [(x, y) for line in series for x, y in line.points if y is not None]
    if not points:
        return f'<figure><figcaption>{escape(title)}</figcaption><p class="none">no values</p></figure>'
    x_max = max(x for x, _ in points)
    step = _nice_step(max(max(y for _, y in points), 1e-9) / _TICKS)
    y_max = step * math.ceil(max(y for _, y in points) / step or 1)

    def x_at(x: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (x / x_max if x_max else 0.5)

    def y_at(y: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * y / y_max

    parts = [_grid(y_at, step, y_max), _x_axis(x_at, x_max, x_names, x_label)]
    for number, line in enumerate(series):
        drawn = [(x_at(x), y_at(y)) for x, y in line.points if y is not None]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
        parts.append(f'<polyline class="s{number}" points="{path}"/>')
        if len(drawn) <= 40:
            parts += [f'<circle class="s{number}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in drawn]
    legend = "".join(
        f'<li><span class="s{number}"></span>{escape(line.name)}</li>'
        for number, line in enumerate(series)
        if line.name
    )
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
        f"{legend and f'<ul>{legend}</ul>'}</figure>"
    )


def _grid(y_at: Callable[[float], float], step: float, y_max: float) -> str:
    lines: list[str] = []
    for number in range(round(y_max / step) + 1):
        y = y_at(number * step)
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(
            f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_number(number * step)}</text>'
        )
    return "".join(lines)


def _x_axis(x_at: Callable[[float], float], x_max: float, names: Sequence[Name], label: str) -> str:
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts = [_x_text("label", middle, _HEIGHT - 4, label)]
    if names:
        every = math.ceil(len(names) / _NAMES)
        shown = list(enumerate(names))[::every]
        parts += [_x_text(f"tick {name.css}", x_at(x), _HEIGHT - _BOTTOM + 18, name.text) for x, name in shown]
    else:
        step = _nice_step(max(x_max, 1.0) / _TICKS)
        values = [number * step for number in range(int(x_max / step) + 1)]
        parts += [_x_text("tick", x_at(value), _HEIGHT - _BOTTOM + 18, _number(value)) for value in values]
    return "".join(parts)


def _x_text(css: str, x: float, y: float, text: str) -> str:
    return f'<text class="{css.strip()}" x="{x:.1f}" y="{y}" text-anchor="middle">{escape(text)}</text>'


def _nice_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= least * 0.999)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


_STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1f2328; --quiet: #59636e; --line: #d1d9e0; --card: #f6f8fa;
  --s0: #0969da; --s1: #bc4c00; --s2: #8250df; --good: #1a7f37; --bad: #b3261e; --warn: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --back: #0d1117; --text: #e6edf3; --quiet: #9198a1; --line: #30363d;
  --card: #151b23; --s0: #58a6ff; --s1: #f0883e; --s2: #bc8cff; --good: #3fb950; --bad: #ff7b72; --warn: #d29922; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1240px; padding: 24px 16px 48px; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 36px 0 12px; }
p.quiet, .none { color: var(--quiet); margin: 0 0 8px; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: 7px 10px; text-align: right; border-bottom: 1px solid var(--line); }
th { color: var(--quiet); font-weight: 600; } tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child, th.verdict, td.verdict { text-align: left; }
tr.note td { color: var(--quiet); padding-top: 0; white-space: normal; overflow-wrap: anywhere; }
tr:has(+ tr.note) td { border-bottom: 0; }
.ok { color: var(--good); } .oversaturated { color: var(--warn); }
.client-limited, .server-errors { color: var(--bad); }
@media (max-width: 1180px) {
  thead { display: none; } table, tbody { display: block; }
  tr { display: grid; grid-template-columns: repeat(auto-fill, minmax(155px, 1fr)); }
  td { display: flex; justify-content: space-between; gap: 8px; border: 0; padding: 3px 12px; }
  td::before { content: attr(data-name); color: var(--quiet); }
  tr:not(.note) td:is(:first-child, .verdict) { font-weight: 600; padding-top: 10px; }
  tr:not(.note) td:first-child { order: -2; grid-column: 1 / -2; }
  tr:not(.note) td.verdict { order: -1; grid-column: -2 / -1; justify-content: flex-end; }
  td.verdict::before, td:first-child::before { content: none; }
  tr:not(.note) ~ tr:not(.note) { border-top: 1px solid var(--line); }
  tr.note, tr.note td { display: block; } tr:last-child td:last-child { padding-bottom: 10px; }
}
.charts { display: grid; gap: 16px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); }
figure { margin: 0; padding: 14px; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
figcaption { font-size: 14px; font-weight: 600; margin-bottom: 8px; }
svg { width: 100%; max-width: 480px; height: auto; display: block; }
svg text { fill: var(--quiet); font-size: 12px; } svg text[class^="tick "] { font-weight: 600; }
svg text.oversaturated { fill: var(--warn); } svg text:is(.client-limited, .server-errors) { fill: var(--bad); }
svg .grid { stroke: var(--line); } polyline { fill: none; stroke-width: 2.2; stroke-linejoin: round; }
polyline.s0, circle.s0 { stroke: var(--s0); } polyline.s1, circle.s1 { stroke: var(--s1); }
polyline.s2, circle.s2 { stroke: var(--s2); } circle { fill: var(--card); stroke-width: 2; }
ul { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 18px; padding: 0; margin: 8px 0 0; }
li { color: var(--quiet); }
li span { display: inline-block; width: 14px; height: 3px; margin: 0 6px 4px 0; }
span.s0 { background: var(--s0); } span.s1 { background: var(--s1); } span.s2 { background: var(--s2); }
"""

_PERCENTILES = ("p50", "p90", "p99")


def write_html(report: Report, path: str | Path) -> None:
    """Write a report as one HTML page.

    Raises:
        OSError: the file can't be written.
    """
    Path(path).write_text(page(report), encoding="utf-8")


def page(report: Report) -> str:
    """The page of a report."""
    config, levels = report["config"], report["levels"]
    at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(report["at"]))
    where = escape(str(config["base_url"] or "the default server"))
    about = f"{at} · firsttoken {escape(report['firsttoken'])} · {where} · data {escape(config['data'])}"
    settings = f"workers {config['workers']} · seed {config['seed']} · salt {'on' if config['salt'] else 'off'}"
    title = f"Load test of {config['model']}"
    sections = [
        f"<h1>{escape(title)}</h1><p class='quiet'>{about}</p><p class='quiet'>{settings}</p>",
        "<h2>Levels</h2>" + _table(levels, goodput=bool(config["slo"])),
        "<h2>Over the levels</h2>" + _over_levels(levels),
        "<h2>Distributions</h2>" + _distributions(levels),
        "<h2>Timeline</h2>" + _timelines(levels),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{''.join(sections)}</body></html>\n"
    )


def _name(level: dict[str, Any]) -> str:
    return f"{level['concurrency']} at once" if level["rate"] is None else f"{level['rate']:g}/s"


def _names_of(levels: list[dict[str, Any]]) -> tuple[str, list[Name]]:
    """What the loads are, and their names on the axis; a load whose verdict is not ok has the verdict's colour."""
    label = "requests per second" if levels and levels[0]["rate"] is not None else "requests at once"
    loads = (level["concurrency"] if level["rate"] is None else level["rate"] for level in levels)
    css = ("" if level["verdict"] == "ok" else level["verdict"] for level in levels)
    return label, [Name(f"{load:g}", verdict) for load, verdict in zip(loads, css, strict=True)]


def _table(levels: list[dict[str, Any]], *, goodput: bool) -> str:
    rows: list[str] = []
    names: list[str] = []
    for level in levels:
        cells = _cells(level, goodput=goodput)
        names = list(cells)
        shown = "".join(f'<td data-name="{name}">{escape(cell)}</td>' for name, cell in cells.items())
        verdict = f'<td class="verdict"><b class="{level["verdict"]}">{level["verdict"]}</b></td>'
        rows.append(f"<tr>{shown}{verdict}</tr>")
        failures = ", ".join(f"{count} {name}" for name, count in level["failed"].items())
        notes = filter(None, (level["reason"], failures and f"failed: {failures}"))
        rows += [f'<tr class="note"><td colspan="{len(cells) + 1}">{escape(note)}</td></tr>' for note in notes]
    head = "".join(f"<th>{name}</th>" for name in names) + '<th class="verdict">verdict</th>'
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _cells(level: dict[str, Any], *, goodput: bool) -> dict[str, str]:
    """The figures of a level by the names of their columns."""
    tokens = level["output_tokens_per_s"]
    e2e = level["e2e_intended_s" if level["rate"] else "e2e_s"]
    return {
        "load": _name(level),
        "requests": f"{level['requests']:,}",
        "failed": f"{sum(level['failed'].values()):,}",
        "req/s": f"{level['requests_per_s']:,.2f}",
        "tokens/s": "no usage" if tokens is None else f"{tokens:,.1f}",
        **{
            f"{metric} {name}": _ms(durations[name])
            for metric, durations in (("ttft", level["ttft_s"]), ("tpot", level["tpot_s"]), ("e2e", e2e))
            for name in ("p50", "p99")
        },
        **({"good/s": f"{level['goodput_per_s']:,.2f}"} if goodput else {}),
    }


def _ms(value_s: float | None) -> str:
    return "-" if value_s is None else f"{value_s * 1000:,.1f} ms" if value_s < 10 else f"{value_s:,.2f} s"


def _over_levels(levels: list[dict[str, Any]]) -> str:
    label, names = _names_of(levels)
    charts = [
        line_chart(title, label, "per second", [Series("", [(x, level[key]) for x, level in enumerate(levels)])], names)
        for title, key in (("Output tokens", "output_tokens_per_s"), ("Requests", "requests_per_s"))
    ]
    for title, metric in (
        ("Time to first token", "ttft_s"),
        ("Time per output token", "tpot_s"),
        ("End to end from the intended start", "e2e_intended_s"),
    ):
        lines = [
            Series(percentile, [(x, _in_ms(level[metric][percentile])) for x, level in enumerate(levels)])
            for percentile in _PERCENTILES
        ]
        charts.append(line_chart(title, label, "ms", lines, names))
    return f'<div class="charts">{"".join(charts)}</div>'


def _in_ms(value_s: float | None) -> float | None:
    return None if value_s is None else value_s * 1000


def _distributions(levels: list[dict[str, Any]]) -> str:
    charts: list[str] = []
    for title, metric in (("Time to first token", "ttft_s"), ("Between two chunks", "inter_chunk_s")):
        for level in levels:
            histogram = Histogram.from_dict(level["counted"]["histograms"][metric])
            points = [(float(percent), _in_ms(histogram.percentile(percent))) for percent in range(0, 101, 2)]
            line = Series("", points if histogram.count else [])
            charts.append(line_chart(f"{title}, {_name(level)}", "percent that took no longer", "ms", [line]))
    return f'<div class="charts">{"".join(charts)}</div>'


def _timelines(levels: list[dict[str, Any]]) -> str:
    charts: list[str] = []
    for level in levels:
        seconds = {int(second): counts for second, counts in level["counted"]["timeline"].items()}
        lines = [
            Series(
                name,
                [
                    (float(second), float(seconds.get(second, (0, 0, 0))[column]))
                    for second in range(max(seconds, default=0) + 1)
                ],
            )
            for column, name in ((0, "completed"), (2, "failed"))
        ]
        charts.append(line_chart(f"Requests, {_name(level)}", "seconds from the start", "per second", lines))
    return f'<div class="charts">{"".join(charts)}</div>'
