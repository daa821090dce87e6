"""The streams of a soak: what each asks for, what the server makes of it, and what must come of it."""

import random
from dataclasses import dataclass
from typing import Any

from firsttoken import ChatCompletion, ChatCompletionRequest, Timeout, chat_completion_request
from firsttoken.errors import ChatCompletionError
from firsttoken.testing import FAULTS, Fault, Request, done, finish, reasoning, reply, role, tool_call

LEFT_EARLY = ("break", "stop", "close", "cancel")
"""Ways in which a caller leaves a stream before its end."""

PLAYABLE = {
    fault.name: fault for fault in FAULTS if fault.script.waits_for_request and fault.script.accepts_connections
}
"""The faults that a server which serves everybody can play: those of one request."""

LARGE = ("huge-event", "endless-event")
"""Faults of many megabytes. They are played in the first quarter alone: what they do to memory is the concern of
`tests/limits`, and how the allocator's arenas look afterwards nobody's."""

LONG = Timeout(connect_s=30, first_chunk_s=60, idle_s=60)
IMPATIENCE = Timeout(connect_s=30, first_chunk_s=0.3, idle_s=0.3)
"""For faults that only a deadline ends."""


@dataclass(frozen=True)
class Scenario:
    """One stream.

    Attributes:
        number: which it is.
        kind: "whole", "tools", one of `LEFT_EARLY`, or "fault " and its name.
    """

    number: int
    kind: str

    @property
    def fault(self) -> Fault | None:
        return PLAYABLE.get(self.kind.removeprefix("fault ")) if self.kind.startswith("fault ") else None

    @property
    def request(self) -> ChatCompletionRequest:
        return chat_completion_request("soak", "Go on.", user=f"{self.number}/{self.kind}")

    @property
    def timeout(self) -> Timeout:
        fault = self.fault
        return IMPATIENCE if fault is not None and fault.needs_deadline and not fault.is_complete else LONG

    @property
    def text(self) -> str:
        """What a complete answer says: up to sixty words, which nobody else's answer has."""
        words = random.Random(self.number).randrange(1, 60)
        return " ".join(f"{self.number}.{word}" for word in range(words))


def scenarios(count: int) -> list[Scenario]:
    """So many streams: six of ten are good, two bad, and two left early; every fault comes in its turn."""
    chance = random.Random(count)
    small = sorted(PLAYABLE.keys() - set(LARGE))
    made: list[Scenario] = []
    for number in range(count):
        draw = chance.random()
        if draw < 0.6:
            kind = "whole" if draw < 0.5 else "tools"
        elif draw < 0.8:
            names = sorted(PLAYABLE) if number < count / 4 else small
            kind = f"fault {names[number % len(names)]}"
        else:
            kind = chance.choice(LEFT_EARLY)
        made.append(Scenario(number, kind))
    return made


def script_for(request: Request) -> Any:
    """What the server makes of a request."""
    number, _, kind = str(request.json["user"]).partition("/")
    scenario = Scenario(int(number), kind)
    if kind == "tools":
        thought, call = reasoning("Let me see."), tool_call("resolve_host", {"words": scenario.text}, fragments=5)
        return [role(), thought, call, finish("tool_calls"), done()]
    return scenario.fault or reply(scenario.text)


def check(scenario: Scenario, completion: ChatCompletion | None, failure: ChatCompletionError | None) -> str | None:
    """What is wrong with the outcome of a stream that was read to its end; None where it is what it must be."""
    fault = scenario.fault
    if fault is not None and not fault.is_complete:
        return _check_failure(fault, failure)
    if failure is not None or completion is None:
        return f"a good stream failed: {failure!r}"
    if scenario.kind == "tools":
        calls = completion.choices[0].message.tool_calls or []
        said = [call.function.arguments for call in calls if call.function is not None]
        return None if said == [f'{{"words": "{scenario.text}"}}'] else f"the tool call came as {said}"
    wanted = scenario.text if fault is None else fault.text
    return None if completion.text == wanted else f"{completion.text!r} came instead of {wanted!r}"


def _check_failure(fault: Fault, failure: ChatCompletionError | None) -> str | None:
    if failure is None:
        return "half an answer passed for a whole one"
    text = "" if failure.partial is None else failure.partial.text
    if fault.needs_deadline:  # on a busy machine the deadline may come before the text
        return None if fault.text.startswith(text) else f"partial has {text!r}, but the server said {fault.text!r}"
    return None if text == fault.text else f"partial has {text!r} instead of {fault.text!r}: {failure!r}"
