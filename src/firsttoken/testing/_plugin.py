"""The pytest plugin: the fixture `chat_server`.

pytest imports this at each start, for users who may never ask for the fixture; so nothing of firsttoken is imported
until a test does. Installed with the package (entry point `pytest11`); `-p no:firsttoken` leaves it out.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from firsttoken.testing import ChatServer


@pytest.fixture
def chat_server(monkeypatch: pytest.MonkeyPatch) -> "Iterator[ChatServer]":
    """A `firsttoken.testing.ChatServer` that is running, and that clients find by the environment.

    `OPENAI_BASE_URL` and `OPENAI_API_KEY` lead to it for as long as the test runs, past any proxy. It answers "Hello!"
    until the test sets scripts: `chat_server.set_scripts(...)`. A script that fails, fails the test.
    `chat_server.max_wait_s = 0.2` gives all clients short deadlines.
    """
    from firsttoken.testing._server import ChatServer

    server = ChatServer()
    server._environment = monkeypatch
    with server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", server.api_key)
        for name in ("NO_PROXY", "no_proxy"):  # some clients read the one, some the other
            if os.environ.get(name) != "*":
                monkeypatch.setenv(name, ",".join(filter(None, (os.environ.get(name), "127.0.0.1", "localhost"))))
        yield server
