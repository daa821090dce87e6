"""The exit statuses of the command: a promise to scripts."""

from enum import IntEnum

from firsttoken._models.tables import finish_class
from firsttoken.errors import APIStatusError, ChatCompletionError, ConfigurationError
from firsttoken.local import LocalServerError

EXPECTED_ERRORS = (ChatCompletionError, ConfigurationError, LocalServerError)
"""What `status_of` knows. Anything else is a mistake of ours, and shows its traceback."""


class Status(IntEnum):
    """What a status says."""

    OK = 0
    NO_OUTPUT = 1
    USAGE = 2
    CONFIGURATION = 3
    REFUSED = 4
    OVERLOADED = 5
    NO_ANSWER = 6
    TRUNCATED = 7
    CUT = 8
    FILTERED = 9
    INTERRUPTED = 130
    PIPE_CLOSED = 141


HELP = """\
\b
Exit status:
  0    the complete answer was written
  1    the answer, or its recording, could not be written (disk full, ...)
  2    usage: the command line, standard input or a recording is wrong
  3    key or configuration: no key or a wrong one, bad URL, no local model
  4    the server refused the request
  5    the server is overloaded or failing, after retries
  6    no connection, or no first chunk of an answer
  7    the answer broke off; what had arrived was written
  8    the answer was cut at the limit of tokens
  9    the answer was cut by the server's content filter
  130  Ctrl-C; what came before was written
  141  the reader of the answer closed the pipe
"""

_KEY = frozenset({401, 403})
_MAY_PASS = frozenset({408, 409, 429})


def status_of_reason(finish_reason: str | None) -> Status:
    """The exit status of an answer that has ended, by its finish reason."""
    return {"cut": Status.CUT, "filtered": Status.FILTERED}.get(finish_class(finish_reason), Status.OK)


def status_of(error: Exception) -> Status:
    """The exit status for one of `EXPECTED_ERRORS`."""
    if not isinstance(error, ChatCompletionError):
        return Status.CONFIGURATION
    if error.chunks_received:
        return Status.TRUNCATED
    if isinstance(error, APIStatusError):
        return _status_of_refusal(error.status)
    return Status.NO_ANSWER


def _status_of_refusal(status: int | None) -> Status:
    if status in _KEY:
        return Status.CONFIGURATION
    if status is not None and (status in _MAY_PASS or status >= 500):
        return Status.OVERLOADED
    return Status.REFUSED
