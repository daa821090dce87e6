"""What a chat shows of an answer: reasoning in one row that vanishes, then the answer, never written twice."""

import os
import sys
import time
from typing import TYPE_CHECKING, Final

from firsttoken._cli.terminal import ERASE_ROW, Answer, harmless, is_terminal

if TYPE_CHECKING:
    from firsttoken._cli.chat.markdown import MarkdownWriter

_REDRAW_S: Final = 0.1
_SHOWN_CHARACTERS: Final = 1000
_ROW_CELLS: Final = 39
"""Of the row that vanishes. A terminal that is made narrower than it breaks it in two, of which one would stay."""

_MODEL_CELLS: Final = 12
_DIM: Final = "\x1b[2m"
_RESET: Final = "\x1b[0m"


class Screen:
    """Writes answers to stdout; on a terminal that moves its cursor, also what is going on meanwhile.

    Args:
        markdown: whether answers are shown as formatted Markdown, if stdout is a terminal that can.

    Raises:
        OutputError: by any of its methods: stdout can't be written to.
    """

    def __init__(self, *, markdown: bool) -> None:
        self._answer = Answer()
        self._is_live = is_terminal(sys.stdout) and os.environ.get("TERM", "") not in ("", "dumb")
        self._wants_markdown = markdown and self._is_live
        self._markdown: MarkdownWriter | None = None
        self._row = ""
        self._has_text = False
        self._drawn_at = 0.0
        self._reasoning = ""
        self._reasoned_since: float | None = None

    @property
    def formats(self) -> bool:
        """Whether answers are formatted, for which rich has to be there."""
        return self._wants_markdown

    def begin(self, model: str) -> None:
        """Show what is waited for."""
        self._reasoning, self._reasoned_since, self._has_text = "", None, False
        if self._is_live:
            self._draw(f"waiting for {_last_cells(harmless(model), _MODEL_CELLS)} (Ctrl-C stops)")

    def retry(self, text: str) -> None:
        """Show why it takes longer."""
        if self._row:
            self._draw("", text)

    def reasoning(self, delta: str) -> None:
        """Show the end of what the model thinks so far."""
        now = time.monotonic()
        is_first = self._reasoned_since is None
        if is_first:
            self._reasoned_since = now
        self._reasoning = (self._reasoning + delta)[-_SHOWN_CHARACTERS:]
        if is_first or now - self._drawn_at > _REDRAW_S:
            self._draw("thinking: ", self._reasoning)

    def text(self, delta: str) -> None:
        """Show a piece of the answer."""
        self._end_row()
        self._has_text = True
        if not self._wants_markdown:
            self._answer.write(delta)
            return
        if self._markdown is None:
            from firsttoken._cli.chat.markdown import MarkdownWriter

            self._markdown = MarkdownWriter(self._answer.draw, terminal_width)
        self._markdown.write(harmless(delta))

    def end(self, state: str) -> None:
        """End the answer, and on a terminal say how it ended, where that is worth a word.

        Args:
            state: of the stream.
        """
        self._end_row()
        if self._markdown is not None:
            self._markdown.end()
            self._markdown = None
        if state == "complete":
            self._answer.end()
        else:
            self._answer.break_off()
        note = "(stopped)" if state == "stopped" else "(an empty answer)" if self._is_empty(state) else ""
        if note and self._is_live:
            self._answer.draw(f"{self._dimmed(note)}\n")

    def separate(self) -> None:
        """Leave a row free before the next prompt."""
        if self._is_live:
            self._answer.draw("\n")

    def _is_empty(self, state: str) -> bool:
        return state == "complete" and not self._has_text

    def _draw(self, title: str, text: str = "") -> None:
        """Show a row that vanishes: of the text, its end."""
        if not self._is_live:
            return
        cells = min(_ROW_CELLS, terminal_width() - 1)
        self._row = title[:cells] + _last_cells(" ".join(harmless(text).split()), cells - len(title))
        self._drawn_at = time.monotonic()
        self._answer.draw(f"{ERASE_ROW}{self._dimmed(self._row)}")

    def _end_row(self) -> None:
        """Replace the row by what remains of it: nothing, or for how long the model was thinking."""
        if not self._row:
            return
        self._row = ""
        self._answer.draw(ERASE_ROW)
        if self._reasoned_since is not None:
            self._answer.draw(f"{self._dimmed(f'thought for {time.monotonic() - self._reasoned_since:.1f} s')}\n")

    @staticmethod
    def _dimmed(text: str) -> str:
        return f"{_DIM}{text}{_RESET}"


def terminal_width() -> int:
    """The columns of the terminal on stdout, as they are now."""
    return os.get_terminal_size(sys.stdout.fileno()).columns or 80


def _last_cells(text: str, width: int) -> str:
    """The end of a text, so much of it as fits into a row."""
    from wcwidth import wcwidth  # prompt_toolkit's, which is imported by now

    left = width
    for at in range(len(text) - 1, -1, -1):
        left -= max(0, wcwidth(text[at]))
        if left < 1 and (at or left < 0):
            return "…" + text[at + 1 :] if width > 0 else ""
    return text
