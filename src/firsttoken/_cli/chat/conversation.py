"""The conversation: what was said, what is sent of it, and what is taken back."""

from pathlib import Path
from typing import TYPE_CHECKING

from firsttoken._cli.chat.transcript import Entry, Transcript, read_transcript
from firsttoken.errors import ConfigurationError, ResponseFormatError

if TYPE_CHECKING:  # firsttoken.types is imported for the first question, not for the first prompt
    from firsttoken.types import ChatCompletion, Message, UserMessage

__all__ = ["Conversation"]

_SYSTEM = ("system", "developer")


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
