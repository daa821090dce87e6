"""`firsttoken ask --record`: the question's exchanges, written to a file as they happen."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from firsttoken import Client
from firsttoken._cli.status import Status
from firsttoken._cli.terminal import OutputError, note
from firsttoken.testing import RecordingError
from firsttoken.testing._recording.recorder import Recorder

__all__ = ["recorded"]


@contextmanager
def recorded(client: Client, path: str) -> Generator[Callable[[], Status]]:
    """Records the block's calls, however it ends, and says so; gives what tells the exit status of a whole answer.

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
            note(f"firsttoken: recorded in {path}: {_counted(len(recorder.recording.exchanges), reads)}")
        else:
            note(f"firsttoken: the recording is not whole: {recorder.failure}")


def _counted(exchanges: int, reads: int) -> str:
    attempts = f"{exchanges} request{'' if exchanges == 1 else 's'}"
    return f"{attempts}, {reads} read{'' if reads == 1 else 's'}"
