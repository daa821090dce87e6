"""Recordings: exchanges in order, and the file that keeps them."""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

from firsttoken.testing._recording.format import (
    FIRST_LINE,
    LineError,
    decode_line,
    encode_line,
    end_line,
    read_line,
    request_line,
    take_line,
)
from firsttoken.testing._recording.model import RecordedExchange

StrPath = str | os.PathLike[str]


class RecordingError(Exception):
    """A recording can't be read or written; the message names the file, and the line where there is one."""


def create_private(path: StrPath) -> IO[bytes]:
    """Create a file, or empty one, that its owner alone can read: prompts and answers are in it.

    Raises:
        OSError: it can't be written; a symbolic link, which may be another user's trap, is not followed.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    file = open(os.open(path, flags, 0o600), "wb")  # noqa: PTH123, SIM115 - the caller closes it
    try:
        if hasattr(os, "fchmod") and stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            os.fchmod(file.fileno(), 0o600)  # it may have existed
    except BaseException:
        file.close()
        raise
    return file


def write_error(path: StrPath, error: OSError) -> RecordingError:
    """The error for a file that can't be written."""
    reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
    return RecordingError(f"can't write {os.fspath(path)}: {reason}")


@dataclass(slots=True)
class Recording:
    """Exchanges in the order in which they began.

    Attributes:
        exchanges: them.
    """

    exchanges: list[RecordedExchange] = field(default_factory=list[RecordedExchange])

    @classmethod
    def load(cls, path: StrPath) -> Self:
        """Read a file.

        Raises:
            RecordingError: there is none, it is not a recording, or one of a version that is not understood.
        """
        recording = cls()
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise RecordingError(f"can't read {os.fspath(path)}: {error.strerror}") from error
        for number, line in enumerate(data.removesuffix(b"\n").split(b"\n"), 1):
            try:
                fields = decode_line(line, is_first=number == 1)
                if number > 1:
                    take_line(recording.exchanges, fields)
            except LineError as error:
                raise RecordingError(f"{os.fspath(path)}:{number}: {error}") from error
        return recording

    def save(self, path: StrPath) -> None:
        """Write a file, over one that is there.

        Raises:
            RecordingError: it can't be written.
        """
        try:
            with create_private(path) as file:
                file.write(FIRST_LINE + b"".join(map(encode_line, self._lines())))
        except OSError as error:
            raise write_error(path, error) from error

    def answers(self) -> list[RecordedExchange]:
        """The last attempt of each call: what its caller saw."""
        return list({exchange.call: exchange for exchange in self.exchanges}.values())

    def _lines(self) -> Iterator[dict[str, object]]:
        for number, exchange in enumerate(self.exchanges, 1):
            yield request_line(number, exchange)
            yield from (read_line(number, read) for read in exchange.reads)
            if exchange.end_reason is not None and exchange.ended_ns is not None:
                yield end_line(number, exchange.ended_ns, exchange.end_reason, exchange.error)
