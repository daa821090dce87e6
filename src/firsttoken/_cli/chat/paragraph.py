"""A paragraph that is shown while it is written: word by word, each as soon as its style is certain."""

import re
from collections.abc import Callable, Iterator
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.cells import cell_len
from rich.console import Console
from rich.markdown import Markdown
from rich.segment import Segment, Segments
from rich.style import Style

# Without html, or rich would leave out what looks like a tag.
PARSER: Final = MarkdownIt("commonmark", {"html": False}).enable("strikethrough").enable("table")

_WIDE: Final = (
    "\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f"
    "\uff00-\uff60\uffe0-\uffe6\U00020000-\U0003fffd"
)
_NEVER_FIRST: Final = "、。，．！？；：）】」』》〉…"  # noqa: RUF001 - the full-width ones are meant
_SPECIAL: Final = re.compile(r"[*_`~\[\]()!\\&<]")
_UNITS: Final = re.compile(rf"[ \t\n]+|[{_WIDE}][{_NEVER_FIRST}]*|[^ \t\n{_WIDE}]+")
_CUT: Final = re.compile(rf"(?<=[{_WIDE}])(?=[^\s{_NEVER_FIRST}*_`~\[\]()!\\&<])|(?<=[^\s\\])(?=[ \t\n])")
_MAY_OPEN: Final = re.compile(r"\*(?!\s)|~~(?!\s)|(?<!\w)_(?!\s)|`")
_OPEN_LINK: Final = re.compile(r"\[[^\]]*(?:\]\([^)]*)?$")
_MANY: Final = 256
_STRIDE: Final = 80

_Part = tuple[str, Style | None]


class Paragraph:
    """Writes the words of a paragraph, wrapped to the width that the terminal has at that moment.

    A word is held back while it may yet change: inside of emphasis, code or a link that has no end so far. Each word is
    parsed once, but for those that are held back.

    Args:
        console: gives the styles.
        write: takes what is to be written.
        width: gives the columns of the terminal.
        indent: the column where its rows begin; the cursor is there already.

    Attributes:
        cells: the width of the longest row.
    """

    def __init__(
        self, console: Console, write: Callable[[str], None], width: Callable[[], int], *, indent: int = 0
    ) -> None:
        self._console = console
        self._write = write
        self._width = width
        self._indent = indent
        self._pieces: list[str] = []  # what is held back
        self._length = 0  # of it
        self._try_at = 0
        self._open_cut = 0  # up to there something is open
        self._column = 0  # from the indent on
        self.cells = 0
        self._space = ""
        self._unit: list[_Part] = []

    def feed(self, text: str) -> None:
        """Add text; a line end between two lines of the paragraph is one too."""
        self._pieces.append(text)
        self._length += len(text)
        if self._length >= self._try_at:
            self._emit_settled()

    def end(self) -> None:
        """Write what is held back, and end the row."""
        self._emit("".join(self._pieces))
        self._hold("")
        self._write("\n")

    def _hold(self, text: str) -> None:
        self._pieces, self._length, self._try_at = [text], len(text), 0

    def _emit_settled(self) -> None:
        held = "".join(self._pieces)
        self._hold(held)
        last = cut = _last_cut(held, len(held))
        special = _SPECIAL.search(held, 0, cut)
        if special is not None and (cut == self._open_cut or not _is_settled(held[:cut])):
            cut = _last_cut(held, special.start())
        if cut:
            self._emit(held[:cut])
            self._hold(held[cut:])
        self._open_cut = last - cut
        if self._length > _MANY:
            # Linear: what is held back for long is looked at again only when it has grown.
            self._try_at = self._length * 9 // 8

    def _emit(self, piece: str) -> None:
        words = piece.lstrip(" \t\n")
        before = piece[: len(piece) - len(words)]
        if before:
            self._end_unit()
            self._space = "\n" if "  \n" in before else " "
        for text, style in self._parts(words.rstrip(" \t\n")):
            for unit in _UNITS.findall(text):
                self._add(unit, style)
        self._end_unit()

    def _parts(self, text: str) -> Iterator[_Part]:
        """The text in its styles; a line end is one that the author wants."""
        if not _SPECIAL.search(text) and "\n" not in text:
            yield text, None
            return
        markdown = Markdown("", justify="default", hyperlinks=False)
        children = PARSER.parseInline(text)
        markdown.parsed = [Token("paragraph_open", "p", 1), *children, Token("paragraph_close", "p", -1)]
        options = self._console.options.update(width=len(text) * 2 + 80)
        segments = [Segment(*segment) for segment in self._console.render(markdown, options)]
        while segments and segments[-1].text == "\n":
            segments.pop()
        for segment in segments:
            yield segment.text, segment.style

    def _add(self, unit: str, style: Style | None) -> None:
        if unit[0] in " \t\n":
            self._end_unit()
            self._space = "\n" if "\n" in unit else unit.replace("\t", " ")
            return
        if _is_wide(unit) or (self._unit and _is_wide(self._unit[-1][0])):
            self._end_unit()
        self._unit.append((unit, style))

    def _end_unit(self) -> None:
        """Write a word, or a glyph of a script without spaces, in this row or in the next."""
        unit, self._unit = self._unit, []
        if not unit:
            return
        width = max(2, self._width() - self._indent)
        cells = sum(cell_len(text) for text, _ in unit)
        if self._space == "\n" or (self._column and self._column + len(self._space) + cells > width):
            self._write("\n" + " " * self._indent)
            self._column = 0
        elif self._column:
            self._write(self._space)
            self._column += len(self._space)
        self._space = ""
        if cells > width:
            unit = list(_folded(unit, width, self._indent))
            cells = cell_len("".join(text for text, _ in unit).rpartition("\n")[2]) - self._indent
        self._column += cells
        self.cells = max(self.cells, self._column)
        if any(style is not None for _, style in unit):
            self._write(styled(self._console, [Segment(text, style) for text, style in unit]))
        else:
            self._write("".join(text for text, _ in unit))


def styled(console: Console, segments: list[Segment]) -> str:
    """Segments as a terminal shows them, in their styles."""
    with console.capture() as captured:
        console.print(Segments(segments), end="", soft_wrap=True)
    return captured.get()


def _last_cut(text: str, end: int) -> int:
    """The last place up to `end` where a row may be broken, 0 if there is none."""
    while end > 0:
        start = max(0, end - _STRIDE)
        cuts = [match.start() for match in _CUT.finditer(text, start, end + 1) if 0 < match.start() <= end]
        if cuts:
            return cuts[-1]
        end = start
    return 0


def _is_settled(text: str) -> bool:
    """Whether no emphasis, code or link is open at the end of a text."""
    (inline,) = PARSER.parseInline(text)
    texts = [token.content for token in inline.children or () if token.type == "text"]
    if any(_MAY_OPEN.search(content) for content in texts):
        return False
    return not any("[" in content for content in texts) or _OPEN_LINK.search(text) is None


def _is_wide(unit: str) -> bool:
    return re.match(f"[{_WIDE}]", unit) is not None


def _folded(unit: list[_Part], width: int, indent: int) -> Iterator[_Part]:
    """A word that is longer than a row, with line ends in it."""
    column = 0
    for text, style in unit:
        row = ""
        for char in text:
            cells = cell_len(char)
            if column + cells > width:
                row += "\n" + " " * indent
                column = 0
            row += char
            column += cells
        yield row, style
