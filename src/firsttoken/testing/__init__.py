"""A server that fails on purpose, to rehearse what real ones do to streams.

    from firsttoken.testing import FAULTS, Gate, ScriptedServer, done, finish

    with ScriptedServer(["Hel", "lo", finish(), done()]) as server:
        ...  # any client, any language: server.base_url, server.api_key

A script is a list of steps; what is sent is what it says, byte for byte, so a script without `finish()` and `done()`
is an answer that was cut. `reply(text)` gives the steps of a whole answer. `FAULTS` is made for
`pytest.mark.parametrize`; `server.journal` tells what the client did. With pytest, the fixture `chat_server` is there.
"""

from firsttoken.testing._entry import Entry, Request
from firsttoken.testing._fault import Fault
from firsttoken.testing._faults import FAULTS
from firsttoken.testing._journal import Journal
from firsttoken.testing._pace import Pace
from firsttoken.testing._recorded import Read, RecordedExchange
from firsttoken.testing._recorder import record
from firsttoken.testing._recording import Recording, RecordingError
from firsttoken.testing._replay import Replay, replay
from firsttoken.testing._scripts import Script, ScriptLike, on_connect, refuse
from firsttoken.testing._server import ScriptedServer
from firsttoken.testing._steps import (
    Gate,
    Step,
    StepLike,
    chunk,
    close,
    comment,
    delta,
    done,
    end,
    error,
    event,
    finish,
    forever,
    head,
    interim,
    pause,
    raw,
    reasoning,
    refusal,
    reply,
    reset,
    respond,
    role,
    split,
    stall,
    text,
    together,
    tool_call,
    usage,
    wire,
)

__all__ = [
    "FAULTS",
    "Entry",
    "Fault",
    "Gate",
    "Journal",
    "Pace",
    "Read",
    "RecordedExchange",
    "Recording",
    "RecordingError",
    "Replay",
    "Request",
    "Script",
    "ScriptLike",
    "ScriptedServer",
    "Step",
    "StepLike",
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
    "on_connect",
    "pause",
    "raw",
    "reasoning",
    "record",
    "refusal",
    "refuse",
    "replay",
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

for _name in __all__:
    _public = globals()[_name]
    if getattr(_public, "__module__", "").startswith("firsttoken.testing."):
        _public.__module__ = __name__  # so that reprs, tracebacks and pickles show the door
