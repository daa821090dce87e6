"""A chart as SVG, by hand: panels of lines over logarithmic axes, each line labelled where it ends.

Panels are below each other, so that a phone can show them in a size that people can read.

Colours come from a style that queries whether the reader's background is dark; a viewer that does not know the query
shows the light ones, on the chart's own background.
"""

import math
from dataclasses import dataclass
from html import escape
from itertools import pairwise

WIDTH = 480
HEAD = 36
PANEL = 290
TOP = 36
BOTTOM = 52
MARGIN = 16
LEFT = 62
NOTE = 17
LABELS = 164
"""Space on the right of a panel for the names of its lines."""

LABEL_APART = 16
TICKS_APART = 42
STYLE = """
  svg { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 13px; }
  .ground { fill: #ffffff; }
  .title { font-size: 16px; font-weight: 600; }
  .panel { font-size: 13px; font-weight: 600; }
  text { fill: #1f2328; }
  .quiet { fill: #59636e; }
  .note { fill: #59636e; font-size: 11px; }
  .grid { stroke: #d1d9e0; stroke-width: 1; }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
  .bold { stroke-width: 3.2; }
  .name { font-weight: 600; }
  .s0 { stroke: #6e7781; } .f0 { fill: #6e7781; } text.f0 { fill: #59636e; }
  .s1 { stroke: #0969da; } .f1, text.f1 { fill: #0969da; }
  .s2 { stroke: #bc4c00; } .f2, text.f2 { fill: #bc4c00; }
  .s3 { stroke: #8250df; } .f3, text.f3 { fill: #8250df; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; }
    text { fill: #e6edf3; }
    .quiet, .note { fill: #9198a1; }
    .grid { stroke: #30363d; }
    .s0 { stroke: #9198a1; } .f0, text.f0 { fill: #9198a1; }
    .s1 { stroke: #58a6ff; } .f1, text.f1 { fill: #58a6ff; }
    .s2 { stroke: #f0883e; } .f2, text.f2 { fill: #f0883e; }
    .s3 { stroke: #bc8cff; } .f3, text.f3 { fill: #bc8cff; }
  }
"""


@dataclass(frozen=True)
class Line:
    """A line of a panel.

    Attributes:
        name: its label.
        points: x and y, by rising x.
        bold: whether it is what the chart is about.
    """

    name: str
    points: list[tuple[float, float]]
    bold: bool = False


@dataclass(frozen=True)
class Panel:
    """A pair of axes and its lines.

    Attributes:
        title: what y is.
        unit: of y.
        below: what x is.
        lines: in the order of the colours.
    """

    title: str
    unit: str
    below: str
    lines: list[Line]


class Axis:
    """A logarithmic axis: from values to pixels."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low, self._span = math.log10(low), math.log10(high) - math.log10(low)
        self._start, self._length = start, end - start

    def at(self, value: float) -> float:
        """Where a value is."""
        return self._start + (math.log10(value) - self._low) / self._span * self._length


def draw(title: str, notes: list[str], panels: list[Panel]) -> str:
    """The chart; notes are the lines below it."""
    parts = [text(MARGIN, 28, title, "title")]
    for position, panel in enumerate(panels):
        parts += _panel(panel, HEAD + position * PANEL)
    below = HEAD + len(panels) * PANEL
    parts += [text(MARGIN, below + (number + 1) * NOTE, note, "note") for number, note in enumerate(notes)]
    return document(title, below + len(notes) * NOTE + 12, STYLE, parts)


def document(title: str, height: float, style: str, parts: list[str]) -> str:
    """The SVG around the parts of a chart."""
    body = "\n".join(parts)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" \
height="{height:g}" role="img" aria-label="{escape(title)}">
<style>{style}</style>
<rect class="ground" width="{WIDTH}" height="{height:g}" rx="6"/>
{body}
</svg>
"""


def _panel(panel: Panel, top: float) -> list[str]:
    xs = sorted({x for line in panel.lines for x, _ in line.points})
    ys = [y for line in panel.lines for _, y in line.points]
    ticks = ticks_around(min(ys), max(ys))
    x_axis = Axis(xs[0], xs[-1], LEFT, WIDTH - LABELS)
    bottom = top + PANEL - BOTTOM
    y_axis = Axis(ticks[0], ticks[-1], bottom, top + TOP)
    parts = [text(MARGIN, top + TOP - 16, f"{panel.title}, {panel.unit} (log scale)", "panel")]
    for tick in ticks:
        y = y_axis.at(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - LABELS}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(text(LEFT - 8, y + 4, f"{tick:,g}", "quiet", "end"))
    places = spread([x_axis.at(x) for x in xs], TICKS_APART)
    for x, place in zip(xs, places, strict=True):
        parts.append(text(place, bottom + 18, f"{x:,g}", "quiet", "middle"))
    parts.append(text((LEFT + WIDTH - LABELS) / 2, bottom + 36, panel.below, "quiet", "middle"))
    ends = spread([y_axis.at(line.points[-1][1]) for line in panel.lines], LABEL_APART)
    for number, (line, end) in enumerate(zip(panel.lines, ends, strict=True)):
        parts += _line(line, number, x_axis, y_axis, end)
    return parts


def _line(line: Line, number: int, x_axis: Axis, y_axis: Axis, label_y: float) -> list[str]:
    places = [(x_axis.at(x), y_axis.at(y)) for x, y in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    bold = " bold" if line.bold else ""
    last_x = places[-1][0]
    value = f"{line.points[-1][1]:,.0f}"
    return [
        f'<polyline class="line{bold} s{number}" points="{path}"/>',
        *(f'<circle class="f{number}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places),
        text(last_x + 9, label_y + 4, f"{line.name} {value}", f"f{number}{' name' if line.bold else ''}"),
    ]


def text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    """Words at a place, in the style of a class."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def ticks_around(low: float, high: float) -> list[float]:
    """Round values of a logarithmic axis, from at most the lowest to at least the highest."""
    steps = [step * 10.0**power for power in range(-3, 9) for step in (1, 2, 5)]
    first = max(step for step in steps if step <= low)
    last = min(step for step in steps if step >= high)
    ticks = [step for step in steps if first <= step <= last]
    if len(ticks) > 8:  # only the powers of ten, and the ends
        ticks = [step for step in ticks if math.log10(step) % 1 == 0 or step in (first, last)]
    return ticks


def spread(places: list[float], apart: float) -> list[float]:
    """Move labels so that none is on another, in their order and as little as need be."""
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = list(places)
    for _ in range(100):
        for low, high in pairwise(order):
            overlap = apart - (moved[high] - moved[low])
            if overlap > 0:
                moved[low] -= overlap / 2
                moved[high] += overlap / 2
    return moved
