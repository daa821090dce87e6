"""`firsttoken chat`: a conversation in the terminal.

::

    session.py       reads what the user sends, shows what the model answers; Ctrl-C
    prompt.py        the line editor, by prompt_toolkit
    commands.py      /help and the others
    conversation.py  what was said, what is sent of it, what is taken back
    transcript.py    the file that keeps it
    screen.py        the answer on a terminal
    markdown.py      its Markdown, by rich, written once and never again

prompt_toolkit is imported for the first prompt, rich for the first answer.
"""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from firsttoken._cli.status import EXPECTED_ERRORS, Status, status_of
from firsttoken._cli.terminal import OutputError, log_stderr, message_of

if TYPE_CHECKING:
    from firsttoken._cli.chat.session import ChatOptions

__all__ = ["chat"]


def chat(options: "ChatOptions", piped: str | None) -> Status:
    """Talk with the user, or answer what was piped in; return the exit status."""
    from firsttoken._cli.chat.session import Chat

    try:
        with ExitStack() as stack:
            session = Chat(options, stack)
            return session.run() if piped is None else session.run_once(piped)
    except KeyboardInterrupt:
        return Status.INTERRUPTED
    except OutputError as error:
        return error.report()
    except EXPECTED_ERRORS as error:
        log_stderr(f"firsttoken: {message_of(error)}")
        return status_of(error)
