"""Streams in the forms that servers send: each gives exactly what its index says, and cut short it is never complete.

Those beside this file are written by hand, and always run. Recordings of real servers are other projects' data and not
part of this repository: they are read from the folder that `FIRSTTOKEN_STREAMS` names, or from `shared/streams` beside
the repository, and marked `recorded`. Where there are none, a test says so.
"""

import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from _pytest.mark import ParameterSet

from firsttoken import Client, chat_completion_request
from firsttoken._json import as_object, parse_json
from firsttoken._protocol import lenient
from firsttoken.errors import APIStatusError, ChatCompletionError, StreamTruncatedError
from firsttoken.sansio import Accumulator, StreamParser
from firsttoken.types import ChatCompletion, ChatCompletionChunk, Choice
from tests.support.clients import MakeClient
from tests.support.core import Outcome, cut_at, cut_every, drive, run
from tests.support.server import Peer, Server

WRITTEN = Path(__file__).parent / "streams"
RECORDED = Path(os.environ.get("FIRSTTOKEN_STREAMS") or Path(__file__).resolve().parents[3] / "shared" / "streams")
SMALL = 8_000
"""Bytes up to which a stream is cut between all events, and tried byte by byte in the core."""
TINY = 3_000
"""Bytes up to which a stream is sent byte by byte over a socket."""


def load_index(folder: Path) -> list[dict[str, Any]]:
    index = folder / "index.jsonl"
    lines = index.read_text(encoding="utf-8").splitlines() if index.is_file() else []
    return [json.loads(line) | {"path": folder / json.loads(line)["file"]} for line in lines]


def each(entries: list[dict[str, Any]], *marks: pytest.MarkDecorator) -> list[ParameterSet]:
    return [pytest.param(entry, id=entry["file"], marks=marks) for entry in entries]


ENTRIES = load_index(RECORDED)
each_stream = pytest.mark.parametrize("entry", each(load_index(WRITTEN)) + each(ENTRIES, pytest.mark.recorded))


@pytest.mark.recorded
def test_there_are_recorded_streams() -> None:
    if not ENTRIES:
        pytest.skip(f"no recorded streams in {RECORDED}: FIRSTTOKEN_STREAMS names a folder that has them")


def choice_as_indexed(choice: Choice) -> dict[str, Any]:
    message = choice.message
    calls = [
        {
            "id": call.id,
            "name": call.function and call.function.name,
            "arguments": call.function and call.function.arguments,
        }
        for call in message.tool_calls or ()
    ]
    return {
        "text": message.content or "",
        "reasoning": message.reasoning_text,
        "finish": choice.finish_reason,
        "calls": calls,
        "refusal": message.refusal or "",
    }


def as_indexed(outcome: Outcome) -> dict[str, Any]:
    completion: ChatCompletion = outcome.completion
    endings = {APIStatusError: "server", StreamTruncatedError: "truncated"}
    ended = next((name for kind, name in endings.items() if isinstance(outcome.failure, kind)), "other")
    return {
        "outcome": "complete" if outcome.complete else ended,
        "chunks": len(outcome.chunks),
        "usage": completion.usage.completion_tokens if completion.usage else None,
        "choices": {str(choice.index): choice_as_indexed(choice) for choice in completion.choices},
    }


def body_of(entry: dict[str, Any]) -> bytes:
    return Path(entry["path"]).read_bytes()


REASONING_IN_DETAILS = {
    "snowflake/pydantic-ai__models-test-snowflake-test-snowflake-thinking-streaming.sse": "15 * 27 = 405",
}
"""Reasoning that is in `reasoning_details` alone, where the index did not look."""


def expected_of(entry: dict[str, Any]) -> dict[str, Any]:
    expected = {name: entry[name] for name in ("outcome", "chunks", "usage", "choices")}
    if entry["file"] in REASONING_IN_DETAILS:
        choice = expected["choices"]["0"] | {"reasoning": REASONING_IN_DETAILS[entry["file"]]}
        expected["choices"] = expected["choices"] | {"0": choice}
    return expected


def somewhere(entry: dict[str, Any], count: int) -> list[int]:
    """Places in the body, the same in every run."""
    rng = random.Random(entry["file"])
    size = len(body_of(entry))
    return [rng.randrange(size) for _ in range(count)]


def cuts(entry: dict[str, Any]) -> list[int]:
    """Places to end the body at: some anywhere, and the ends of events, of a small stream all of them."""
    data = body_of(entry)
    ends = [found.end() for found in re.finditer(rb"\r?\n\r?\n", data)]
    return sorted({*somewhere(entry, 6), *(ends if len(data) <= SMALL else ends[:: 1 + len(ends) // 6])} - {len(data)})


@each_stream
def test_a_recorded_stream_gives_what_its_index_says(entry: dict[str, Any]) -> None:
    data = body_of(entry)
    splits = [[data], cut_every(data, 1000), *(cut_at(data, somewhere(entry, count)) for count in (1, 3, 9, 27))]
    for pieces in splits + [cut_every(data, 1)] * (len(data) <= SMALL):
        assert as_indexed(run(pieces)) == expected_of(entry)


@each_stream
def test_what_is_learned_on_the_way_changes_no_chunk(entry: dict[str, Any]) -> None:
    for chunk in run(body_of(entry)).chunks:
        value = as_object(parse_json(chunk.raw))
        assert value is not None
        assert chunk == msgspec.structs.replace(lenient.read(chunk.raw, value, ChatCompletionChunk), raw=chunk.raw)


@each_stream
def test_a_recorded_stream_cut_short_is_an_error_or_complete_by_the_rule(entry: dict[str, Any]) -> None:
    data = body_of(entry)
    whole = run(data)
    for place in cuts(entry):
        cut = run(data[:place])
        assert [chunk.raw for chunk in cut.chunks] == [chunk.raw for chunk in whole.chunks[: len(cut.chunks)]]
        assert cut.complete == (ended_by_rule(cut) or (bool(cut.chunks) and b"[DONE]" in data[:place]))
        if not cut.complete:
            assert isinstance(cut.failure, APIStatusError | StreamTruncatedError)
            assert cut.failure.chunks_received == len(cut.chunks)
            assert cut.failure.partial == (accumulated(cut.chunks) if cut.chunks else None)


def ended_by_rule(outcome: Outcome) -> bool:
    """Whether every choice seen has a finish reason, and no error came."""
    begun = {choice.index for chunk in outcome.chunks for choice in chunk.choices}
    finished = {choice.index for chunk in outcome.chunks for choice in chunk.choices if choice.finish_reason}
    return bool(begun) and begun == finished and not isinstance(outcome.failure, APIStatusError)


def accumulated(chunks: list[ChatCompletionChunk]) -> ChatCompletion:
    accumulator = Accumulator()
    accumulator.add_all(chunks)
    return accumulator.completion


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Sends the pieces that `SENT` has for the model's name, and then the end of the body."""

    def serve(peer: Peer) -> None:
        while (request := peer.read_request()) is not None:
            peer.begin_stream()
            for piece in SENT[request.json["model"]]:
                peer.send_part(piece)
            peer.send(b"0\r\n\r\n")

    with Server(serve) as running:
        yield running


SENT: dict[str, list[bytes]] = {}


def asked_for(entry: dict[str, Any]) -> StreamParser:
    return StreamParser(expected_choices=len(entry["choices"]) or 1)


def through(client: Client, entry: dict[str, Any], pieces: list[bytes]) -> Outcome:
    """The outcome of a body that is sent in these pieces, over a socket."""
    name, n = entry["file"], len(entry["choices"]) or 1
    SENT[name] = [piece for piece in pieces if piece]
    stream = client.chat_completion_stream(chat_completion_request(name, "Hi", n=n))
    chunks: list[ChatCompletionChunk] = []
    failure: ChatCompletionError | None = None
    try:
        chunks.extend(stream)  # keeps what came before an exception
    except ChatCompletionError as error:
        failure = error
    return Outcome(chunks, stream.completion, stream.state == "complete", failure)


@each_stream
def test_both_clients_give_what_the_index_says(entry: dict[str, Any], server: Server, make_client: MakeClient) -> None:
    data, client = body_of(entry), make_client(server)
    splits = [[data], *(cut_at(data, somewhere(entry, count)) for count in (2, 20))]
    for pieces in splits + [cut_every(data, 1)] * (len(data) <= TINY):
        outcome = through(client, entry, pieces)
        assert as_indexed(outcome) == expected_of(entry)
        assert outcome.completion == accumulated(outcome.chunks)


@each_stream
def test_both_clients_take_no_stream_that_is_cut_short_for_complete(
    entry: dict[str, Any], server: Server, make_client: MakeClient
) -> None:
    data, client = body_of(entry), make_client(server)
    for place in cuts(entry)[::4]:
        cut, known = through(client, entry, [data[:place]]), drive(asked_for(entry), [data[:place]])
        assert cut.complete == known.complete
        assert [chunk.raw for chunk in cut.chunks] == [chunk.raw for chunk in known.chunks]
        if known.failure is not None:
            assert cut.failure is not None
            assert (type(cut.failure), str(cut.failure)) == (type(known.failure), str(known.failure))
            assert cut.failure.partial == known.failure.partial
