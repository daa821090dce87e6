"""Line charts as SVG: the few shapes that a report needs, since no small library makes self-contained ones."""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

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
