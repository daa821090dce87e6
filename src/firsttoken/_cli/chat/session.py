"""A chat: reads what the user sends, shows what the model answers, and keeps both."""

import importlib
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple

from firsttoken._cli.attachments import attachment_part, message_with
from firsttoken._cli.chat.commands import COMMANDS, is_command, run_command
from firsttoken._cli.chat.conversation import Conversation, Transcript, data_folder, latest_transcript
from firsttoken._cli.chat.screen import Screen
from firsttoken._cli.status import EXPECTED_ERRORS, Status, status_of_reason
from firsttoken._cli.target import Connection, resolve_target
from firsttoken._cli.terminal import Answer, is_terminal, log_stderr, report

if TYPE_CHECKING:
    from firsttoken import ChatCompletionStream, Client
    from firsttoken._cli.ask import EventLines
    from firsttoken._cli.chat.prompt import Prompt


class ChatOptions(NamedTuple):
    """What the command line says."""

    connection: Connection
    system: str | None = None
    attachments: tuple[str, ...] = ()
    max_tokens: int | None = None
    go_on: bool = False
    load: str | None = None
    is_saved: bool = True
    markdown: bool = True
    json: bool = False
    stats: bool = False


def chat(options: ChatOptions, piped: str | None) -> Status:
    """Talk with the user, or answer what was piped in; return the exit status.

    Raises:
        OutputError: stdout can't be written to.
        ConfigurationError: what the options name can't be had.
        LocalServerError: the local model does not start.
    """
    with ExitStack() as stack:
        session = Chat(options, stack)
        return session.run() if piped is None else session.run_once(piped)


class Tokens:
    """Counts what the answers of a chat have used, as the server says."""

    def __init__(self) -> None:
        self._prompt = self._completion = self._answers = self._uncounted = 0

    def add(self, stream: "ChatCompletionStream") -> None:
        """Count an answer."""
        self._answers += 1
        usage = stream.completion.usage
        if usage is None:
            self._uncounted += 1
        else:
            self._prompt += usage.prompt_tokens
            self._completion += usage.completion_tokens

    def line(self) -> str:
        """The sums."""
        answers = f"{self._answers} answer{'' if self._answers == 1 else 's'}"
        uncounted = f"; {self._uncounted} not counted by the server" if self._uncounted else ""
        return f"{self._prompt:,} tokens sent, {self._completion:,} received, in {answers}{uncounted}"


class Chat:
    """One run of the command.

    Attributes:
        target: where questions go.
        conversation: what was said.
        attachments: content parts for the next message.
        draft: what stands in the next prompt to be edited.
        tokens: what the answers have used.

    Raises:
        ConfigurationError: what the options name can't be had.
        LocalServerError: the local model does not start.
    """

    def __init__(self, options: ChatOptions, stack: ExitStack) -> None:
        self._options = options
        self._stack = stack
        self.attachments = [attachment_part(source) for source in options.attachments]
        self.draft = ""
        self.tokens = Tokens()
        self.conversation = self._open_conversation()
        stack.callback(lambda: self.conversation.close())
        if options.system is not None:
            self.conversation.set_system(options.system)
        profile = options.connection.load_profile()
        self.target = stack.enter_context(resolve_target(options.connection.base_url, self._model(), profile))
        self._screen = Screen(markdown=options.markdown)
        self._client: Client | None = None
        self._stream: ChatCompletionStream | None = None
        self._is_interrupted = False  # by Ctrl-C, since the last message was sent
        self._prompt: Prompt | None = None
        self._may_raise = False
        self._names: list[str] | None = None
        self._lines: EventLines | None = None
        self._failure: Exception | None = None

    def run(self) -> Status:
        """Talk until the user ends it; return the exit status.

        Raises:
            OutputError: stdout can't be written to.
        """
        from firsttoken._cli.chat.prompt import Prompt

        history = data_folder() / "history" if self._options.is_saved else None
        prompt = self._prompt = Prompt(history, COMMANDS, self._known_models, self._begin_message)
        self._greet()
        with self._handling_ctrl_c():
            while True:
                draft, self.draft = self.draft, ""
                try:
                    self._handle(prompt.read(draft))
                except EOFError:
                    return Status.OK
                except KeyboardInterrupt:
                    self.say("(Ctrl-D or /bye ends the chat)")

    def run_once(self, text: str) -> Status:
        """Answer one message, which came through a pipe; return the exit status.

        Raises:
            OutputError: stdout can't be written to.
        """
        with self._handling_ctrl_c():
            if not self._options.json:
                return self._ask(text)
            from firsttoken._cli.ask import EventLines

            lines = self._lines = EventLines(Answer())
            status = self._ask(text)
            lines.end(status, self._failure)
            return status

    def answer(self) -> Status:
        """Ask for the answer to the last question, show and keep it; return what the exit status would be.

        Raises:
            OutputError: stdout can't be written to.
        """
        status = self._answer()
        if self._lines is None:
            self._screen.separate()
        return status

    def _answer(self) -> Status:
        try:
            request = self.target.request(self.conversation.messages(), max_tokens=self._options.max_tokens)
            stream = self._connected().chat_completion_stream(request)
            failure = self._show_and_keep(stream)
        except EXPECTED_ERRORS as error:
            return self._report(error)
        self._note_end(stream)
        if failure is not None:
            return self._report(failure)
        return Status.INTERRUPTED if stream.state == "stopped" else status_of_reason(stream.completion.finish_reason)

    def say(self, text: str, indent: int = 0) -> None:
        """Write something that is not an answer; its further rows are indented, where it is longer than one."""
        log_stderr(text, indent)

    def models(self) -> list[str]:
        """The models of the server; Ctrl-C ends the wait for them.

        Raises:
            ChatCompletionError: there is no list.
        """
        client = self._connected()
        self._may_raise = True
        try:
            if self._is_interrupted:
                raise KeyboardInterrupt
            return client.models()
        finally:
            self._may_raise = False

    def load(self, path: Path) -> None:
        """Go on with a transcript.

        Raises:
            ConfigurationError: it is not one.
        """
        loaded = Conversation.load(path, is_saved=self._options.is_saved)
        self.conversation.close()
        self.conversation = loaded
        self.say(_loaded_line(loaded, path))

    def clear(self) -> None:
        """Begin a new conversation, in a transcript of its own."""
        self.conversation.clear(Transcript() if self._options.is_saved else None)

    def _open_conversation(self) -> Conversation:
        options = self._options
        if options.load is not None or options.go_on:
            path = latest_transcript() if options.load is None else Path(options.load)
            return Conversation.load(path, is_saved=options.is_saved)
        return Conversation(Transcript() if options.is_saved else None)

    def _model(self) -> str | None:
        """The model: as the command line says, else the profile that it names, else that of the transcript."""
        connection = self._options.connection
        return connection.model or (None if connection.profile else self.conversation.model) or None

    def _begin_message(self) -> None:
        self._is_interrupted = False

    def _greet(self) -> None:
        path = self.conversation.path
        if len(self.conversation) and path is not None:
            self.say(_loaded_line(self.conversation, path))

    def _handle(self, text: str) -> None:
        if is_command(text):
            run_command(self, text)
        elif text.strip():
            self._ask(text)

    def _ask(self, text: str) -> Status:
        try:
            self.conversation.ask(message_with(text, self.attachments))
        except EXPECTED_ERRORS as error:
            return self._report(error)
        self.attachments = []
        return self.answer()

    def _show_and_keep(self, stream: "ChatCompletionStream") -> Exception | None:
        """Show a stream, keep what came of it, however it ends; gives the error in which it ended."""
        model = self.target.model
        self._stream = stream
        try:
            if self._is_interrupted:  # before there was a stream to close
                stream.close()
            return self._show(stream)
        finally:
            stream.close()
            self._stream = None
            self.conversation.answer(stream.completion, model, stream.state)

    def _show(self, stream: "ChatCompletionStream") -> Exception | None:
        """Show a stream to its end; gives the error in which it ended."""
        if self._lines is not None:
            try:
                self._lines.write(stream)
            except EXPECTED_ERRORS as error:
                return error
            return None
        screen = self._screen
        if screen.formats:  # while the server thinks
            threading.Thread(target=_import_markdown, daemon=True).start()
        screen.begin(self.target.model)
        failure: Exception | None = None
        with _quiet_keyboard():
            try:
                for event in stream.iter_events():
                    if event.type == "reasoning":
                        screen.reasoning(event.delta)
                    elif event.type == "text":
                        screen.text(event.delta)
            except EXPECTED_ERRORS as error:
                failure = error
            screen.end(stream.state)
        return failure

    def _note_end(self, stream: "ChatCompletionStream") -> None:
        from firsttoken._cli.ask import print_notes, stats_line

        self.tokens.add(stream)
        if stream.state == "complete":
            print_notes(stream.completion)
        if self._options.stats:
            log_stderr(stats_line(stream))

    def _report(self, error: Exception) -> Status:
        self._failure = error
        can_retry = self.conversation.has_question and is_terminal(sys.stdin)
        return report(error, "\n(/retry asks again)" if can_retry else "")

    def _connected(self) -> "Client":
        if self._client is None:
            self._client = self._stack.enter_context(self._options.connection.client(self.target, self._screen.retry))
        return self._client

    def _known_models(self) -> list[str]:
        """The models, for completion: none where the server lists none."""
        from firsttoken import Timeout

        if self._names is None:
            try:
                self._names = self._connected().models(timeout=Timeout(connect_s=1, response_s=2), max_retries=0)
            except EXPECTED_ERRORS:
                self._names = []
        return self._names

    @contextmanager
    def _handling_ctrl_c(self) -> Generator[None]:
        """Ctrl-C closes the stream under way, or that is about to be: it may come at any moment, and twice."""

        def interrupt(_signal: int, _frame: FrameType | None) -> None:
            self._is_interrupted = self._prompt is None or not self._prompt.is_open
            if self._stream is not None:
                self._stream.close()
            elif self._may_raise:
                raise KeyboardInterrupt

        previous = signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)


def _loaded_line(conversation: Conversation, path: Path) -> str:
    return f"firsttoken: going on with {path}, {len(conversation)} messages"


def _import_markdown() -> None:
    importlib.import_module("firsttoken._cli.chat.markdown")  # to have it when the first text comes


@contextmanager
def _quiet_keyboard() -> Generator[None]:
    """Show nothing of what is typed while an answer comes; it stands in the next prompt. Ctrl-C still works."""
    if sys.platform == "win32" or not is_terminal(sys.stdin):
        yield
        return
    import termios

    fd = sys.stdin.fileno()
    mode = termios.tcgetattr(fd)
    quiet = mode[:]
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(fd, termios.TCSANOW, quiet)  # to wait for a slow terminal would fail on Ctrl-C
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSANOW, mode)
