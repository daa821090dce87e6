"""`firsttoken ask --record`: the exchanges of a call, written to a file as they happen."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from firsttoken import Client
from firsttoken._cli.status import Status
from firsttoken._cli.terminal import OutputError, log_stderr
from firsttoken.testing import RecordingError
from firsttoken.testing._recording.recorder import Recorder

__all__ = ["recorded"]


@contextmanager
def recorded(client: Client, path: str) -> Generator[Callable[[], Status]]:
    """Record the block's calls, however it ends; gives a function that returns the exit status of a complete answer.

    Raises:
        OutputError: the file can't be opened.
    """
    try:
        recorder = Recorder(path)
    except RecordingError as error:
        raise OutputError(str(error), Status.NO_OUTPUT) from error
    try:
        with recorder.attach(client):
            yield lambda: Status.OK if recorder.failure is None else Status.NO_OUTPUT
    finally:
        reads = sum(len(exchange.reads) for exchange in recorder.recording.exchanges)
        if recorder.failure is None:
            log_stderr(f"firsttoken: recorded in {path}: {_counted(len(recorder.recording.exchanges), reads)}")
        else:
            log_stderr(f"firsttoken: the recording is incomplete: {recorder.failure}")


def _counted(exchanges: int, reads: int) -> str:
    attempts = f"{exchanges} request{'' if exchanges == 1 else 's'}"
    return f"{attempts}, {reads} read{'' if reads == 1 else 's'}"
