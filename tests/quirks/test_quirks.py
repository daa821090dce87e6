"""Each known quirk: yielded, called back and accumulated, by both clients, and at every split of the bytes."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from firsttoken import ChatCompletionChunk, chat_completion_request
from firsttoken._protocol import quirks
from firsttoken.errors import ChatCompletionError
from firsttoken.sansio import Accumulator
from firsttoken.types import ChatCompletion
from tests.quirks.calls_and_usage import TOOL_CALLS, USAGE
from tests.quirks.chunks_and_choices import CHOICES, CHUNKS, DELTAS
from tests.quirks.error_shapes import SHAPES
from tests.quirks.example import Example, Seen, seen
from tests.quirks.framing_and_errors import ERRORS, FRAMING
from tests.quirks.page import PAGE, page
from tests.support.clients import MakeClient
from tests.support.core import cut_every, every_split
from tests.support.exchange import NOW_S, drain_all, new_exchange, response
from tests.support.server import Peer, Server

EXAMPLES: dict[str, dict[str, Example]] = {
    "framing": FRAMING,
    "error": ERRORS | SHAPES,
    "chunk": CHUNKS,
    "choice": CHOICES,
    "delta": DELTAS,
    "tool_call": TOOL_CALLS,
    "usage": USAGE,
}
BY_NAME = {name: example for examples in EXAMPLES.values() for name, example in examples.items()}
each_example = pytest.mark.parametrize("name", BY_NAME)


def test_each_row_has_an_example_and_each_example_a_row() -> None:
    rows = [(row.part, row.name) for row in quirks.QUIRKS]
    assert len({name for _, name in rows}) == len(rows)
    assert set(rows) == {(part, name) for part, examples in EXAMPLES.items() for name in examples}


def test_each_row_names_a_source_and_a_room_that_there_is() -> None:
    package = Path(quirks.__file__).parent
    modules = {path.stem for path in (*package.glob("*.py"), *package.parent.glob("*.py"))}
    for row in quirks.QUIRKS:
        assert row.what
        assert row.source
        assert row.module in modules


def test_the_page_in_the_docs_shows_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.quirks writes it"


def accumulated(chunks: Iterable[ChatCompletionChunk], failure: ChatCompletionError | None) -> Seen:
    """What is seen in chunks that were yielded."""
    accumulator = Accumulator()
    accumulator.add_all(chunks)
    return seen(accumulator.completion, failure)


@each_example
def test_at_every_split(name: str) -> None:
    example = BY_NAME[name]
    head = response(example.status, {"content-type": example.content_type}, b"", framing="eof")
    for pieces in every_split(example.body):
        exchange = new_exchange(expected_choices=1 + len(example.seen.others))
        chunks: list[ChatCompletionChunk] = []
        for piece in (head, *pieces):
            exchange.receive_data(piece, NOW_S)
            chunks += drain_all(exchange)
        exchange.receive_eof(NOW_S)
        chunks += drain_all(exchange)
        assert seen(exchange.parser.completion, exchange.failure) == example.seen
        assert accumulated(chunks, exchange.failure) == example.seen
        assert exchange.is_complete is not bool(example.seen.failure)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Sends the example that the model's name names, in pieces of as many bytes as it says."""

    def serve(peer: Peer) -> None:
        while (request := peer.read_request()) is not None:
            name, _, size = request.json["model"].partition(":")
            example: Example = BY_NAME[name]
            peer.send_head(example.status, {"content-type": example.content_type, "transfer-encoding": "chunked"})
            for piece in cut_every(example.body, int(size)):
                peer.send_part(piece)
            peer.send(b"0\r\n\r\n")

    with Server(serve) as running:
        yield running


@pytest.mark.parametrize("size", [1, 10**6], ids=["byte by byte", "whole"])
@each_example
def test_through_both_clients(name: str, size: int, server: Server, make_client: MakeClient) -> None:
    expected = BY_NAME[name].seen
    request = chat_completion_request(f"{name}:{size}", "Hi", n=1 + len(expected.others))
    client = make_client(server)

    iterated: list[ChatCompletionChunk] = []
    stream = client.chat_completion_stream(request)
    failure = failure_in(lambda: iterated.extend(stream))
    assert accumulated(iterated, failure) == expected
    assert seen(stream.completion, failure) == expected

    called: list[ChatCompletionChunk] = []
    returned: list[ChatCompletion] = []
    failure = failure_in(lambda: returned.append(client.chat_completion_stream(request, called.append)))
    assert accumulated(called, failure) == expected
    assert [seen(completion, None) for completion in returned] == [expected] * (failure is None)

    stream = client.chat_completion_stream(request)
    failure = failure_in(lambda: returned.append(stream.final_completion()))
    assert seen(returned[-1] if failure is None else failure.partial, failure) == expected


def failure_in(work: Callable[[], object]) -> ChatCompletionError | None:
    try:
        work()
    except ChatCompletionError as failure:
        return failure
    return None
