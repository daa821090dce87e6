"""The page of the docs that shows the table of quirks."""

from pathlib import Path

from firsttoken._protocol.quirks import CONTENT_PARTS, FINISH_REASONS, QUIRKS, REASONING_FIELDS

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
_FINISH_REASONS = """
## Finish reasons

The class of a finish reason decides what becomes of the answer. They are compared without case, `-` counts as `_`, and
what follows a colon is detail. *cut* and *filtered*: the answer ended before the model did; `completion.tool_calls` and
`completion.parse()` refuse it. *error*: an `APIStatusError` inside the stream, retried where nothing was yielded.
*none*: the answer goes on. Of a word that is not here, `completion.tool_calls` gives the calls only if the arguments of
each are a JSON object.
"""
_REASONING = """
## Reasoning

`reasoning_text` is the text of the first of these that has any, so that it comes once where two carry the same. Each is
kept under its own name: pieces are joined to whole blocks with their signatures, and go back as they came.
"""
_PARTS = """
## Content parts

`content` is the text of its parts, where it is a list; `content_parts` is the list, and what goes back.
"""


def page() -> str:
    """The page, made of the table."""
    sections = [_HEAD.format(count=len(QUIRKS))]
    for part, title in _TITLES.items():
        rows = [f"| {row.what} | {row.source} | `{row.module}` |" for row in QUIRKS if row.part == part]
        sections.append(
            "\n".join([f"\n## {title}\n", "| what | who | where it is read |", "| --- | --- | --- |", *rows, ""])
        )
    return "".join([*sections, _finish_reasons(), _reasoning(), _parts()])


def _finish_reasons() -> str:
    rows = [f"| {', '.join(map(_word, row.words))} | {row.finish_class} | {row.source} |" for row in FINISH_REASONS]
    return "\n".join([_FINISH_REASONS, "| finish reason | class | who |", "| --- | --- | --- |", *rows, ""])


def _reasoning() -> str:
    rows = [f"| `{row.name}` | {row.form} | {row.source} |" for row in REASONING_FIELDS]
    return "\n".join([_REASONING, "| field | form | who |", "| --- | --- | --- |", *rows, ""])


def _parts() -> str:
    rows = [f"| `{row.type}` | {row.meaning} | {row.source} |" for row in CONTENT_PARTS]
    return "\n".join([_PARTS, "| type | it is | who |", "| --- | --- | --- |", *rows, ""])


def _word(word: str) -> str:
    return f"`{word}`" if word else '""'
