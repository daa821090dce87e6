"""The command's three standard streams, and what can happen to each.

stdin may be a terminal, closed, empty, or a pipe that nobody ever writes to; stdout may be closed at any moment, or
from the start; so may stderr. Text is UTF-8, whatever the locale says.
"""

import os
import select
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO, Final

import click

from firsttoken._cli.status import EXPECTED_ERRORS, Status, status_of

_SILENT_WAIT_S: Final = 1.0
_ECHO_OF_CTRL_C: Final = len("^C")

ERASE_ROW: Final = "\r\x1b[K"
"""Erases the row that the cursor is in, of a terminal that knows more than `TERM=dumb`."""


class CommandError(Exception):
    """The command can't do what it was asked for.

    Attributes:
        status: the command's exit status.
    """

    def __init__(self, message: str, status: Status) -> None:
        super().__init__(message)
        self.status = status


class OutputError(CommandError):
    """Standard output can't be written to. A closed pipe, which is the reader's right, has its own status."""


class Answer:
    """The answer on stdout: each piece is flushed at once, to a terminal and into a pipe alike.

    A terminal gets no control characters: a model may write sequences that set the clipboard or the title, or that
    hide what came before. A pipe gets every character as it came.

    Raises:
        OutputError: by any of its methods: stdout is closed, or can't be written to.
    """

    def __init__(self) -> None:
        self._at_line_start = True

    def write(self, text: str) -> None:
        """Write a piece of the answer."""
        if text:
            self.draw(harmless(text) if _stdout().isatty() else text)

    def draw(self, text: str) -> None:
        """Write text with the command's own control sequences, in which what a server sent is `harmless`."""
        self._at_line_start = text.endswith(("\n", ERASE_ROW))
        _write_bytes(_stdout(), text.encode(errors="replace"))

    def end(self) -> None:
        """End the last line, if the answer did not."""
        if not self._at_line_start:
            self.write("\n")

    def break_off(self) -> None:
        """After an incomplete answer: end the line on a terminal; a pipe gets what came and nothing else."""
        if not self._at_line_start and _stdout().isatty():
            self.write("\n")


def harmless(text: str) -> str:
    """A text for a terminal: control characters as "?", save for line breaks and tabs; carriage returns are dropped."""
    return text if text.isprintable() else text.translate(_FOR_TERMINALS)


_FOR_TERMINALS: Final = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], "?"),  # C0, DEL and C1
    **dict.fromkeys([0x2028, 0x2029], "\n"),
    ord("\n"): "\n",
    ord("\t"): "\t",
    ord("\r"): None,
}


def message_of(error: Exception) -> str:
    """The message of an error and, on a line of its own, its hint."""
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


def report(error: Exception, hint: str = "") -> Status:
    """Write what failed, a `CommandError` or one of `EXPECTED_ERRORS`; return the exit status.

    Raises:
        Exception: it is another one: a mistake of ours, which shows its traceback.
    """
    if isinstance(error, CommandError):
        status, what = error.status, str(error)
    elif isinstance(error, EXPECTED_ERRORS):
        status, what = status_of(error), f"{message_of(error)}{hint}"
    else:
        raise error
    if status is not Status.PIPE_CLOSED:
        log_stderr(f"firsttoken: {'the answer is incomplete: ' if status is Status.TRUNCATED else ''}{what}")
    return status


def log_stderr(text: str, indent: int = 0) -> None:
    """Write lines to stderr, control characters (a server may have sent them) as "?".

    Args:
        text: the lines.
        indent: of what a terminal has in further rows, where a line is wrapped.
    """
    clean = "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
    _write_stderr(f"{_wrapped(clean, indent)}\n")


def _wrapped(text: str, indent: int) -> str:
    """Lines that are longer than the terminal is wide, wrapped between words."""
    width = _stderr_width()
    if not width or max(map(len, text.split("\n"))) <= width:
        return text
    import textwrap

    wrapper = textwrap.TextWrapper(
        width, subsequent_indent=" " * min(indent, width // 2), break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(wrapper.fill(line) for line in text.split("\n"))


def _stderr_width() -> int:
    """The columns of the terminal; 0 where that is not known, or there is none."""
    return os.get_terminal_size(sys.stderr.fileno()).columns if is_terminal(sys.stderr) else 0


class LiveLine:
    """A line on a terminal's stderr that is written anew in its place, cut to one row; nothing on other streams."""

    def __init__(self) -> None:
        self._width = 0

    def show(self, text: str) -> None:
        """Write a text, in place of the one that is shown."""
        if is_terminal(sys.stderr):
            if width := _stderr_width():
                text = text[: width - 1 - _ECHO_OF_CTRL_C]
            back = "\r" if self._width else ""
            _write_stderr(f"{back}{text:<{self._width}}")
            self._width = max(self._width, len(text))

    def clear(self) -> None:
        """Erase it."""
        if self._width:
            # Blanks, not an escape sequence: every terminal knows them.
            _write_stderr("\r" + " " * (self._width + _ECHO_OF_CTRL_C) + "\r")
            self._width = 0


@contextmanager
def status_line(text: str) -> Generator[None]:
    """Show a line on a terminal's stderr while the block runs, then erase it; `update_status_line` changes it."""
    line = LiveLine()
    line.show(f"{text} ")
    _shown.append(line)
    try:
        yield
    finally:
        _shown.pop().clear()


def update_status_line(text: str) -> None:
    """Write another text in place of the status line, if one is shown."""
    if _shown:
        _shown[-1].show(f"{text} ")


_shown: list[LiveLine] = []  # the status lines under way


def read_stdin() -> str:
    """What is piped into the command, "" where nothing is, and for a terminal.

    Raises:
        click.UsageError: stdin can't be read, or is not UTF-8.
    """
    if not _is_open(sys.stdin) or is_terminal(sys.stdin):
        return ""
    try:
        _log_if_silent()
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"standard input is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise click.UsageError(f"standard input can't be read: {error.strerror}") from error


def _log_if_silent() -> None:
    if sys.platform != "win32" and not select.select([sys.stdin], [], [], _SILENT_WAIT_S)[0]:
        log_stderr("firsttoken: waiting for standard input to end (< /dev/null says that there is none)")


def is_terminal(stream: IO[str] | None) -> bool:
    """Whether a standard stream is there, and a terminal."""
    return stream is not None and stream.isatty()


def _is_open(stream: object) -> bool:
    return stream is not None  # Python's word for a descriptor that was closed before it started


def _stdout() -> IO[bytes]:
    if not _is_open(sys.stdout):
        raise OutputError("standard output is closed", Status.NO_OUTPUT)
    return sys.stdout.buffer


def _write_bytes(stream: IO[bytes], data: bytes) -> None:
    if sys.platform != "win32":  # pragma: no branch
        os.set_blocking(stream.fileno(), True)  # a pipe made by another program's event loop may not be
    try:
        stream.write(data)
        stream.flush()
    except OSError as error:
        _redirect_to_devnull(stream)
        if isinstance(error, ConnectionError):  # a pipe, or a socket, that nobody reads any more
            raise OutputError("standard output was closed", Status.PIPE_CLOSED) from error
        raise OutputError(f"standard output takes no more: {error.strerror}", Status.NO_OUTPUT) from error


def _write_stderr(text: str) -> None:
    if _is_open(sys.stderr):
        try:
            print(end=text, file=sys.stderr, flush=True)
        except OSError:
            _redirect_to_devnull(sys.stderr.buffer)


def _redirect_to_devnull(stream: IO[bytes]) -> None:
    """Drop what the stream still buffers; at exit, Python would try once more, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
