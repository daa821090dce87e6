"""Acts in the middle of a function, as a signal handler does: between any two of its lines."""

import sys
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupt:
    """How many lines of some files have run, and which one is to act."""

    def __init__(self, files: Collection[str], act: Callable[[], None], line: int) -> None:
        self.lines = 0
        self._files = files
        self._act = act
        self._line = line

    def trace(self, frame: FrameType, event: str, _argument: object) -> Any:
        if frame.f_code.co_filename not in self._files:
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self._line:
                self._act()
        return self.trace


@contextmanager
def acting_at(line: int, act: Callable[[], None], files: Collection[str]) -> Generator[Interrupt]:
    """Do something before the given line (counted as they run) of these files."""
    interrupt, before = Interrupt(files, act, line), sys.gettrace()
    sys.settrace(interrupt.trace)
    try:
        yield interrupt
    finally:
        sys.settrace(before)


@contextmanager
def raising_at(line: int, error: BaseException, files: Collection[str]) -> Generator[Interrupt]:
    """Raise an error before the given line (counted as they run) of these files."""

    def act() -> None:
        raise error

    with acting_at(line, act, files) as interrupt:
        yield interrupt
