"""The output file: one line for each finished row, appended in the order of completion; and what it takes to go on."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Final, NamedTuple, Self

import msgspec

from firsttoken.batch._ids import DONE, IdTable
from firsttoken.batch._results import RESULT_ID, Result
from firsttoken.batch._rows import InputError

_COPY_BYTES: Final = 1 << 20
_START: Final = f'{{"id":"{RESULT_ID}'.encode()
"""What the file begins with, if its first line is torn: else it is somebody else's."""


class _Line(msgspec.Struct):
    """What is read of an output line."""

    custom_id: str
    response: object
    error: object
    id: str = ""


_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode
_decode_line = msgspec.json.Decoder(_Line).decode


class Found(NamedTuple):
    """What an output file held.

    Attributes:
        complete: how many answers.
        failed: how many error rows.
        torn_bytes: how many bytes of a line that was being written when a run was killed.
    """

    complete: int
    failed: int
    torn_bytes: int


class Output:
    """An output file, made if it is not there, and locked against a second run.

    Args:
        path: of the file.

    Raises:
        InputError: another run writes to it.
        OSError: it can't be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] = path.open("ab+", buffering=0)
        try:
            self._lock()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def resume(self, ids: IdTable, *, retry_errors: bool) -> Found:
        """Note which rows are finished; cut off the line that was being written when a run was killed.

        Args:
            ids: takes the finished ids.
            retry_errors: leave out error rows, and remove them from the file.

        Raises:
            InputError: the file is not the output of a batch. It is left as it is.
            OSError: it can't be read or written.
        """
        found = scan(self.path, ids, retry_errors=retry_errors)
        if found.torn_bytes:
            self._file.truncate(self._file.seek(0, os.SEEK_END) - found.torn_bytes)
        if retry_errors and found.failed:
            self._rewrite(_complete_lines(self.path))
        return found

    def write(self, result: Result) -> None:
        """Append a result.

        Raises:
            OSError: the disk is full, or the like.
        """
        rest = memoryview(_encode_line(result.to_dict()))
        while rest:
            rest = rest[self._file.write(rest) or 0 :]

    def sync(self) -> None:
        """Have the system write to the disk what was written so far; takes a while."""
        with contextlib.suppress(OSError):  # a pipe, or a file system that knows no such thing
            os.fsync(self._file.fileno())

    def sort(self, ids: Iterator[str]) -> None:
        """Put the lines into the order of the ids.

        Raises:
            OSError: the disk is full, or the like.
        """
        offsets = IdTable()
        at = 0
        self._file.seek(0)
        for raw in self._file:
            # The table's "digest" holds an offset: shifted past the flags, and never 0.
            if (line := _parse(raw)) is not None:
                offsets.add(line.custom_id, DONE, (at + 1) << 3)
            at += len(raw)
        self._rewrite(self._in_order(ids, offsets))

    def close(self) -> None:
        """Sync and close the file."""
        if not self._file.closed:
            self.sync()
            self._file.close()

    def _in_order(self, ids: Iterator[str], offsets: IdTable) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            written = IdTable()
            for row_id in ids:
                offset = (offsets.digest(row_id) >> 3) - 1
                if offset >= 0 and not written.add(row_id, DONE):
                    file.seek(offset)
                    yield file.readline()

    def _rewrite(self, lines: Iterator[bytes]) -> None:
        """Replace the file by these lines: after a crash it is the old or the new one."""
        new_path = self.path.with_name(f".{self.path.name}.new")
        new = new_path.open("wb", buffering=_COPY_BYTES)
        try:
            new.writelines(lines)
            new.flush()
            os.fsync(new.fileno())
            new.close()
            old, self._file = self._file, new_path.open("ab+", buffering=0)
            self._lock()
            new_path.replace(self.path)
            old.close()
        except BaseException:
            new.close()
            new_path.unlink(missing_ok=True)
            raise

    def _lock(self) -> None:
        try:
            import fcntl
        except ModuleNotFoundError:  # Windows
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"another run is writing to {self.path}") from error
        except OSError:  # a file system without locks
            pass


def scan(path: Path, ids: IdTable, *, retry_errors: bool) -> Found:
    """Note which rows an output file has; nothing is changed.

    Raises:
        InputError: the file is not the output of a batch.
        OSError: it can't be read.
    """
    counts = [0, 0]
    end = 0
    for line, line_end in _lines(path):
        end = line_end
        is_error = line.error is not None
        counts[is_error] += 1
        if not (is_error and retry_errors):
            ids.add(line.custom_id, DONE, _digest(line.id))
    return Found(counts[False], counts[True], path.stat().st_size - end)


def _lines(path: Path) -> "Iterator[tuple[_Line, int]]":
    """The lines with their ends, up to the first that can't be read and that no good line follows."""
    end = 0
    bad_number = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            line = _parse(raw)
            if line is None:
                if number == 1 and not (raw.startswith(_START) or _START.startswith(raw)):
                    raise _foreign(path, number)
                bad_number = bad_number or number
                continue
            if bad_number:
                raise _foreign(path, bad_number)
            end += len(raw)
            yield line, end


def _foreign(path: Path, number: int) -> InputError:
    return InputError(f"{path}, line {number}: not the output of a batch", hint="use another output file")


def _complete_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for raw in file:
            line = _parse(raw)
            if line is not None and line.error is None:
                yield raw


def _parse(raw: bytes) -> _Line | None:
    if not raw.endswith(b"\n"):
        return None
    try:
        return _decode_line(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        return msgspec.convert(json.loads(raw), _Line)  # lone surrogates
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None


def _encode_line(fields: dict[str, object]) -> bytes:
    try:
        return _encode(fields) + b"\n"
    except UnicodeEncodeError:  # a lone surrogate
        return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"


def _digest(result_id: str) -> int:
    if not result_id.startswith(RESULT_ID):
        return 0
    try:
        return int(result_id.removeprefix(RESULT_ID), 16)
    except ValueError:
        return 0
