"""Steps that say when, in which pieces and how often other steps are played."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from firsttoken.testing._script import Step, StepLike, Steps, body_bytes, chunk, reject_uncalled, text

if TYPE_CHECKING:
    from firsttoken.testing._server.response import ResponseWriter


def as_step(step: StepLike) -> Step:
    """The step that something stands for.

    Raises:
        TypeError: it stands for none.
    """
    reject_uncalled(step)
    if isinstance(step, str):
        return text(step)
    if isinstance(step, bytes):
        return body_bytes(step)
    if isinstance(step, Mapping):
        return chunk(step)
    if isinstance(step, Step):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is typed
        return step
    message = f"a script has steps, texts, chunks (dicts) and bytes, not {type(step).__name__}"
    if callable(step) or hasattr(step, "script") or hasattr(step, "waits_for_request"):
        raise TypeError(f"{message}; hint: it is a script of its own, which stands alone, not in a list")
    raise TypeError(f"{message}; hint: each of several scripts is an argument of its own")


@dataclass(frozen=True, slots=True)
class _Pause:
    seconds: float

    def play(self, response: "ResponseWriter") -> None:
        response.wait(self.seconds)


def pause(seconds: float) -> Step:
    """Send nothing for so many seconds. A test that wants order, not time, takes a `Gate`."""
    return _Pause(seconds)


def stall() -> Step:
    """Send nothing more, and wait until the client leaves."""
    return _Pause(float("inf"))


class Gate:
    """A step that holds the script until the test opens the gate.

    Each `open` lets the script pass once, also one that comes first. A gate may stand in several places, and be passed
    by several answers; whoever comes first passes first. In a test on asyncio the loop has to run while the test waits:
    `await asyncio.to_thread(gate.wait_until_reached)`.
    """

    def __init__(self) -> None:
        self._passes = threading.Semaphore(0)
        self._reached = threading.Semaphore(0)

    def __repr__(self) -> str:
        return "Gate()"

    def open(self, times: int = 1) -> None:
        """Let the script pass so many times."""
        self._passes.release(times)

    def wait_until_reached(self, timeout_s: float = 5.0) -> bool:
        """Wait until a script stands at the gate; give whether one does. Each time that one comes counts once.

        Args:
            timeout_s: how long to wait, in seconds.
        """
        return self._reached.acquire(timeout=timeout_s)

    def play(self, response: "ResponseWriter") -> None:
        """Wait for the test."""
        response.flush()
        self._reached.release()
        response.wait_for(lambda seconds: self._passes.acquire(timeout=seconds))


@dataclass(frozen=True, slots=True)
class _Split:
    every: int
    gap_s: float
    inner: Steps

    def play(self, response: "ResponseWriter") -> None:
        with response.split_writes(self.every, self.gap_s):
            self.inner.play(response)


def split(every: int, *steps: StepLike, gap_s: float = 0.0) -> Step:
    """Play steps, but send what they send in pieces of so many bytes, HTTP's framing included.

    Each piece is given to the system by itself, and leaves at once. A client that is slow to read may still find
    several of them together; `gap_s` keeps them apart.

    Args:
        every: the pieces' size in bytes.
        *steps: the steps.
        gap_s: a pause before each piece, in seconds.

    Raises:
        ValueError: `every` is less than 1.
    """
    if every < 1:
        raise ValueError(f"pieces must have a byte at least: every={every}")
    return _Split(every, gap_s, Steps(tuple(map(as_step, steps))))


@dataclass(frozen=True, slots=True)
class _Together:
    inner: Steps

    def play(self, response: "ResponseWriter") -> None:
        with response.buffered():
            self.inner.play(response)


def coalesce(*steps: StepLike) -> Step:
    """Play steps, but send all that they send at once, up to the next wait among them.

    What is cut by a `split` inside stays together; `split` around it cuts all of it.
    """
    return _Together(Steps(tuple(map(as_step, steps))))


@dataclass(frozen=True, slots=True)
class _Forever:
    inner: Steps
    gap_s: float

    def play(self, response: "ResponseWriter") -> None:
        while True:
            self.inner.play(response)
            response.wait(float("inf") if response.is_non_streaming else self.gap_s)


def repeat(*steps: StepLike, gap_s: float = 0.0) -> Step:
    """Play steps over and over until the client leaves, with a pause of so many seconds in between.

    A client that asked for no stream waits forever: such an answer is never complete.
    """
    return _Forever(Steps(tuple(map(as_step, steps))), gap_s)
