"""Line charts as SVG: the few shapes that a report needs, since no small library makes self-contained ones."""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

_WIDTH, _HEIGHT = 520, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 36, 10, 40
_TICKS = 5


class Series(NamedTuple):
    """A line: its name, and its points, None where there is no value."""

    name: str
    points: Sequence[tuple[float, float | None]]


def line_chart(title: str, x_label: str, y_label: str, series: Sequence[Series], x_names: Sequence[str] = ()) -> str:
    """A chart of lines from zero upwards, with a legend; `x_names` name the positions 0, 1, … on the x axis."""
    title = f"{title}, {y_label}"
    series = [line for line in series if any(y is not None for _, y in line.points)]
    points = [(x, y) for line in series for x, y in line.points if y is not None]
    if not points:
        return f'<figure><figcaption>{escape(title)}</figcaption><p class="none">no values</p></figure>'
    x_max = max(max(x for x, _ in points), 1e-9)
    step = _nice_step(max(max(y for _, y in points), 1e-9) / _TICKS)
    y_max = step * math.ceil(max(y for _, y in points) / step or 1)

    def x_at(x: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * x / x_max

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
        f'<li><span class="s{number}"></span>{escape(line.name)}</li>' for number, line in enumerate(series)
    )
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
        f"<ul>{legend}</ul></figure>"
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


def _x_axis(x_at: Callable[[float], float], x_max: float, names: Sequence[str], label: str) -> str:
    step = _nice_step(x_max / _TICKS)
    ticks = list(enumerate(names)) if names else [(n * step, _number(n * step)) for n in range(int(x_max / step) + 1)]
    texts = [
        f'<text class="tick" x="{x_at(x):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{escape(name)}</text>'
        for x, name in ticks
    ]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return (
        "".join(texts)
        + f'<text class="label" x="{middle}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(label)}</text>'
    )


def _nice_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= least * 0.999)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
