"""What a signal handler raises leaves a call as it is, from whichever line it interrupts."""

import gc
from itertools import count
from typing import Any

import pytest

from firsttoken import Client
from firsttoken._client import sockets
from firsttoken._sync import connection, driver, stream
from firsttoken.testing import ScriptedServer
from tests.support.clients import KEY, REQUEST
from tests.support.interrupts import raising_at

FILES = [str(module.__file__) for module in (connection, driver, stream, sockets)]
"""Not the pool's: to raise at the end of a `with` keeps a lock that all clients share; no signal can do that."""


@pytest.mark.parametrize("raised", [TimeoutError, KeyboardInterrupt, ConnectionResetError])
@pytest.mark.parametrize("is_reused", [False, True], ids=["first call", "second call"])
def test_what_a_handler_raises_propagates_from_every_line(raised: type[BaseException], is_reused: bool) -> None:
    """`TimeoutError`, which many raise from an alarm, is what a socket raises too."""

    def propagates(line: int) -> bool:
        """Whether it does; False where so many lines have not run: it depends on what a read brings."""
        with Client(base_url=server.base_url, api_key=KEY, proxy="", max_retries=0) as client:
            if is_reused:
                list(client.chat_completion_stream(REQUEST))
            found: Any = client.chat_completion_stream(REQUEST)
            try:
                with raising_at(line, raised("of a handler"), FILES) as interrupt:
                    list(found)
            except raised as error:
                return str(error) == "of a handler"
            assert interrupt.lines < line, f"line {line} of {interrupt.lines} has raised, and nothing propagated"
            return False

    with ScriptedServer(lambda _: "Hello") as server:
        gc.disable()  # or it may drop a stream there, and nothing propagates from a `__del__`
        try:
            reached = next(line for line in count(1) if not propagates(line))
        finally:
            gc.enable()
            gc.collect()
    assert reached > 150
