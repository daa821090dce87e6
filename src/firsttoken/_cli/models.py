"""`firsttoken models`: the ids of the server's models, one a line."""

from firsttoken._cli.status import EXPECTED_ERRORS, Status, status_of
from firsttoken._cli.target import Connection
from firsttoken._cli.terminal import Answer, OutputError, log_stderr, message_of, status_line

__all__ = ["models"]


def models(connection: Connection) -> Status:
    """Write the ids to stdout; return the exit status."""
    answer = Answer()
    try:
        with connection.open() as (client, _):
            with status_line("waiting for the list of models ..."):
                ids = client.models()
            answer.write("".join(f"{name}\n" for name in ids))
            return Status.OK
    except KeyboardInterrupt:
        return Status.INTERRUPTED
    except OutputError as error:
        return error.report()
    except EXPECTED_ERRORS as error:
        log_stderr(f"firsttoken: {message_of(error)}")
        return status_of(error)
