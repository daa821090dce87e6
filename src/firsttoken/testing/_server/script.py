"""Scripts: which steps answer which request, and how fast."""

import inspect
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from firsttoken.testing._script import Step, StepLike, reject_uncalled, reply
from firsttoken.testing._script.flow import as_step
from firsttoken.testing._server.journal import Request


@dataclass(frozen=True, slots=True)
class Script:
    """Steps that answer a request.

    Attributes:
        steps: in order.
        waits_for_request: whether a request is read first; else the steps are played as soon as there is a connection.
        accepts_connections: whether the server takes connections at all.
    """

    steps: tuple[Step, ...]
    waits_for_request: bool = True
    accepts_connections: bool = True


class HasScript:
    """Something that has a script, as a `Fault` has."""

    script: Script


ScriptLike = Script | HasScript | StepLike | Iterable[StepLike]
"""A script: steps, or one step; a `str` is a complete answer with that text (`reply`)."""

Answering = ScriptLike | Callable[[Request], ScriptLike]
"""A script, or a function that gives the script for a request."""

DEFAULT = "Hello!"
"""What a server answers that was given no script."""


def as_script(script: ScriptLike) -> Script:
    """The script that something stands for.

    Raises:
        TypeError: it stands for none.
    """
    reject_uncalled(script)
    if isinstance(script, Script):
        return script
    if isinstance(script, HasScript):
        return script.script
    if isinstance(script, str):
        return Script(tuple(reply(script)))
    if isinstance(script, (bytes, Mapping, Step)):
        return Script((as_step(script),))  # pyright: ignore[reportArgumentType] - it thinks of a mapping of steps
    try:
        steps = iter(script)
    except TypeError:
        hint = "hint: a str, a list of steps, a Fault, or a function (not a coroutine function) that gives one"
        raise TypeError(f"{type(script).__name__} is not a script; {hint}") from None
    return Script(tuple(map(as_step, steps)))


def on_connect(*steps: StepLike) -> Script:
    """A script that does not wait for a request: it is played as soon as a connection is there, which is then closed.

    Clients that open connections in advance use up such scripts, too.
    """
    return Script(tuple(map(as_step, steps)), waits_for_request=False)


def refuse() -> Script:
    """A script that takes no connection: the port refuses them. It must be a server's only script."""
    return Script((), waits_for_request=False, accepts_connections=False)


class Scripts:
    """The scripts of a server, used in turn; the last one answers all further requests.

    Args:
        answers: scripts, or functions of the request.

    Attributes:
        accepts_connections: whether the server is to take connections.
    """

    def __init__(self, answers: Iterable[Answering]) -> None:
        self._lock = threading.Lock()
        self._answers: list[Script | Callable[[Request], ScriptLike]] = []
        self._next = 0
        self.accepts_connections = True
        self.replace(answers)

    def replace(self, answers: Iterable[Answering]) -> None:
        """Begin anew with others.

        Raises:
            TypeError: one of them is not a script.
            ValueError: `refuse()` is one of several.
        """
        checked = [_checked(answer) for answer in answers] or [as_script(DEFAULT)]
        accepts_connections = not any(
            isinstance(answer, Script) and not answer.accepts_connections for answer in checked
        )
        if not accepts_connections and len(checked) > 1:
            raise ValueError("a port that refuses connections has no other scripts: refuse() must stand alone")
        with self._lock:
            self._answers, self._next, self.accepts_connections = checked, 0, accepts_connections

    def take_on_connect(self) -> Script | None:
        """The next script, if it does not wait for a request."""
        with self._lock:
            answer = self._answers[self._next]
            if not isinstance(answer, Script) or answer.waits_for_request:
                return None
            self._advance()
            return answer

    def take(self, request: Request) -> Script:
        """The next script.

        Raises:
            Exception: whatever a function of the request raises.
        """
        with self._lock:
            answer = self._answers[self._next]
            self._advance()
        return answer if isinstance(answer, Script) else as_script(answer(request))

    def _advance(self) -> None:
        self._next = min(self._next + 1, len(self._answers) - 1)


def _checked(answer: Answering) -> Script | Callable[[Request], ScriptLike]:
    reject_uncalled(answer)
    if callable(answer) and not isinstance(answer, (Step, HasScript)):
        if inspect.iscoroutinefunction(answer):
            raise TypeError(f"{answer!r} is a coroutine function; hint: a script is given by a plain one, in a thread")
        return answer
    return as_script(answer)


@dataclass(frozen=True)
class Pace:
    """How fast a script is played, in seconds; the same seed gives the same times.

    The head is sent with the first chunk, unless the script has a `head()` of its own. A request that asks for no
    stream waits as long for its one answer as the stream of the same script takes.

    Attributes:
        first_chunk_s: before the first chunk (or other event).
        gap_s: before each further one.
        jitter_s: up to so much more or less before each, evenly spread; never less than no time.
        seed: of that chance. Each answer of a server has its own times, which depend on the seed and on its number.
    """

    first_chunk_s: float = 0.0
    gap_s: float = 0.0
    jitter_s: float = 0.0
    seed: int = 0

    def delays_s(self, answer: int = 1) -> Iterator[float]:
        """The waits before the events of an answer, without end.

        Args:
            answer: which answer of the server it is, from 1.
        """
        chance = random.Random(f"{self.seed}/{answer}")  # noqa: S311 - times are no secrets
        delay_s = self.first_chunk_s
        while True:
            yield max(0.0, delay_s + chance.uniform(-self.jitter_s, self.jitter_s))
            delay_s = self.gap_s
