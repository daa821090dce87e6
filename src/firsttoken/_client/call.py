"""What both drivers share: the type of their machine, and what they raise."""

import copy
from typing import TypeVar

from firsttoken._client.prepared import PreparedRequest
from firsttoken._protocol.call import CallMachine
from firsttoken.errors import ConfigurationError

Machine = CallMachine[PreparedRequest]
_Error = TypeVar("_Error", bound=BaseException)


def copy_error(error: _Error) -> _Error:
    """A copy to raise: the traceback of what is raised refers to all that keeps the original. The cause stays."""
    copied = copy.copy(error)
    copied.__cause__ = error.__cause__
    return copied


def token_provider_error(error: Exception) -> RuntimeError:
    """What to raise for a token provider's `StopIteration`, which would end the caller's loop as if it were the end."""
    return RuntimeError(f"the token provider raised {type(error).__name__}")


def concurrency_error() -> ConfigurationError:
    """What a stream raises where two want to read it; the one that waits is not disturbed."""
    return ConfigurationError(
        "the stream is already being read by another thread or task", hint="give each a stream of its own"
    )
