"""The conversation: what was said, what is sent of it, what is taken back, and the transcript that keeps it.

The transcript is a file that only grows, one message a line, in the user's data directory. A line is a message in the
form of the wire (`to_dict()`), with what is known of it beside: `"firsttoken": {"at": …, "model": …, "state": …}`;
`state` is there where the answer is not complete. A line without a role takes messages back:
`{"firsttoken": {"take_back": 2}}`. Each line is on the disk (fsync) before the chat goes on.
"""

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NamedTuple

import msgspec

from firsttoken._json import as_object, encode_json
from firsttoken.errors import ConfigurationError, ResponseFormatError

if TYPE_CHECKING:
    from firsttoken.types import ChatCompletion, Message, UserMessage


_SYSTEM = ("system", "developer")
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


class Conversation:
    """Messages, each written to the transcript before anything else happens.

    Args:
        transcript: None keeps nothing.

    Attributes:
        system: the instructions, "" for none.
        model: that the last answer was asked of; "" where there is none.
    """

    def __init__(self, transcript: Transcript | None) -> None:
        self._transcript = transcript
        self._entries: list[Entry] = []
        self._system_is_saved = True
        self.system = ""
        self.model = ""

    @classmethod
    def load(cls, path: Path, *, is_saved: bool) -> "Conversation":
        """Go on with a transcript.

        Raises:
            ConfigurationError: it is not one, or can't be read or written.
        """
        entries = read_transcript(path)
        _check(path, entries)
        conversation = cls(Transcript(path) if is_saved else None)
        conversation._entries = [entry for entry in entries if entry.message["role"] not in _SYSTEM]
        for entry in entries:
            if entry.message["role"] in _SYSTEM:
                conversation.system = str(entry.message.get("content", ""))
            conversation.model = entry.model or conversation.model
        return conversation

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def path(self) -> Path | None:
        """The transcript's file; None before the first message, and without a transcript."""
        return None if self._transcript is None else self._transcript.path

    @property
    def has_question(self) -> bool:
        """Whether there is one to be asked again."""
        return any(entry.message["role"] == "user" for entry in self._entries)

    def set_system(self, text: str) -> None:
        """Set the instructions; "" is none."""
        self.system = text
        self._system_is_saved = False

    def ask(self, message: "UserMessage") -> None:
        """Add a question; one before it that has no answer is taken back, since servers want roles to alternate."""
        if self._entries and _has_no_answer(self._entries[-1]):
            self.undo()
        self._append(Entry(message.to_dict()))

    def answer(self, completion: "ChatCompletion", model: str, state: str) -> None:
        """Add what came of an answer; nothing, where nothing came."""
        if not completion.choices:
            return
        fields = completion.message.to_dict()
        if state == "complete" or any(value for name, value in fields.items() if name != "role"):
            self.model = model
            self._append(Entry({"role": "assistant"} | fields, state, model))

    def undo(self) -> "UserMessage | None":
        """Take the last question and its answer back; gives the question, None where there is none."""
        count = self._count_since_question()
        question = self._entries[-count].message if count else None
        self._take_back(count)
        if question is None:
            return None
        from firsttoken.types import UserMessage

        return UserMessage.from_dict(question)

    def retry(self) -> None:
        """Take back what answers the last question."""
        self._take_back(max(0, self._count_since_question() - 1))

    def clear(self, transcript: Transcript | None) -> None:
        """Begin a new conversation with the same instructions."""
        self.close()
        self._transcript = transcript
        self._entries = []
        self._system_is_saved = not self.system

    def close(self) -> None:
        """Close the transcript."""
        if self._transcript is not None:
            self._transcript.close()

    def messages(self) -> "list[Message]":
        """What is sent. Of an answer that is not complete, the text: reasoning that was cut off is refused by some."""
        from firsttoken.types import system_message

        said = [_sent(entry) for entry in self._entries]
        return [system_message(self.system), *said] if self.system else said

    def saved(self) -> list[dict[str, object]]:
        """The messages, instructions first, in the form of the wire."""
        first: list[dict[str, object]] = [{"role": "system", "content": self.system}] if self.system else []
        return first + [entry.message for entry in self._entries]

    def _append(self, entry: Entry) -> None:
        self._entries.append(entry)
        if self._transcript is None:
            return
        if not self._system_is_saved:  # not before: a chat in which nothing is said leaves no file
            self._transcript.append(Entry({"role": "system", "content": self.system}))
            self._system_is_saved = True
        self._transcript.append(entry)

    def _take_back(self, count: int) -> None:
        if count:
            del self._entries[-count:]
            if self._transcript is not None:
                self._transcript.take_back(count)

    def _count_since_question(self) -> int:
        """How many messages there are from the last question on; 0 without one."""
        for count, entry in enumerate(reversed(self._entries), 1):
            if entry.message["role"] == "user":
                return count
        return 0


def _check(path: Path, entries: list[Entry]) -> None:
    """Refuse what could not be sent, before something is added to it."""
    for number, entry in enumerate(entries, 1):
        try:
            _sent(entry)
        except (ConfigurationError, ResponseFormatError) as error:
            raise ConfigurationError(f"{path} is not a transcript: message {number}: {error}") from error


def _has_no_answer(last: Entry) -> bool:
    if last.message["role"] == "assistant":
        return last.state != "complete" and not last.message.get("content")
    return last.message["role"] == "user"


def _sent(entry: Entry) -> "Message":
    from firsttoken.types import AssistantMessage, message_from_dict

    message = message_from_dict(entry.message)
    if entry.state != "complete" and isinstance(message, AssistantMessage):
        return AssistantMessage(content=message.content)
    return message
