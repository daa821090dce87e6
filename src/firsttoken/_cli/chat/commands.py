"""The commands of a chat: lines that begin with "/"."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from firsttoken._cli.attachments import attachment_part
from firsttoken._cli.status import EXPECTED_ERRORS
from firsttoken._cli.terminal import log_stderr, message_of
from firsttoken._json import as_array, as_object, encode_json
from firsttoken.errors import ConfigurationError

if TYPE_CHECKING:
    from firsttoken._cli.chat.session import Chat

_LOOKS_LIKE_ONE: Final = re.compile(r"/[a-z?]+(\s|$)")
_KEYS: Final = (
    ("Enter", "send"),
    ("Alt-Enter, Ctrl-J", 'new line; a pasted text is one message, so is one in """'),
    ("Ctrl-G", "write in the editor ($VISUAL, $EDITOR)"),
    ("Ctrl-C", "stop the answer; at the prompt, leave the line"),
    ("Ctrl-D", "end the chat"),
)


class Command(NamedTuple):
    """One command: how it is called, what its help says, and what it does."""

    usage: str
    help: str
    run: "Callable[[Chat, str], None]"


def is_command(text: str) -> bool:
    """Whether a line is a command; a path such as /etc/hosts is none."""
    if "\n" in text.strip():
        return False
    return _LOOKS_LIKE_ONE.match(text) is not None or text.partition(" ")[0].lower() in COMMANDS


def run_command(chat: "Chat", line: str) -> None:
    """Run a command; what is wrong with it is said on stderr.

    Raises:
        EOFError: the chat is to end.
    """
    name, _, argument = line.strip().partition(" ")
    known = {"/?": "/help", "/exit": "/bye", "/quit": "/bye"}
    command = COMMANDS.get(known.get(name, name.lower()))
    if command is None:
        log_stderr(f"firsttoken: unknown command {name}\nhint: /help lists the commands")
        return
    try:
        command.run(chat, argument.strip())
    except EXPECTED_ERRORS as error:
        log_stderr(f"firsttoken: {message_of(error)}")


def _help(chat: "Chat", _: str) -> None:
    rows = [*((command.usage, command.help) for command in COMMANDS.values()), ("", ""), *_KEYS]
    width = max(len(left) for left, _ in rows)
    for left, right in rows:
        chat.say(f"{left:{width}}  {right}".rstrip(), indent=width + 2)
    if chat.conversation.path is not None:
        chat.say(f"\nThe transcript is {chat.conversation.path}")


def _model(chat: "Chat", name: str) -> None:
    if name:
        chat.target = chat.target._replace(model=name)
    chat.say(f"the model is {chat.target.model}")


def _models(chat: "Chat", _: str) -> None:
    chat.say("\n".join(chat.models()) or "the server lists no models")


def _system(chat: "Chat", text: str) -> None:
    if text:
        chat.conversation.set_system("" if text == "-" else text)
    chat.say(chat.conversation.system or "there are no instructions")


def _attach(chat: "Chat", source: str) -> None:
    if not source:
        raise ConfigurationError("/attach needs a file, or the URL of an image")
    chat.attachments.append(attachment_part(source.strip("'\"")))
    chat.say("attached to the next message")


def _undo(chat: "Chat", _: str) -> None:
    question = chat.conversation.undo()
    chat.say("nothing to take back" if question is None else f"taken back: {_first_line(question.content)}")


def _retry(chat: "Chat", _: str) -> None:
    if not chat.conversation.has_question:
        raise ConfigurationError("nothing to ask again")
    chat.conversation.retry()
    chat.answer()


def _edit(chat: "Chat", _: str) -> None:
    question = chat.conversation.undo()
    if question is None:
        raise ConfigurationError("nothing to edit")
    chat.draft = _text_of(question.content)
    if not isinstance(question.content, str):
        chat.attachments = [dict(part) for part in question.content if part.get("type") != "text"]


def _save(chat: "Chat", name: str) -> None:
    if not name:
        raise ConfigurationError("/save needs the name of a file; one in .md is written as Markdown")
    path = Path(name).expanduser()
    messages = chat.conversation.saved()
    data = _as_markdown(messages) if path.suffix == ".md" else b"".join(encode_json(m) + b"\n" for m in messages)
    try:
        with path.open("xb") as file:
            file.write(data)
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror}") from error
    chat.say(f"{len(messages)} messages saved in {path}")


def _load(chat: "Chat", name: str) -> None:
    if not name:
        raise ConfigurationError("/load needs the name of a transcript")
    chat.load(Path(name).expanduser())


def _clear(chat: "Chat", _: str) -> None:
    chat.clear()
    chat.say("a new conversation")


def _tokens(chat: "Chat", _: str) -> None:
    chat.say(chat.tokens.line())


def _bye(_chat: "Chat", _: str) -> None:
    raise EOFError


def _text_of(content: object) -> str:
    """The text of a message; of one with attachments, what was asked of them, which stands last."""
    if isinstance(content, str):
        return content
    parts = [as_object(part) or {} for part in as_array(content) or []]
    return next((str(part["text"]) for part in reversed(parts) if part.get("type") == "text"), "")


def _first_line(content: object) -> str:
    first, *rest = _text_of(content).splitlines() or [""]
    return first + (" …" if rest else "")


def _as_markdown(messages: list[dict[str, object]]) -> bytes:
    return "\n\n".join(
        f"## {message['role']}\n\n{_text_of(message.get('content') or '')}" for message in messages
    ).encode()


COMMANDS: Final = {
    command.usage.split()[0]: command
    for command in (
        Command("/help", "this list", _help),
        Command("/model [NAME]", "the model; or ask another one from now on", _model),
        Command("/models", "the models of the server", _models),
        Command("/system [TEXT]", "the instructions for the model; or new ones, - for none", _system),
        Command("/attach FILE", "an image, audio, PDF or text for the next message", _attach),
        Command("/undo", "take back the last question and its answer", _undo),
        Command("/retry", "ask the last question again", _retry),
        Command("/edit", "take the last question back into the line, to be edited", _edit),
        Command("/save FILE", "write the conversation to a file, as Markdown if in .md", _save),
        Command("/load FILE", "go on with a transcript", _load),
        Command("/clear", "begin a new conversation", _clear),
        Command("/tokens", "the tokens used so far", _tokens),
        Command("/bye", "end the chat", _bye),
    )
}
