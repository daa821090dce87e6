"""Failures that are kept for later.

A traceback refers to its frames, and these to whatever keeps the failure: a reference cycle, which would hold a
dropped stream and its connection until the garbage collector runs.
"""

from typing import TypeVar

_Failure = TypeVar("_Failure", bound=BaseException)


def parked(failure: _Failure) -> _Failure:
    """The failure, it and its causes without tracebacks, and without what was being handled when they were raised."""
    link: BaseException | None = failure
    while link is not None:
        link.__traceback__ = link.__context__ = None
        link = link.__cause__
    return failure
