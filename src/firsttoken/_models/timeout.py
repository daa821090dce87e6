"""The deadlines that a caller sets."""

import msgspec

from firsttoken._models.arguments import KeywordsOnly
from firsttoken.errors import ConfigurationError


class Timeout(msgspec.Struct, frozen=True, kw_only=True, metaclass=KeywordsOnly):
    """Deadlines of a call, in seconds; None means no deadline.

    Only progress counts: a chunk with content, reasoning, refusal, a tool call, audio or an image, a finish reason, or
    usage. Comments, empty chunks and dripping bytes don't reset a deadline.

    Attributes:
        connect_s: for connecting: name lookup, TCP, proxy and TLS together, for each attempt.
        first_chunk_s: from the request to the first progress. It starts over while llama.cpp's server reports that it
            processes the prompt (`prompt_progress`).
        idle_s: between two signs of progress.
        response_s: from the request to the end of the response, on the blocking call.
        total_s: for the call with all its retries and the waits between them.
    """

    connect_s: float | None = 10.0
    first_chunk_s: float | None = 600.0
    idle_s: float | None = 300.0
    response_s: float | None = 600.0
    total_s: float | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
                raise ConfigurationError(
                    f"{name} must be a number of seconds above 0, or None for no deadline: {value!r}"
                )


Timeout.__module__ = "firsttoken"  # the public module, for reprs, tracebacks and pickles
