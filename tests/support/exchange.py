"""Drives a call with the bytes of a response, at times that the test names."""

import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from firsttoken import Timeout
from firsttoken._protocol.call import CallMachine
from firsttoken._protocol.call_states import Action
from firsttoken._protocol.completeness import COMPLETE
from firsttoken._protocol.response import NoStream, ResponseReader
from firsttoken._protocol.stream import StreamParser
from firsttoken._schema.parsing import ResponseType
from firsttoken.errors import ChatCompletionError
from firsttoken.types import ChatCompletion, ChatCompletionChunk
from tests.support.core import failure_summary

NOW_S = 100.0
SECRET = "sk-secret-0123456789abcdef"


@dataclass(frozen=True)
class Settings:
    """What a machine has to know of a call."""

    streamed: bool = True
    expected_choices: int = 1
    require_finish_reason: bool = True
    reasoning_tags: tuple[str, str] | None = None
    timeout: Timeout = Timeout()  # noqa: RUF009 - it is frozen
    max_retries: int = 0
    method: Literal["GET", "POST"] = "POST"
    url: str = "http://test/v1/chat/completions"
    max_retry_delay_s: float = math.inf
    address: str = "test:80"
    route_address: str = "test:80"
    needs_token: bool = False
    needs_permit: bool = False
    secrets: tuple[str, ...] = ()
    response_type: ResponseType | None = None


def new_machine(settings: Settings | None = None, now: float = NOW_S) -> CallMachine[Settings]:
    """A call that begins."""
    return CallMachine(settings or Settings(), now, jitter=lambda: 0.0, wall_clock=lambda: 1_700_000_000.0)


class Exchange:
    """A call whose request was sent at `NOW_S`, and the response to it.

    Attributes:
        machine: of the call.
    """

    def __init__(self, settings: Settings, *, is_reused: bool = False) -> None:
        self.machine = new_machine(settings)
        self.machine.connected(NOW_S, is_reused=is_reused)
        self.machine.sent(NOW_S)
        self.receive_data = self.machine.receive_data
        self.receive_eof = self.machine.receive_eof
        self.process_pending = self.machine.process_pending
        self.connection_lost = self.machine.connection_lost

    @property
    def reader(self) -> ResponseReader:
        return self.machine._reader

    @property
    def parser(self) -> StreamParser | NoStream:
        return self.reader.parser

    @property
    def is_complete(self) -> bool:
        return self.parser.end == COMPLETE

    @property
    def deadline(self) -> float:
        return self.machine.deadline

    @property
    def failure(self) -> ChatCompletionError | None:
        """What the call failed with, once all chunks were yielded."""
        while self.machine.next_action(NOW_S) in (Action.CLOSE, Action.RELEASE):
            pass
        error = self.machine.error
        assert error is None or isinstance(error, ChatCompletionError)
        end = self.parser.end
        return error or (end if isinstance(end, ChatCompletionError) else None)

    @property
    def completion(self) -> ChatCompletion | None:
        return self.reader.completion


def new_exchange(
    *, streamed: bool = True, expected_choices: int = 1, timeout: Timeout | None = None, secrets: tuple[str, ...] = ()
) -> Exchange:
    """A call whose request goes out at `NOW_S`."""
    settings = Settings(
        streamed=streamed, expected_choices=expected_choices, timeout=timeout or Timeout(), secrets=secrets
    )
    return Exchange(settings)


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


def drain_all(exchange: Exchange) -> Iterator[ChatCompletionChunk]:
    """Yield what is pending, and what was read and is not decoded yet."""
    pending = exchange.machine.pending
    while pending or exchange.reader.has_pending_data:
        if pending:
            yield pending.popleft()
        else:
            exchange.process_pending(NOW_S)


def exchanged(pieces: Iterable[bytes], exchange: Exchange | None = None) -> Summary:
    """What comes of a response that arrives in these pieces, before the connection ends."""
    exchange = exchange or new_exchange()
    chunks: list[object] = []
    for piece in pieces:
        exchange.receive_data(piece, NOW_S)
        chunks += drain_all(exchange)
    exchange.receive_eof(NOW_S)
    chunks += drain_all(exchange)
    parser, failure = exchange.parser, exchange.failure
    return Summary(
        chunks=repr(chunks),
        completion=repr(parser.completion),
        complete=exchange.is_complete,
        failure=failure_summary(failure),
        response=repr(exchange.reader.response),
        reusable=exchange.reader.is_reusable,
    )
