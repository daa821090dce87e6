"""The steps of a script: each does one thing to the answer under way.

Own what a step puts into the answer. Refuse to know of sockets: that is `_answer`'s.
"""

from firsttoken.testing._script.content import (
    chunk,
    delta,
    done,
    event,
    finish,
    reasoning,
    refusal,
    reply,
    role,
    text,
    tool_call,
    usage,
)
from firsttoken.testing._script.flow import Gate, as_step, forever, pause, split, stall, together
from firsttoken.testing._script.step import JSON, All, Step, StepLike, reject_uncalled
from firsttoken.testing._script.wire import close, comment, end, error, head, interim, raw, reset, respond, wire

__all__ = [
    "JSON",
    "All",
    "Gate",
    "Step",
    "StepLike",
    "as_step",
    "chunk",
    "close",
    "comment",
    "delta",
    "done",
    "end",
    "error",
    "event",
    "finish",
    "forever",
    "head",
    "interim",
    "pause",
    "raw",
    "reasoning",
    "refusal",
    "reject_uncalled",
    "reply",
    "reset",
    "respond",
    "role",
    "split",
    "stall",
    "text",
    "together",
    "tool_call",
    "usage",
    "wire",
]
