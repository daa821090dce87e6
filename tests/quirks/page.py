"""The page of the docs that shows the table of quirks."""

from pathlib import Path

from firsttoken._protocol.quirks import QUIRKS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "quirks.md"

_TITLES = {
    "framing": "Framing",
    "error": "Errors",
    "chunk": "Chunks",
    "choice": "Choices",
    "delta": "Deltas",
    "tool_call": "Tool calls",
    "usage": "Usage",
}
_HEAD = """\
# Quirks

Servers differ from OpenAI's schema in many ways. firsttoken knows {count} such quirks, each
with those who send it and with the module of [`firsttoken._protocol`](../../src/firsttoken/_protocol) that handles it.
Whatever is not here and not of the schema is kept in `extra`, and breaks no stream.

Each has an example in [`tests/quirks`](../../tests/quirks), which is iterated over, called back and
accumulated, by both clients and at every split of the bytes. The table is that of
[`quirks.py`](../../src/firsttoken/_protocol/quirks.py), and `python -m tests.quirks` writes this page. A new quirk
is a row there and an example here.
"""


def page() -> str:
    """The page, made of the table."""
    sections = [_HEAD.format(count=len(QUIRKS))]
    for part, title in _TITLES.items():
        rows = [f"| {row.what} | {row.source} | `{row.module}` |" for row in QUIRKS if row.part == part]
        sections.append(
            "\n".join([f"\n## {title}\n", "| what | who | where it is read |", "| --- | --- | --- |", *rows, ""])
        )
    return "".join(sections)
