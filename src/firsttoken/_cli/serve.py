"""`firsttoken serve` and `firsttoken replay --serve`: the local model, or a recording, for any client."""

import signal
import time
from typing import NoReturn

from firsttoken._cli.status import Status
from firsttoken._cli.terminal import Answer, CommandError, log_stderr, status_line
from firsttoken.local import LocalServer


def serve_model(model_path: str | None, host: str, port: int) -> Status:
    """Serve until Ctrl-C or SIGTERM, the normal ends: status 0. Only its base URL goes to stdout.

    Raises:
        ConfigurationError: the model, or what runs it, is missing.
        LocalServerError: it does not start.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    with status_line("starting the local model ..."):
        server = LocalServer(model_path, host=host, port=port, secret_path=False)  # for other programs
    with server:
        try:
            Answer().write(f"{server.base_url}\n")
            log_stderr(
                f"firsttoken: {server.model} is served until Ctrl-C; for clients:\n"
                f"export OPENAI_BASE_URL={server.base_url}"
            )
            status = server.wait()
        except KeyboardInterrupt:
            return Status.OK
    log_stderr(f"firsttoken: the server ended by itself, with status {status}")
    return Status.TRUNCATED


def serve_recording(path: str, speed: float, port: int) -> Status:
    """Answer any client until Ctrl-C or SIGTERM, the normal ends: status 0.

    Raises:
        CommandError: the file can't be used, or the port is taken.
    """
    from firsttoken._cli.replay import load_recording
    from firsttoken.testing import ScriptedServer, replay

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with ScriptedServer(replay(load_recording(path), speed=speed), port=port) as server:
            Answer().write(f"{server.base_url}\n")
            log_stderr(
                f"firsttoken: {path} is replayed until Ctrl-C; for clients:\n"
                f"export OPENAI_BASE_URL={server.base_url} OPENAI_API_KEY=any"
            )
            while True:
                time.sleep(1)  # Ctrl-C ends it everywhere, unlike other waits
    except KeyboardInterrupt:
        return Status.OK
    except OSError as error:
        message = f"can't listen on port {port}: {error.strerror}\nhint: port 0 takes one that is free"
        raise CommandError(message, Status.CONFIGURATION) from error


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
