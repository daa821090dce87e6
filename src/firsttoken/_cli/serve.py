"""`firsttoken serve`: the local server in the foreground."""

import signal
from typing import NoReturn

from firsttoken._cli.status import Status, status_of
from firsttoken._cli.terminal import Answer, OutputError, log_stderr, message_of, status_line
from firsttoken.errors import ConfigurationError
from firsttoken.local import LocalServer, LocalServerError

__all__ = ["serve"]


def serve(model_path: str | None, host: str, port: int) -> Status:
    """Serve until Ctrl-C or SIGTERM, the normal ends: status 0. Only its base URL goes to stdout."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with status_line("starting the local model ..."):
            server = LocalServer(model_path, host=host, port=port, secret_path=False)  # for other programs
        with server:
            return _serve(server)
    except (ConfigurationError, LocalServerError) as error:
        log_stderr(f"firsttoken: {message_of(error)}")
        return status_of(error)
    except OutputError as error:
        return error.report()


def _serve(server: LocalServer) -> Status:
    try:
        Answer().write(f"{server.base_url}\n")
        log_stderr(
            f"firsttoken: {server.model} is served until Ctrl-C; for clients:\nexport OPENAI_BASE_URL={server.base_url}"
        )
        status = server.wait()
    except KeyboardInterrupt:
        return Status.OK
    log_stderr(f"firsttoken: the server ended by itself, with status {status}")
    return Status.TRUNCATED


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
