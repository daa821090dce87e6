"""The transcript: a file that only grows, one message a line, in the user's data directory.

A line is a message in the form of the wire (`to_dict()`), with what is known of it beside: `"firsttoken": {"at": …,
"model": …, "state": …}`; `state` is there where the answer is not complete. A line without a role takes messages back:
`{"firsttoken": {"take_back": 2}}`. Each line is on the disk (fsync) before the chat goes on.
"""

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

import msgspec

from firsttoken._json import as_object, encode_json
from firsttoken.errors import ConfigurationError

__all__ = ["Entry", "Transcript", "data_folder", "latest_transcript", "read_transcript"]

OURS: Final = "firsttoken"
"""The field of a line that is not the message's."""


_LINE_START: Final = b'{"'


class Entry(NamedTuple):
    """A message as the transcript has it.

    Attributes:
        message: in the form of the wire.
        state: "complete", or how the answer ended: "stopped" or "failed".
        model: that it was asked of; "" for other messages.
    """

    message: dict[str, object]
    state: str = "complete"
    model: str = ""


class Transcript:
    """Writes messages to a file, which is made with the first of them.

    Args:
        path: a transcript to go on with; None makes a new file in the data directory.

    Raises:
        ConfigurationError: the file can't be written, or another chat has it open.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._file: IO[bytes] | None = None
        if path is not None:
            self._open(path, 0)

    def append(self, entry: Entry) -> None:
        """Write a message; it is on the disk when this returns."""
        known = {"at": _now(), "model": entry.model, "state": entry.state}
        ours = {name: value for name, value in known.items() if value not in ("", "complete")}
        self._write({**entry.message, OURS: ours})

    def take_back(self, count: int) -> None:
        """Note that the last messages do not count any more."""
        if count:
            self._write({OURS: {"take_back": count}})

    def close(self) -> None:
        """Let another chat go on with it."""
        if self._file is not None:
            self._file.close()

    def _write(self, line: dict[str, object]) -> None:
        if self._file is None:
            self._create()
        file = self._file
        assert file is not None  # noqa: S101 - for type checkers
        try:
            file.write(encode_json(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        except OSError as error:
            hint = "--no-save chats without a transcript"
            raise ConfigurationError(
                f"the transcript {self.path} can't be written: {error.strerror}", hint=hint
            ) from error

    def _create(self) -> None:
        folder = data_folder() / "chats"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            hint = "--no-save chats without a transcript"
            raise ConfigurationError(f"the folder {folder} can't be made: {error.strerror}", hint=hint) from error
        name = _now().replace(":", "").removesuffix("Z")
        names = (f"{name}{'' if number == 1 else f'-{number}'}.jsonl" for number in itertools.count(1))
        self.path = next(path for path in map(folder.joinpath, names) if not path.exists())
        self._open(self.path, os.O_CREAT | os.O_EXCL)

    def _open(self, path: Path, flags: int) -> None:
        try:
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | flags, 0o600), "r+b")
        except OSError as error:
            raise ConfigurationError(f"the transcript {path} can't be opened: {error.strerror}") from error
        if not _lock(file):
            file.close()
            raise ConfigurationError(f"{path} is open in another chat", hint="--load FILE goes on with another one")
        _cut_off_unfinished(file)
        self._file = file


def data_folder() -> Path:
    """Where transcripts and the history of prompts are."""
    import platformdirs

    return platformdirs.user_data_path("firsttoken", appauthor=False)


def latest_transcript() -> Path:
    """The transcript that was written last.

    Raises:
        ConfigurationError: there is none.
    """
    folder = data_folder() / "chats"
    files = sorted(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    if not files:
        raise ConfigurationError(f"found no conversation to continue in {folder}")
    return files[-1]


def read_transcript(path: Path) -> list[Entry]:
    """The messages that count. A last line that was being written when the chat was killed is not one.

    Raises:
        ConfigurationError: it can't be read, or is not a transcript; the message names the line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the transcript {path} can't be read: {error.strerror}") from error
    entries: list[Entry] = []
    for number, fields in _lines(path, data):
        ours = as_object(fields.pop(OURS, {})) or {}
        if (count := ours.get("take_back")) and isinstance(count, int):
            del entries[-count:]
        elif isinstance(fields.get("role"), str):
            entries.append(Entry(fields, str(ours.get("state", "complete")), str(ours.get("model", ""))))
        else:
            raise ConfigurationError(f"{path} is not a transcript: line {number} has no role")
    return entries


def _lines(path: Path, data: bytes) -> Iterator[tuple[int, dict[str, object]]]:
    lines = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            fields = as_object(msgspec.json.decode(line))
        except ValueError as error:
            if number == len(lines) and _LINE_START.startswith(line[:2]):
                return  # without its end of line: it was being written
            raise ConfigurationError(f"{path} is not a transcript: line {number}: {error}") from error
        if fields is None:
            raise ConfigurationError(f"{path} is not a transcript: line {number} is not an object")
        yield number, fields


def _cut_off_unfinished(file: IO[bytes]) -> None:
    """Remove a last line that was being written when the chat was killed; end one that lacks only its end."""
    data = file.read()
    _, _, tail = data.rpartition(b"\n")
    if not tail:
        return
    try:
        msgspec.json.decode(tail)  # what is not the start of a line was refused when it was read
        file.write(b"\n")
    except ValueError:
        file.truncate(len(data) - len(tail))
        file.seek(0, os.SEEK_END)


def _lock(file: IO[bytes]) -> bool:
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
