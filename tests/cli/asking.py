"""`firsttoken ask` as a process, and the peer that it asks."""

import subprocess
from typing import Self

from tests.cli.peer import Peer, ResponseReader
from tests.support.command import COMMAND, environment, read_exactly, start


class Asking:
    """The command under way, its question received by the peer."""

    def __init__(self, peer: Peer, *arguments: str, **variables: str) -> None:
        self.process = start("ask", "Why?", "--base-url", peer.base_url, *arguments, **variables)
        try:
            self.exchange = peer.accept()
        except BaseException:
            self.process.kill()
            raise AssertionError(f"no question came: {self.end()}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.exchange.close()
        with self.process:
            self.process.kill()

    def reads(self, text: str) -> bool:
        """Whether this is what stdout carries next."""
        return read_exactly(self.process, len(text)) == text.encode()

    def end(self) -> tuple[str, str, int]:
        """What stdout and stderr still carried, and the exit status."""
        stdout, stderr = self.process.communicate(timeout=30)
        return stdout.decode(), stderr.decode(), self.process.returncode


def answered(peer: Peer, *arguments: str, stdin: str | None = None, **variables: str) -> ResponseReader:
    """Runs the command against a complete answer, and gives the request."""
    with subprocess.Popen(
        [*COMMAND, "ask", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(OPENAI_BASE_URL=peer.base_url) | variables,
    ) as process:
        assert process.stdin is not None
        process.stdin.write((stdin or "").encode())
        process.stdin.close()
        with peer.accept() as exchange:
            exchange.open_stream()
            exchange.send_text("So.")
            exchange.end_stream()
        assert process.wait(30) == 0
    return exchange
