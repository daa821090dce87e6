"""Raises in the middle of a function, as a signal handler does: between any two of its lines."""

import sys
from collections.abc import Collection, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupt:
    """How many lines of some files have run, and which one is to raise."""

    def __init__(self, files: Collection[str], error: BaseException, line: int) -> None:
        self.lines = 0
        self._files = files
        self._error = error
        self._line = line

    def trace(self, frame: FrameType, event: str, _argument: object) -> Any:
        if frame.f_code.co_filename not in self._files:
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self._line:
                raise self._error
        return self.trace


@contextmanager
def raising_at(line: int, error: BaseException, files: Collection[str]) -> Generator[Interrupt]:
    """Raise an error before the given line (counted as they run) of these files."""
    interrupt, before = Interrupt(files, error, line), sys.gettrace()
    sys.settrace(interrupt.trace)
    try:
        yield interrupt
    finally:
        sys.settrace(before)
