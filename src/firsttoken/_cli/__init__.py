"""The command `firsttoken`: `ask`, `chat`, `models`, `config`, `batch`, `bench`, `replay` and `serve`.

::

    __init__.py     main: from the first instruction on, Ctrl-C is status 130 and no traceback; what fails is reported
    commands.py     names, options and help, by click
    options.py      those that several subcommands have, and their checks
    ask.py          sends a prompt, writes the answer or its events to stdout, and a recording
    chat/           a conversation in the terminal
    attachments.py  files beside a prompt
    profile.py      servers by name, in config.toml
    config.py       what is wrong in it, where each setting comes from, and the models that a server has
    batch.py        a file of prompts to a file of answers
    bench.py        measures a server
    replay.py       writes a recorded answer to stdout
    serve.py        the local model or a recording, for any client
    target.py       where a prompt goes: OpenAI, another server, the local model
    terminal.py     stdin, stdout and stderr, and what can go wrong with each
    status.py       the exit statuses, and which error gives which

The answer alone goes to stdout, all else to stderr. Each module is imported when it is needed.
"""

import signal
import sys
from collections.abc import Sequence
from io import StringIO

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: its arguments, without its name; None takes them from `sys.argv`.

    Returns:
        The exit status, as `firsttoken._cli.status` lists them.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's script hands that down after a "&"
    try:
        status = _run(argv)
    except KeyboardInterrupt:
        status = 130
    if status == 130:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the next one would find Python on its way out
    return status


def _run(argv: Sequence[str] | None) -> int:
    try:
        import click
    except ModuleNotFoundError:
        from firsttoken._version import install_hint

        sys.stderr.write(f"firsttoken: the command needs the package click\nhint: {install_hint('cli')}\n")
        return 3
    from firsttoken._cli.commands import command

    try:
        # Not standalone: click's own way turns Ctrl-C into status 1.
        return command.main(argv, prog_name="firsttoken", standalone_mode=False) or 0
    except click.ClickException as error:
        from firsttoken._cli.terminal import log_stderr

        message = StringIO()
        error.show(message)
        log_stderr(message.getvalue().rstrip("\n"))
        return error.exit_code
    except click.Abort as error:
        raise KeyboardInterrupt from error
    except Exception as error:  # noqa: BLE001 - a mistake of ours is raised again
        from firsttoken._cli.terminal import report

        return report(error)
