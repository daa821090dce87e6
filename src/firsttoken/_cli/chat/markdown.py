"""Markdown on a terminal while it is written: only ever appended to, so that no row appears twice on any width.

Paragraphs and items of lists are written word by word, code line by line. Any other block is rendered by rich once it
has ended. Where blocks begin and end is found here, line by line, so that the work stays linear. Two blocks show only
by their second line what they are, when the first was written as text: a heading that is underlined gets a line below
it, and below the head of a table whose rows do not begin with "|" comes the rest of the table.
"""

import itertools
import re
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from pygments.token import Comment, String
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Heading, Markdown, TableElement
from rich.segment import Segment
from rich.style import Style
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from firsttoken._cli.chat.paragraph import PARSER, Paragraph, styled

_Kind = Literal["heading", "fence", "rule", "item", "quote", "table", "code", "text"]

_KINDS: Final[dict[_Kind, re.Pattern[str]]] = {
    "heading": re.compile(r"#{1,6}(?:\s|$)"),
    "fence": re.compile(r"(`{3,}|~{3,})\s*([^\s`{]*)[^`]*$"),
    "rule": re.compile(r"(?:(?:\* *){3,}|(?:- *){3,}|(?:_ *){3,})$"),
    "item": re.compile(r"([-*+]|\d{1,9}[.)])(?: {1,4}|\t|$)"),
    "quote": re.compile(r">"),
    "table": re.compile(r"\|"),
}
_CERTAIN: Final = re.compile(
    r"\s*(?:(?:[-*+]|\d{1,9}[.)])\s+)?(?:[^\s#>\-+*_=~`|:\d]|\*{1,2}[^\s*]|_{1,2}[^\s_]|`{1,2}[^`]|\d+[^\d.)])"
)
"""How a line begins that is text, or an item with text, however it goes on."""

_NOT_UNDERLINED: Final = Style(underline=False)
_UNDERLINE: Final = re.compile(r"(=+|-+)\s*$")
_BELOW_HEAD: Final = frozenset("|-: \t")

_THEME: Final = Theme({"markdown.code": "cyan"})  # rich's own is on black, which is a box on a light terminal
_CODE_COLUMNS: Final = 4
_MAX_OPEN_LINES: Final = 100


class _Item(NamedTuple):
    """An item of a list that is open: where its marker stands and its text, in the source and on the screen."""

    marker_at: int
    text_at: int
    column: int
    is_bullet: bool


class MarkdownWriter:
    """Writes an answer as it comes.

    Args:
        write: takes what is to be written.
        width: gives the columns of the terminal; asked anew for each word and each block.
    """

    def __init__(self, write: Callable[[str], None], width: Callable[[], int]) -> None:
        self._write = write
        self._width = width
        self._console = Console(highlight=False, emoji=False, markup=False, force_terminal=True, theme=_THEME)
        self._line = ""  # as far as it has come
        self._is_fed = False  # whether the paragraph has it already
        self._items: list[_Item] = []
        self._kind: _Kind | None = None  # of the block that is open
        self._last: _Kind | None = None  # of the one before it
        self._rows: list[str] = []  # of a block that is rendered when it has ended
        self._fed: list[str] = []  # pieces of a line that the paragraph had at once
        self._head = ""  # the last line that was text, which may be the head of a table
        self._is_head_written = False
        self._paragraph: Paragraph | None = None
        self._fence = ""
        self._code_indent = 0
        self._code: _Code | None = None

    def write(self, text: str) -> None:
        """Add a piece of the answer."""
        *lines, rest = text.split("\n")
        for line in lines:
            self._add(line)
            self._end_line()
        if rest:
            self._add(rest)

    def end(self) -> None:
        """Write what is there of the last block."""
        self._end_line()
        self._end_block()

    def _add(self, text: str) -> None:
        """Add a piece of a line; a paragraph has it at once."""
        if self._is_fed and self._paragraph is not None:
            self._paragraph.feed(text)
            self._fed.append(text)
            return
        self._line += text
        if (
            self._kind not in ("fence", "quote", "table")
            and _CERTAIN.match(self._line)
            and self._kind_of(self._line) in ("text", "item")
        ):
            self._begin_line(self._line)

    def _end_line(self) -> None:
        line, self._line = self._line, ""
        is_fed, self._is_fed = self._is_fed, False
        if is_fed:
            self._head = line + "".join(self._fed)
            self._fed.clear()
        elif self._kind == "fence":
            self._add_code(line)
        elif line.strip():
            self._begin_line(line)
            self._is_fed = False
            self._head = line
        elif self._kind != "code":
            self._end_block()

    def _kind_of(self, line: str) -> _Kind:
        stripped = line.lstrip()
        for kind, pattern in _KINDS.items():
            if pattern.match(stripped):
                return kind
        indent = len(line) - len(stripped)
        inside = [item for item in self._items if indent > item.marker_at]
        is_code = indent - (inside[-1].text_at if inside else 0) >= _CODE_COLUMNS
        return "code" if is_code and self._kind != "text" else "text"

    def _begin_line(self, line: str) -> None:
        """Put a line where it belongs: into the block that is open, or into a new one."""
        line = line.expandtabs(_CODE_COLUMNS)
        kind = self._kind_of(line)
        if self._kind == "text" and self._paragraph is not None and self._ends_paragraph(line, self._paragraph):
            return
        if kind == "text" and self._kind == "text" and self._paragraph is not None:
            self._paragraph.feed("\n" + line.lstrip())
            self._is_fed = True
        elif self._kind in ("quote", "table") and kind in (self._kind, "text"):
            self._rows.append(line)
        else:
            self._end_block()
            self._begin_block(line, kind)

    def _ends_paragraph(self, line: str, paragraph: Paragraph) -> bool:
        """End the paragraph at a line that makes of it a heading, or of its last line the head of a table."""
        indent = len(line) - len(line.lstrip())
        around = self._items[-1].text_at if self._items else 0
        if not around <= indent < around + _CODE_COLUMNS:
            return False
        line = line.strip()
        if match := _UNDERLINE.match(line):
            paragraph.end()
            style = self._console.get_style("markdown.h1" if match[1][0] == "=" else "markdown.h2") + _NOT_UNDERLINED
            sign = "═" if match[1][0] == "=" else "─"
            self._write(" " * self._column + styled(self._console, [Segment(sign * paragraph.cells, style)]) + "\n")
            self._paragraph, self._last, self._kind = None, "heading", None
            return True
        if not self._is_head(line):
            return False
        paragraph.end()
        self._paragraph, self._kind = None, "table"
        self._rows, self._is_head_written = [self._head.strip(), line], True
        return True

    def _is_head(self, line: str) -> bool:
        """Whether the last line is the head of a table of which this is the second row."""
        if "|" not in self._head or not _BELOW_HEAD.issuperset(line):
            return False
        return PARSER.parse(f"{self._head.strip()}\n{line}")[0].type == "table_open"

    def _begin_block(self, line: str, kind: _Kind) -> None:
        stripped = line.lstrip()
        indent = len(line) - len(stripped)
        around = self._items[-1] if self._items else None
        while self._items and indent <= self._items[-1].marker_at:
            around = self._items.pop()
        if kind == "item":
            self._begin_item(stripped, indent, around)
            return
        self._begin(kind, has_gap=self._last is not None)
        if kind == "text":
            self._begin_paragraph(stripped)
        elif kind == "fence":
            self._begin_fence(stripped, indent)
        elif kind == "code":
            self._code_indent = (self._items[-1].text_at if self._items else 0) + _CODE_COLUMNS
            self._write_code(line, None)
        else:
            self._rows.append(stripped)
            if kind in ("heading", "rule"):
                self._end_block()

    def _begin(self, kind: _Kind, *, has_gap: bool) -> None:
        if has_gap:
            self._write("\n")
        self._kind = kind

    def _begin_item(self, line: str, indent: int, around: _Item | None) -> None:
        """Write the marker of an item, and what stands behind it; `around` is the one before it, or that it is in."""
        match = _KINDS["item"].match(line)
        if match is None:
            return
        is_bullet = match[1] in "-*+"
        is_next = around is not None and (around in self._items or around.is_bullet == is_bullet)
        is_tight = is_next and self._last in ("text", "item")
        self._begin("item", has_gap=self._last is not None and not is_tight)
        sign = " • " if is_bullet else f"{match[1]:>3} "
        column = self._column
        style = self._console.get_style("markdown.item.bullet" if is_bullet else "markdown.item.number", default="none")
        self._write(" " * column + styled(self._console, [Segment(sign, style)]))
        self._items.append(_Item(indent, indent + match.end(), column + len(sign), is_bullet))
        self._last, self._kind = "item", None
        rest = line[match.end() :].lstrip()
        if rest and self._kind_of(rest) == "text":
            self._kind = "text"
            self._begin_paragraph(rest, is_indented=True)
        else:
            self._write("\n")
            if rest:
                self._last = None  # no gap
                self._begin_block(" " * (indent + match.end()) + rest, self._kind_of(rest))

    def _begin_paragraph(self, text: str, *, is_indented: bool = False) -> None:
        if not is_indented:
            self._write(" " * self._column)
        self._paragraph = Paragraph(self._console, self._write, self._width, indent=self._column)
        self._paragraph.feed(text)
        self._is_fed = True

    def _begin_fence(self, line: str, indent: int) -> None:
        match = _KINDS["fence"].match(line)
        if match is not None:
            self._fence, language = match[1], match[2]
            self._code_indent = indent
            self._code = _Code(language)

    def _add_code(self, line: str) -> None:
        stripped = line.strip()
        if stripped and len(stripped) >= len(self._fence) and set(stripped) == {self._fence[0]}:
            self._end_block()
        else:
            self._write_code(line.expandtabs(_CODE_COLUMNS), self._code)

    def _write_code(self, line: str, code: "_Code | None") -> None:
        """Write a line of code as it is: the terminal wraps it, and it can be copied."""
        indent = len(line) - len(line.lstrip())
        text = line[min(indent, self._code_indent) :]
        if code is not None:
            with self._console.capture() as captured:
                self._console.print(code.highlight(text), end="", soft_wrap=True)
            text = captured.get()
        self._write(" " * self._column + text + "\n" if text else "\n")

    def _end_block(self) -> None:
        if self._kind is None:
            return
        if self._paragraph is not None:
            self._paragraph.end()
            self._paragraph = None
        if self._rows:
            self._render("\n".join(self._rows), without_head=self._is_head_written)
            self._rows, self._is_head_written = [], False
        self._last, self._kind = self._kind, None

    def _render(self, text: str, *, without_head: bool) -> None:
        """Write a block as rich renders it, without blanks at the ends of rows and blank rows at its ends."""
        column = self._column
        markdown = _Markdown("", code_theme="ansi_dark", hyperlinks=False)
        markdown.parsed = PARSER.parse(text)
        options = self._console.options.update(width=max(8, self._width() - column))
        rows = [_trimmed(row) for row in self._console.render_lines(markdown, options, pad=False)]
        if without_head:
            rows = list(itertools.dropwhile(lambda row: not _is_line(row), rows))
        while rows and not rows[0]:
            del rows[0]
        while rows and not rows[-1]:
            del rows[-1]
        for row in rows:
            self._write(" " * column + styled(self._console, row) + "\n" if row else "\n")

    @property
    def _column(self) -> int:
        return self._items[-1].column if self._items else 0


class _Code:
    """Lines of code, highlighted one by one: each with those before it to which a string or a comment is still open."""

    def __init__(self, language: str) -> None:
        self._syntax = Syntax("", language or "text", theme="ansi_dark", background_color="default")
        self._open: list[str] = []

    def highlight(self, line: str) -> Text:
        """The line in its colours."""
        lines = [*self._open, line]
        code = "\n".join(lines)
        text = self._syntax.highlight(code).split("\n", allow_blank=True)[len(lines) - 1]
        self._open = lines if len(lines) < _MAX_OPEN_LINES and self._is_open(code) else []
        return text

    def _is_open(self, code: str) -> bool:
        """Whether the last token may go on in the next line."""
        lexer = self._syntax.lexer
        tokens = [] if lexer is None else [kind for kind, text in lexer.get_tokens(code) if text.strip()]
        return bool(tokens) and (tokens[-1] in String or tokens[-1] in Comment.Multiline)


class _LeftHeading(Heading):
    LEVEL_ALIGN = dict.fromkeys(Heading.LEVEL_ALIGN, "left")


class _FoldedTable(TableElement):
    """A table that folds what is too long for a column, where rich's would cut it off."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for table in super().__rich_console__(console, options):
            if isinstance(table, Table):
                for column in table.columns:
                    column.overflow = "fold"
            yield table


class _Markdown(Markdown):
    elements = Markdown.elements | {"heading_open": _LeftHeading, "table_open": _FoldedTable}


def _is_line(row: list[Segment]) -> bool:
    return set("".join(segment.text for segment in row).strip()) == {"─"}


def _trimmed(row: list[Segment]) -> list[Segment]:
    """A row without the blanks at its end."""
    kept = [segment for segment in row if segment.text]
    while kept and not kept[-1].text.strip(" "):
        kept.pop()
    if kept:
        kept[-1] = Segment(kept[-1].text.rstrip(" "), kept[-1].style)
    return kept
