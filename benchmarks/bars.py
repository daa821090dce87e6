"""A chart of bars as SVG: groups of bars from zero, each with its name and its figure, narrow enough for a phone."""

from dataclasses import dataclass

from benchmarks.chart import MARGIN, NOTE, STYLE, WIDTH, document, text

NAMES = 92
"""Space for the names of the bars."""

FIGURES = 62
"""Space for the figure behind the longest bar."""

BAR, GAP, GROUP_GAP = 16, 5, 22
_STYLE = f"{STYLE}  .figure {{ font-weight: 600; }}\n"


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        name: beside it.
        value: its length.
        colour: the number of its colour in the style.
    """

    name: str
    value: float
    colour: int


@dataclass(frozen=True)
class Group:
    """Bars that are compared with each other."""

    title: str
    bars: list[Bar]


def draw(title: str, unit: str, groups: list[Group], notes: list[str]) -> str:
    """The chart."""
    longest = max(bar.value for group in groups for bar in group.bars)
    scale = (WIDTH - 2 * MARGIN - NAMES - FIGURES) / longest
    parts = [text(MARGIN, 30, title, "title")]
    y = 40.0
    for group in groups:
        y += GROUP_GAP
        parts.append(text(MARGIN, y, group.title, "panel"))
        y += 8
        for bar in group.bars:
            parts += _bar(bar, y, scale, unit)
            y += BAR + GAP
    for note in notes:
        y += NOTE
        parts.append(text(MARGIN, y, note, "note"))
    return document(title, y + 14, _STYLE, parts)


def _bar(bar: Bar, y: float, scale: float, unit: str) -> list[str]:
    start, length = MARGIN + NAMES, max(bar.value * scale, 2)
    middle = y + BAR - 3.5
    colour = f"f{bar.colour}"
    return [
        text(start - 8, middle, bar.name, "quiet", "end"),
        f'<rect class="{colour}" x="{start}" y="{y:g}" width="{length:.1f}" height="{BAR}" rx="2"/>',
        text(start + length + 6, middle, f"{three_digits(bar.value)} {unit}", f"figure {colour}"),
    ]


def three_digits(value: float) -> str:
    """A figure as people read it: three digits, and all of those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}" if value >= 1 else f"{value:.2f}"
