"""The line editor, by prompt_toolkit: what is typed, pasted or written in an editor until it is sent."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import HTML
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import create_output
from prompt_toolkit.shortcuts import CompleteStyle

from firsttoken.errors import ConfigurationError

_QUOTES: Final = '"""'
_PLACEHOLDER: Final = HTML("<ansibrightblack>Send a message (/help for help)</ansibrightblack>")
_NOTHING: Final = HTML("")


class Prompt:
    """Reads what the user sends.

    Args:
        history: the file with what was sent before; None keeps nothing.
        commands: the names of the commands, with their "/".
        models: gives the names of models, for completion.
        on_open: called when a message can be typed.
    """

    def __init__(
        self,
        history: Path | None,
        commands: Iterable[str],
        models: Callable[[], list[str]],
        on_open: Callable[[], None],
    ) -> None:
        self._on_open = on_open
        self._session: PromptSession[str] = PromptSession(
            multiline=True,
            key_bindings=_bindings(),
            history=_history(history),
            completer=_Completer(tuple(commands), models),
            complete_while_typing=False,
            enable_suspend=True,
            # Tab lists the names above the prompt, as a shell does: no rows are kept free below it.
            complete_style=CompleteStyle.READLINE_LIKE,
            prompt_continuation="... ",
            tempfile_suffix=".md",
            output=create_output(always_prefer_tty=True),
        )

    def read(self, default: str = "") -> str:
        """What the user sends; a text in triple quotes without them.

        Args:
            default: what stands there to be edited.

        Raises:
            EOFError: Ctrl-D on an empty line.
            KeyboardInterrupt: Ctrl-C on an empty line; on another, the line is left and a new one begun.
        """
        while True:
            try:
                text = self._session.prompt(
                    ">>> ",
                    default=default,
                    placeholder=self._placeholder,
                    pre_run=self._on_open,
                    handle_sigint=False,  # its keyboard sends none; what comes when it has let go is for the answer
                )
            except KeyboardInterrupt:
                if self._session.default_buffer.text:
                    default = ""
                    continue
                raise
            return _unquoted(text)

    @property
    def is_open(self) -> bool:
        """Whether a message is being typed."""
        return self._session.app.is_running and not self._session.app.is_done

    def _placeholder(self) -> HTML:
        return _NOTHING if self._session.app.is_done else _PLACEHOLDER


def _unquoted(text: str) -> str:
    stripped = text.strip()
    if not stripped.startswith(_QUOTES):
        return text
    return stripped.removeprefix(_QUOTES).removesuffix(_QUOTES).strip("\n")


def _is_open(text: str) -> bool:
    """Whether triple quotes were begun and not ended."""
    stripped = text.strip()
    return stripped.startswith(_QUOTES) and (len(stripped) < 2 * len(_QUOTES) or not stripped.endswith(_QUOTES))


def _history(path: Path | None) -> History:
    if path is None:
        return InMemoryHistory()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
    except OSError as error:
        hint = "--no-save chats without a history"
        raise ConfigurationError(f"the history {path} can't be written: {error.strerror}", hint=hint) from error
    return FileHistory(path)


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if _is_open(buffer.text):
            buffer.insert_text("\n")
        elif buffer.text.strip():
            buffer.validate_and_handle()

    @bindings.add("c-j")
    @bindings.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @bindings.add("c-g")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.open_in_editor()

    return bindings


class _Completer(Completer):
    def __init__(self, commands: tuple[str, ...], models: Callable[[], list[str]]) -> None:
        self._commands = commands
        self._models = models
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        command, space, argument = document.text_before_cursor.partition(" ")
        if not command.startswith("/"):
            return
        if not space:
            yield from _matching(self._commands, command)
        elif command == "/model":
            yield from _matching(self._models(), argument)
        elif command in ("/attach", "/load", "/save"):
            yield from self._paths.get_completions(Document(argument), complete_event)


def _matching(names: Iterable[str], begun: str) -> Iterable[Completion]:
    return (Completion(name, start_position=-len(begun)) for name in names if name.startswith(begun))
