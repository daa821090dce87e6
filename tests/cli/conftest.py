"""The server that the command under test speaks to."""

from collections.abc import Iterator

import pytest

from tests.cli.peer import Peer


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as server:
        yield server
