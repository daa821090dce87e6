"""Markdown of `firsttoken chat`: whatever the pieces and the width, each row once, and none missing."""

import io
import os
import random
import re
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console
from rich.markdown import Markdown

from firsttoken._cli.chat.markdown import MarkdownWriter
from firsttoken._cli.chat.paragraph import PARSER
from firsttoken.testing import Gate, ScriptedServer, done, finish, role, text
from tests.cli.chatting import PROMPT, Chatting

DOCUMENT = (Path(__file__).parent / "answer.md").read_text(encoding="utf-8")
ANSI = re.compile(r"\x1b\[[0-9;]*m")
LATE = """\
A heading
=========

Text with *emphasis*.
A heading of **level** two
---

Name | Value | Note
-----|------:|-----
one | 1 | ok 🙂
数据 two | 22 | `x`

Some text before:
Full name | Value
--- | ---
three | 3
| four | 4 |
lazy five

> quote
lazy text
- item
  | a | b |
  |---|---|
  | 1 | 2 |
- x | y
- z

A | B
not a table

| a | b |
|---|---|
| 1 | 2 |
c | d

- in a list
  a heading
  ---
- end
---

end
"""
"""What shows only by a later line what it is."""


def written(pieces: Iterable[str], width: int) -> list[str]:
    """What is written to a terminal of this width, whose output is nothing but appended to."""
    out: list[str] = []
    writer = MarkdownWriter(out.append, lambda: width)
    for piece in pieces:
        writer.write(piece)
    writer.end()
    return [row.rstrip() for row in ANSI.sub("", "".join(out)).split("\n")]


def cut(document: str, seed: int) -> list[str]:
    """Pieces of 1 to 12 characters."""
    chooser = random.Random(seed)
    at, pieces = 0, list[str]()
    while at < len(document):
        size = chooser.randint(1, 12)
        pieces.append(document[at : at + size])
        at += size
    return pieces


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_the_pieces_make_no_difference(width: int) -> None:
    for document in (DOCUMENT, LATE):
        expected = written([document], width)
        for seed in range(6):
            assert written(cut(document, seed), width) == expected
        assert written(document, width) == expected


@example("\\\n数1", 1)  # a line end that the author wants
@given(st.text(alphabet="ab *_`#-|>\n1.[]()~\\数🙂=:", max_size=60), st.integers(0, 1000))
def test_the_pieces_make_no_difference_whatever_the_text(document: str, seed: int) -> None:
    assert written(cut(document, seed), 30) == written([document], 30)


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("document", [DOCUMENT, LATE], ids=["document", "late"])
def test_what_is_written_is_what_rich_renders_of_the_finished_text(document: str, width: int) -> None:
    """Character by character, in order; rows may be wrapped elsewhere, numbers have their dot, and lines differ."""
    markdown = Markdown("", hyperlinks=False)
    markdown.parsed = PARSER.parse(document)
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as captured:
        console.print(markdown)
    beside = re.compile(r"[\s.─═|-]" if document is LATE else r"[\s.]")
    assert beside.sub("", "".join(written([document], width))) == beside.sub("", ANSI.sub("", captured.get()))


def test_a_heading_gets_its_line_and_a_table_its_rest() -> None:
    rows = written(cut(LATE, 1), 40)
    assert rows[:6] == [
        "A heading",
        "═════════",
        "",
        "Text with emphasis. A heading of level",
        "two",
        "──────────────────────────────────────",
    ]
    assert rows[7:12] == [
        "Name | Value | Note",
        " ──────────────────────",
        " one           1  ok 🙂",
        " 数据 two     22  x",
        "",
    ]


def test_what_it_looks_like() -> None:
    expected = (Path(__file__).parent / "answer-40.txt").read_text(encoding="utf-8").split("\n")
    assert written([DOCUMENT], 40) == expected


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        (["Som"], ""),
        (["Some wor"], "Some"),
        (["Some **bold words "], "Some"),
        (["Some **bold words** "], "Some bold words"),
        (["A [link](http://a"], "A"),
        (["2 * 3 i"], "2 * 3"),
        (["- An item of"], " • An item"),
        (["1. An item of"], " 1. An item"),
        (["```\nx = 1\ny"], "x = 1\n"),
        (["| a | b |\n|--|--|\n| 1 | 2"], ""),
        (["数据很"], "数据"),
    ],
)
def test_a_word_is_shown_once_it_is_certain(pieces: list[str], shown: str) -> None:
    out: list[str] = []
    writer = MarkdownWriter(out.append, lambda: 80)
    for piece in pieces:
        writer.write(piece)
    assert ANSI.sub("", "".join(out)) == shown


def test_a_string_of_several_lines_keeps_its_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out: list[str] = []
    MarkdownWriter(out.append, lambda: 80).write('```python\n"""One\nif two\n\nthree"""\nif x: pass\n')
    rows = "".join(out).split("\n")
    (colour,) = set(re.findall(r"\x1b\[[0-9;]+m", rows[1])) - {"\x1b[0m"}
    assert colour in rows[3]
    assert colour not in rows[4]


def test_nothing_moves_the_cursor() -> None:
    out: list[str] = []
    writer = MarkdownWriter(out.append, lambda: 40)
    for piece in cut(DOCUMENT, 1):
        writer.write(piece)
    writer.end()
    assert "\x1b" not in ANSI.sub("", "".join(out))
    assert "\r" not in "".join(out)


# --- under a terminal -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_the_screen_has_each_row_once(tmp_path: Path, columns: int) -> None:
    script = [role(), *map(text, cut(DOCUMENT, columns)), finish(), done()]
    with (
        ScriptedServer(script) as server,
        Chatting(tmp_path, "--base-url", server.base_url, columns=columns, rows=120) as chat,
    ):
        chat.wait_for_prompt()
        chat.send("Show me.")
        rows = chat.wait_for_prompt_after("Show me.")
    assert rows == [">>> Show me.", *_as_on_a_screen(written([DOCUMENT], columns), columns), PROMPT]


@pytest.mark.parametrize(("before", "after"), [(80, 40), (40, 120)])
def test_a_resize_in_the_middle_neither_repeats_nor_loses(tmp_path: Path, before: int, after: int) -> None:
    gate = Gate()
    head, tail = DOCUMENT[: DOCUMENT.index("## Middle")], DOCUMENT[DOCUMENT.index("## Middle") :]
    script = [role(), *map(text, cut(head, 1)), gate, *map(text, cut(tail, 2)), finish(), done()]
    with (
        ScriptedServer(script) as server,
        Chatting(tmp_path, "--base-url", server.base_url, columns=before, rows=120) as chat,
    ):
        chat.wait_for_prompt()
        chat.send("Show me.")
        chat.wait_for("END OF THE FIRST HALF")
        first = list(chat.rows)
        chat.resize(after, rows=120)
        gate.open()
        rows = chat.wait_for_prompt_after("Show me.")
    assert rows[: len(first)] == [row[:after].rstrip() for row in first]  # pyte does not wrap what is there anew
    assert rows[len(first) :] == ["", *_as_on_a_screen(written([tail], after), after), PROMPT]


def _as_on_a_screen(rows: list[str], columns: int) -> list[str]:
    """Long lines of code, which the terminal wraps."""
    return [row[at : at + columns].rstrip() for row in rows for at in range(0, max(1, len(row)), columns)]


@pytest.mark.parametrize(
    ("arguments", "variables", "shown", "colours"),
    [
        ([], {}, "So bold.", True),
        ([], {"NO_COLOR": "1"}, "So bold.", False),
        (["--markdown", "never"], {}, "So **bold**.", False),
        ([], {"TERM": "dumb"}, "So **bold**.", False),
    ],
)
def test_how_it_is_shown_is_the_users_choice(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], shown: str, colours: bool
) -> None:
    with (
        ScriptedServer("So **bold**.\n\n1. a") as server,
        Chatting(tmp_path, "--base-url", server.base_url, *arguments, variables=variables) as chat,
    ):
        chat.wait_until(lambda rows: rows[-1].startswith(">>>"))
        chat.send("Why?")
        chat.wait_for(f"^{re.escape(shown)}$")
        chat.wait_until(lambda rows: rows[-1].startswith(">>>") and "1. a" in "".join(rows))
        used = {char.fg for row in chat.screen.buffer.values() for char in row.values() if char.data == "1"}
    assert (used != {"default"}) is colours


def test_control_characters_of_a_server_reach_no_terminal(tmp_path: Path) -> None:
    script = "Red \x1b[31malert\x1b[2J\x07\r\x9b2J."
    with ScriptedServer(script) as server, Chatting(tmp_path, "--base-url", server.base_url) as chat:
        chat.wait_for_prompt()
        chat.send("Why?")
        chat.wait_for("^Red \\?\\[31malert\\?\\[2J\\?\\?2J\\.$")
        assert chat.wait_for_prompt()[0] == ">>> Why?"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mixed", "a paragraph", "open emphasis", "a table", "code", "one word"])
def test_its_cost_is_linear(kind: str) -> None:
    seeds = {
        "mixed": DOCUMENT,
        "a paragraph": "word **bold** and `code`, ",
        "open emphasis": "*word [word `word ",
        "a table": "| a | b |\n",
        "code": "x = f(1, 'a')  # c\n",
        "one word": "a" * 50,
    }
    prefix = {"a table": "| a | b |\n|---|---|\n", "code": "```python\n"}.get(kind, "")

    def cost_s(size: int) -> float:
        document = prefix + (seeds[kind] * (size // len(seeds[kind]) + 1))[:size]
        began_s = time.process_time()
        written(cut(document, 1), 80)
        return time.process_time() - began_s

    cost_s(1000)
    small, large = min(cost_s(25_000) for _ in range(3)), cost_s(200_000)
    print(f"{kind}: {small:.2f} s for 25 kB, {large:.2f} s for 200 kB, {os.cpu_count()} CPUs")
    assert large < 8 * small * 2
