"""Programs that others wrote, as servers of a test: found or skipped, started, waited for, and ended."""

import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

END_S = 10.0
"""How long a program may take to end before it is killed."""

PACE_S = 0.01


def program(name: str) -> str:
    """Where a program is; the test is skipped where it is not."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")
    return found or pytest.skip(f"there is no {name} here (Debian: apt-get install nginx tinyproxy-bin)")


def free_port() -> int:
    """A port that nobody listens on, for programs that can't be given a socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Service:
    """A running program, which is ended when it is left; what it writes is kept.

    Nothing of this process's environment is passed on but what is given. The program's standard input is a pipe that
    ends with this process.
    """

    def __init__(
        self, command: Sequence[str | Path], *, env: Mapping[str, str], folder: Path, sockets: Sequence[int] = ()
    ) -> None:
        self._lines: list[str] = []
        self._ended = False
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env,
            cwd=folder,
            pass_fds=sockets,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(END_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    @property
    def log(self) -> str:
        with self._news:
            return "".join(self._lines)

    def wait_for(self, pattern: str, within_s: float) -> re.Match[str]:
        """Wait until it has written this (a regular expression)."""
        with self._news:
            self._news.wait_for(lambda: self._ended or self._search(pattern), within_s)
            found = self._search(pattern)
        assert found, f"the program did not write {pattern!r} within {within_s:.0f} s, but\n{self.log[-4000:]}"
        return found

    def wait_until_listening(self, port: int, within_s: float) -> None:
        """Wait until it takes connections, for programs that don't say so."""
        for _ in range(int(within_s / PACE_S)):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except ConnectionRefusedError:
                with self._news:
                    self._news.wait_for(lambda: self._ended, PACE_S)
                    assert not self._ended, f"the program has ended: {''.join(self._lines)}"
            else:
                return
        raise AssertionError(f"the program does not listen on port {port} within {within_s:.0f} s:\n{self.log}")

    def _search(self, pattern: str) -> re.Match[str] | None:
        return re.search(pattern, "".join(self._lines))

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._note(lambda line=line: self._lines.append(line))
        self._note(lambda: setattr(self, "_ended", True))

    def _note(self, change: Callable[[], None]) -> None:
        with self._news:
            change()
            self._news.notify_all()
