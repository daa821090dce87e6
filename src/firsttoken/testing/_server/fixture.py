"""What the fixture `chat_server` gives: a server that clients find by the environment, and that makes them hurry."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from firsttoken._client.settings import MAX_WAIT_VARIABLE, max_wait_s
from firsttoken.testing._server.server import ScriptedServer

if TYPE_CHECKING:
    import pytest


class ChatServer(ScriptedServer):
    """A `ScriptedServer` that clients find by the environment, as the fixture `chat_server` gives it."""

    _environment: "pytest.MonkeyPatch"

    @property
    def max_wait_s(self) -> float | None:
        """The longest that any firsttoken client waits for an answer to begin or to go on, in seconds; None: no limit.

        For code that makes its own clients: with it, a server that falls silent costs a test so long instead of
        minutes. Whatever deadlines the code sets are cut to it, but for `connect_s` and `total_s`, and a wait before a
        retry is a tenth of it at most. It stands in the environment, as `FIRSTTOKEN_MAX_WAIT_S`, so that other
        processes obey it too, and counts for the calls that begin from now on.
        """
        return max_wait_s(os.environ)

    @max_wait_s.setter
    def max_wait_s(self, seconds: float | None) -> None:
        if seconds is None:
            self._environment.delenv(MAX_WAIT_VARIABLE, raising=False)
        else:
            max_wait_s({MAX_WAIT_VARIABLE: str(seconds)})  # refuses what is none
            self._environment.setenv(MAX_WAIT_VARIABLE, str(seconds))


@contextmanager
def running(environment: "pytest.MonkeyPatch") -> Generator[ChatServer]:
    """A server that is running, and that the environment leads to, past any proxy."""
    server = ChatServer()
    server._environment = environment
    with server:
        environment.setenv("OPENAI_BASE_URL", server.base_url)
        environment.setenv("OPENAI_API_KEY", server.api_key)
        for name in ("NO_PROXY", "no_proxy"):  # some clients read the one, some the other
            if os.environ.get(name) != "*":
                environment.setenv(name, ",".join(filter(None, (os.environ.get(name), "127.0.0.1", "localhost"))))
        yield server
