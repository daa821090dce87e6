"""The command `firsttoken` as a process of its own: run to its end, left running, or under a terminal."""

import os
import re
import select
import subprocess
import sys
import time
from typing import Self

COMMAND = [sys.executable, "-m", "firsttoken"]
TIMEOUT_S = 60.0


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without what would lead a client elsewhere: no settings and no files of a user."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("OPENAI_") and not name.lower().endswith("_proxy")
    }
    places = {"XDG_CONFIG_HOME": "/nowhere", "XDG_DATA_HOME": "/nowhere", "XDG_STATE_HOME": "/nowhere"}
    return kept | {"PYTHONWARNINGS": "default"} | places | variables


def run(*arguments: str, stdin: str | bytes = b"", **variables: str) -> "subprocess.CompletedProcess[str]":
    """Runs the command to its end; what it wrote is read as UTF-8."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        check=False,
        timeout=TIMEOUT_S,
        env=environment(**variables),
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def start(*arguments: str, **variables: str) -> "subprocess.Popen[bytes]":
    """Starts the command with nothing on its stdin, and unbuffered pipes from its output."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=environment(**variables),
    )


def read_exactly(process: "subprocess.Popen[bytes]", size: int) -> bytes:
    """The next bytes of a process's stdout; fewer where it ends first."""
    assert process.stdout is not None
    data = b""
    while len(data) < size and (more := process.stdout.read(size - len(data))):
        data += more
    return data


# Not by `pty.fork`: to fork a process that has threads is a warning, and with it an error, since Python 3.12.
TAKE_THE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """The command under a terminal of its own, which Ctrl-C can be typed into."""

    def __init__(self, *arguments: str, **variables: str) -> None:
        self._fd, inner = os.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", TAKE_THE_TERMINAL, *COMMAND, *arguments],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            env=environment(TERM="dumb", **variables),
        )
        os.close(inner)
        self.pid = self._process.pid
        self.seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)  # hangs up, which ends what still runs
        self._process.wait(TIMEOUT_S)

    def expect(self, pattern: str) -> None:
        """Reads until the screen has shown this (a regular expression)."""
        deadline = time.monotonic() + TIMEOUT_S
        while not re.search(pattern, self.seen):
            assert self._read(deadline), f"the terminal shows {self.seen!r}, not {pattern!r}"

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def wait(self) -> int:
        """Reads to the end and gives the exit status."""
        deadline = time.monotonic() + TIMEOUT_S
        while self._read(deadline):
            pass
        return self._process.wait(TIMEOUT_S)

    def _read(self, deadline: float) -> bool:
        ready = select.select([self._fd], [], [], max(0, deadline - time.monotonic()))[0]
        assert ready, f"the terminal shows {self.seen!r}, and nothing more comes"
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # how Linux says that the other end is closed
            data = b""
        self.seen += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)
