"""The steps of a script: each does one thing to the answer under way.

Own what a step puts into the response. Refuse to know of sockets: that is `_answer`'s.
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
from firsttoken.testing._script.flow import Gate, as_step, coalesce, pause, repeat, split, stall
from firsttoken.testing._script.step import JSON, Step, StepLike, reject_uncalled
from firsttoken.testing._script.wire import (
    body_bytes,
    close,
    comment,
    end,
    error,
    head,
    interim,
    reset,
    respond,
    wire_bytes,
)

__all__ = [
    "JSON",
    "Gate",
    "Step",
    "StepLike",
    "as_step",
    "body_bytes",
    "chunk",
    "close",
    "coalesce",
    "comment",
    "delta",
    "done",
    "end",
    "error",
    "event",
    "finish",
    "head",
    "interim",
    "pause",
    "reasoning",
    "refusal",
    "reject_uncalled",
    "repeat",
    "reply",
    "reset",
    "respond",
    "role",
    "split",
    "stall",
    "text",
    "tool_call",
    "usage",
    "wire_bytes",
]
