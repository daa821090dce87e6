"""The child processes of a run: how they are started, and what they report."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager

import msgspec

from benchmarks.concurrent import ConcurrentReading

TIMEOUT_S = 600.0


def environment() -> dict[str, str]:
    """This process's environment without what would lead a client elsewhere."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("OPENAI_") and not name.lower().endswith("_proxy")
    }


@contextmanager
def bytecode_kept() -> Generator[None]:
    """Let the child processes keep compiled modules, as installed packages have them, in a place of their own."""
    with tempfile.TemporaryDirectory(prefix="firsttoken-benchmarks-") as folder:
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        yield


@contextmanager
def stream_server(module: str = "server") -> Generator[int]:
    """A server process (see `server` and `concurrent_server`), by its port."""
    with subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{module}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as process:
        if process.stdout is None:
            raise RuntimeError("the server has no stdout")
        yield int(process.stdout.readline())


class Reading(msgspec.Struct):
    """What a client process reports.

    Attributes:
        cpu_s: that a stream cost it, the least of its streams.
        chunks: of the last stream.
        characters: of the last stream.
        grown_bytes: by how much its peak of resident memory grew.
    """

    cpu_s: float
    chunks: int
    characters: int
    grown_bytes: int

    @property
    def cpu_per_chunk_s(self) -> float:
        """What a chunk cost."""
        return self.cpu_s / self.chunks


def read_streams(kind: str, port: int, model: str, streams: int = 1, module: str = "client") -> Reading:
    """Have a fresh client process (see `client` and `async_client`) read streams, one after another."""
    arguments = ["-m", f"benchmarks.{module}", kind, str(port), model, str(streams)]
    reading = msgspec.json.decode(run_python(*arguments), type=Reading)
    expected = int(model.partition(":")[2])
    if reading.chunks != expected:
        raise RuntimeError(f"{kind} gave {reading.chunks} chunks of {expected}")
    return reading


def read_concurrent(kind: str, port: int, streams: int, chunks: int, gap_s: float) -> ConcurrentReading:
    """Have a fresh client process (see `concurrent`) read streams, all at once."""
    arguments = ["-m", "benchmarks.concurrent", kind, str(port), str(streams), str(chunks), str(gap_s)]
    return msgspec.json.decode(run_python(*arguments), type=ConcurrentReading)


def run_python(*arguments: str) -> str:
    """What a fresh interpreter prints; its stderr is ours.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    return subprocess.run(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=TIMEOUT_S,
        env=environment(),
    ).stdout
