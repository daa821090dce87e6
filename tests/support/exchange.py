"""Drives an `ResponseReader` with the bytes of a response, at times that the test names."""

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from firsttoken import Timeout
from firsttoken._protocol.deadlines import Deadlines
from firsttoken._protocol.response import ResponseReader
from firsttoken.types import ChatCompletionChunk
from tests.support.core import drain, failure_summary

NOW_S = 100.0
SECRET = "sk-secret-0123456789abcdef"


def new_exchange(
    *, streamed: bool = True, expected_choices: int = 1, timeout: Timeout | None = None, secrets: tuple[str, ...] = ()
) -> ResponseReader:
    """An exchange whose request goes out at `NOW_S`."""
    deadlines = Deadlines(Timeout() if timeout is None else timeout, NOW_S, "test:80")
    deadlines.requesting(NOW_S)
    return ResponseReader(
        streamed=streamed,
        expected_choices=expected_choices,
        deadlines=deadlines,
        secrets=secrets,
        wall_clock=lambda: 1_700_000_000.0,
    )


def response(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    framing: Literal["length", "chunked", "eof"] = "length",
    rng: random.Random | None = None,
) -> bytes:
    """A response on the wire."""
    fields = dict(headers)
    if framing == "length":
        fields["content-length"] = str(len(body))
    elif framing == "chunked":
        fields["transfer-encoding"] = "chunked"
        body = _chunked(body, rng or random.Random(0))
    lines = [f"HTTP/1.1 {status} Any", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def _chunked(body: bytes, rng: random.Random) -> bytes:
    parts: list[bytes] = []
    while body:
        size = rng.randint(1, len(body))
        parts.append(b"%x\r\n%s\r\n" % (size, body[:size]))
        body = body[size:]
    return b"".join([*parts, b"0\r\n\r\n"])


class Summary(NamedTuple):
    chunks: str
    completion: str
    complete: bool
    failure: tuple[str, ...]
    response: str
    reusable: bool


def drain_all(exchange: ResponseReader) -> Iterator[ChatCompletionChunk]:
    """Hand out what is ready, and what was read and is not decoded yet."""
    yield from drain(exchange.core)
    while exchange.has_pending_data:
        exchange.process_pending(NOW_S)
        yield from drain(exchange.core)


def exchanged(pieces: Iterable[bytes], exchange: ResponseReader | None = None) -> Summary:
    """What comes of a response that arrives in these pieces, before the connection ends."""
    exchange = exchange or new_exchange()
    chunks: list[object] = []
    for piece in pieces:
        exchange.receive_data(piece, NOW_S)
        chunks += drain_all(exchange)
    exchange.receive_eof(NOW_S)
    chunks += drain_all(exchange)
    core = exchange.core
    return Summary(
        chunks=repr(chunks),
        completion=repr(core.completion),
        complete=core.complete,
        failure=failure_summary(core.failure),
        response=repr(exchange.response),
        reusable=exchange.reusable,
    )
