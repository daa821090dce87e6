"""Drives the core with bytes, cut as a test likes, and sums up what came of it."""

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from firsttoken.errors import APIStatusError, ChatCompletionError
from firsttoken.sansio import StreamParser
from firsttoken.types import ChatCompletion, ChatCompletionChunk

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"


class Outcome(NamedTuple):
    chunks: list[ChatCompletionChunk]
    completion: ChatCompletion
    complete: bool
    failure: ChatCompletionError | None

    def summary(self) -> tuple[str, ...]:
        """All of it as text, which NaN can be compared in."""
        return repr(self.chunks), repr(self.completion), repr(self.complete), *failure_summary(self.failure)


def failure_summary(failure: ChatCompletionError | None) -> tuple[str, ...]:
    """What a failure shows: its class, its text, its attributes."""
    if failure is None:
        return ()
    return type(failure).__name__, str(failure), repr({**vars(failure), "partial": repr(failure.partial)})


def run(pieces: bytes | Iterable[bytes], *, eof: bool = True) -> Outcome:
    """The outcome of a body that arrives in these pieces."""
    return drive(StreamParser(), [pieces] if isinstance(pieces, bytes) else pieces, eof=eof)


def drive(core: StreamParser, pieces: Iterable[bytes], *, eof: bool = True) -> Outcome:
    chunks: list[ChatCompletionChunk] = []
    for piece in pieces:
        core.receive_data(piece)
        chunks += drain(core)
    if eof:
        core.receive_eof()
        chunks += drain(core)
    return Outcome(chunks, core.completion, core.complete, core.failure)


def drain(core: StreamParser) -> Iterator[ChatCompletionChunk]:
    """Hand out what is ready."""
    while (chunk := core.next_chunk()) is not None:
        yield chunk


def refused(outcome: Outcome) -> APIStatusError:
    """The error of the server that ended a stream."""
    assert isinstance(outcome.failure, APIStatusError), outcome.failure
    return outcome.failure


def cut_at(data: bytes, places: Iterable[int]) -> list[bytes]:
    """The data cut at these places, which are taken modulo its length."""
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(edges)]


def cut_every(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def every_split(data: bytes) -> Iterator[list[bytes]]:
    """The data complete, byte by byte, and cut once at every place."""
    yield [data]
    yield cut_every(data, 1)
    for place in range(1, len(data)):
        yield [data[:place], data[place:]]
