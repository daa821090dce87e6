"""`firsttoken chat` under a terminal of its own, whose screen pyte keeps as a real terminal would."""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pyte

from tests.support.command import COMMAND, TAKE_THE_TERMINAL, TIMEOUT_S, environment

PROMPT = ">>> Send a message (/help for help)"


class Chatting:
    """The command under way, with files of its own in a folder.

    Args:
        folder: has its configuration, transcripts and history.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        columns: int = 80,
        rows: int = 50,
        command: list[str] | None = None,
        variables: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._fd, inner = os.openpty()
        self._set_size(columns, rows)
        usual = {"TERM": "xterm-256color", "NO_COLOR": "", "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_THE_TERMINAL, *(command or [*COMMAND, "chat"]), *arguments],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            env=environment(**(usual | (variables or {}))),
        )
        os.close(inner)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)  # hangs up, which ends what still runs
        self.process.wait(TIMEOUT_S)

    @property
    def rows(self) -> list[str]:
        """What the screen shows, without blanks at the ends."""
        return "\n".join(row.rstrip() for row in self.screen.display).rstrip("\n").split("\n")

    def wait_until(self, is_so: Callable[[list[str]], object]) -> list[str]:
        """Reads until the screen is as wanted; gives its rows."""
        deadline = time.monotonic() + TIMEOUT_S
        while not is_so(self.rows):
            shown = "\n".join(self.rows)
            assert self._read(deadline), f"the screen shows\n{shown}"
        return self.rows

    def wait_for(self, pattern: str) -> list[str]:
        """Reads until a row matches (a regular expression)."""
        return self.wait_until(lambda rows: any(re.search(pattern, row) for row in rows))

    def wait_for_prompt(self) -> list[str]:
        """Reads until an empty prompt is the last row."""
        return self.wait_until(lambda rows: rows[-1] == PROMPT)

    def wait_for_prompt_after(self, question: str) -> list[str]:
        """Reads until a question was answered, or its failure shown, and the prompt is back."""
        return self.wait_until(lambda rows: f">>> {question}" in rows and rows[-1] == PROMPT)

    def wait_until_keys_are_signals(self) -> None:
        """Waits until the line editor has let go of the terminal."""
        deadline = time.monotonic() + TIMEOUT_S
        while not termios.tcgetattr(self._fd)[3] & termios.ISIG:
            if select.select([self._fd], [], [], 0.001)[0]:
                self._read(deadline)
            assert time.monotonic() < deadline

    def type(self, text: str | bytes) -> None:
        """Type; the terminal's own answers are read meanwhile, so that neither end waits for the other."""
        data = text.encode() if isinstance(text, str) else text
        while data:
            readable, writable, _ = select.select([self._fd], [self._fd], [], TIMEOUT_S)
            if readable:
                self._read(time.monotonic() + TIMEOUT_S)
            if writable:
                data = data[os.write(self._fd, data[:512]) :]

    def send(self, text: str) -> None:
        """Type a message, and Enter."""
        self.type(f"{text}\r")

    def resize(self, columns: int, rows: int = 50) -> None:
        """Give the terminal another size, and the command its signal."""
        self.screen.resize(rows, columns)
        self._set_size(columns, rows)
        os.kill(self.process.pid, signal.SIGWINCH)

    def end(self) -> int:
        """Reads to the end and gives the exit status."""
        deadline = time.monotonic() + TIMEOUT_S
        while self._read(deadline):
            pass
        return self.process.wait(TIMEOUT_S)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self, deadline: float) -> bool:
        ready = select.select([self._fd], [], [], max(0, deadline - time.monotonic()))[0]
        shown = "\n".join(self.rows)
        assert ready, f"nothing more comes, and the screen shows\n{shown}"
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # how Linux says that the other end is closed
            data = b""
        self._stream.feed(data)
        if b"\x1b[6n" in data:  # where is the cursor?
            os.write(self._fd, f"\x1b[{self.screen.cursor.y + 1};{self.screen.cursor.x + 1}R".encode())
        return bool(data)
