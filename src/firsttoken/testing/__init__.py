"""A server that fails on purpose, to test how clients handle broken streams.

    from firsttoken.testing import FAULTS, Gate, ScriptedServer, done, finish

    with ScriptedServer(["Hel", "lo", finish(), done()]) as server:
        ...  # any client, any language: server.base_url, server.api_key

A script is a list of steps; what is sent is what it says, byte for byte, so a script without `finish()` and `done()`
is a truncated answer. `reply(text)` gives the steps of a complete answer. `FAULTS` is made for
`pytest.mark.parametrize`; `server.journal` shows what the client did. With pytest, the fixture `chat_server` is there.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firsttoken.testing._faults import FAULTS
    from firsttoken.testing._faults.fault import Fault
    from firsttoken.testing._recording import Read, RecordedExchange, Recording, RecordingError
    from firsttoken.testing._recording.recorder import record
    from firsttoken.testing._recording.replay import Replay, replay
    from firsttoken.testing._script import (
        Step,
        StepLike,
        body_bytes,
        chunk,
        close,
        comment,
        delta,
        done,
        end,
        error,
        event,
        finish,
        head,
        interim,
        reasoning,
        refusal,
        reply,
        reset,
        respond,
        role,
        text,
        tool_call,
        usage,
        wire_bytes,
    )
    from firsttoken.testing._script.flow import Gate, coalesce, pause, repeat, split, stall
    from firsttoken.testing._server import ChatServer, ScriptedServer
    from firsttoken.testing._server.journal import Journal, LoggedRequest, Request
    from firsttoken.testing._server.script import Pace, Script, ScriptLike, on_connect, refuse

__all__ = [
    "FAULTS",
    "ChatServer",
    "Fault",
    "Gate",
    "Journal",
    "LoggedRequest",
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
    "on_connect",
    "pause",
    "reasoning",
    "record",
    "refusal",
    "refuse",
    "repeat",
    "replay",
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

_MODULES = (
    *("_faults", "_faults.fault", "_recording", "_recording.recorder", "_recording.replay"),
    *("_script", "_script.flow", "_server", "_server.journal", "_server.script"),
)
"""The modules that the public names are from. pytest loads this package at each start, so that none is imported before
a name is first used; then all are, at once."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    for module in _MODULES:
        names = vars(import_module(f"{__name__}.{module}"))
        for public in names.keys() & set(__all__):
            value = globals()[public] = names[public]
            if getattr(value, "__module__", "").startswith(f"{__name__}."):
                value.__module__ = __name__  # so that reprs, tracebacks and pickles show the public module
    return globals()[name]


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
