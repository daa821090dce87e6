"""What a fault is, and the pieces that faults are made of."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from firsttoken.testing._script import JSON, Step, StepLike, done, finish, role, text
from firsttoken.testing._script.flow import as_step, coalesce
from firsttoken.testing._server.script import HasScript, Script

if TYPE_CHECKING:
    from firsttoken.testing._server.response import ResponseWriter

Where = Literal["before the head", "in the stream"]

GAP_S = 0.01
"""Between two things that a server sends forever: it is to be no burden."""

READ_S = 0.05
"""So that what was sent is read by itself: before more is, and before a reset, at which some systems throw it away."""


@dataclass(frozen=True, slots=True)
class Fault(HasScript):
    """One thing that goes wrong, or is merely odd; a `ScriptedServer` takes it as a script.

    What it says about clients holds for a right one: a stream counts as complete only when its end says so, and every
    piece that came before a failure is yielded.

    Attributes:
        name: in a few words, unique.
        where: whether it happens before the head of a stream is there, or after.
        what: what the server does.
        script: that does it.
        text: what a client has yielded when it notices: the text of choice 0 before the fault.
        is_complete: whether the answer is complete all the same, and `text` all of it: what is odd, but right.
        needs_deadline: whether the server never ends it, so that only a deadline of the client does, or a limit on
            the size of what it takes.
        status: the HTTP status of the server's refusal, or the one that its error inside a 200 names; None where the
            server says no such thing.
        is_retried: whether a client that tries again what may pass sends the request anew: nothing was yielded,
            and it is a lost connection, or a refusal of a kind that may pass.
    """

    name: str
    where: Where
    what: str
    script: Script
    text: str = ""
    is_complete: bool = False
    needs_deadline: bool = False
    status: int | None = None
    is_retried: bool = False

    @property
    def __name__(self) -> str:
        """The name, for the ids that pytest makes."""
        return self.name

    def __str__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return hash(self.name)  # scripts hold dicts, which have none


def make_script(*steps: StepLike) -> Script:
    """The script with these steps."""
    return Script(tuple(map(as_step, steps)))


@dataclass(frozen=True, slots=True)
class LazyStep:
    """A step that is made when it is played: for what is large, or depends on the time."""

    make: Callable[[], Step]

    def play(self, response: "ResponseWriter") -> None:
        """Make it, and play it."""
        self.make().play(response)


ANSWER_START = coalesce(role(), text("Hel"), text("lo"))
"""The beginning of an answer, as good as they come."""

ANSWER_END = coalesce(finish(), done())
"""The end of it."""


def chunk_json(delta: str | JSON, finish_reason: str | None = None) -> bytes:
    """The JSON of a chunk, for those who put it on the wire themselves; a `str` is a piece of text.

    It has all that a real one has: clients that check their input refuse less.
    """
    fields = {"content": delta} if isinstance(delta, str) else delta
    choice = {"index": 0, "delta": fields, "logprobs": None, "finish_reason": finish_reason}
    usual = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "scripted"}
    return json.dumps({**usual, "choices": [choice]}, ensure_ascii=False).encode()


def make_event(delta: str | JSON, finish_reason: str | None = None) -> bytes:
    """A chunk's event."""
    return b"data: %s\n\n" % chunk_json(delta, finish_reason)


ROLE_EVENT = make_event({"role": "assistant", "content": ""})
FINISH_EVENT = make_event({}, "stop")
