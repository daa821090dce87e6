"""Law: folding the chunks of any completion gives that completion."""

import json
import random
from typing import Any

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from firsttoken._protocol.decode import ChunkDecoder, decode_completion
from firsttoken._protocol.sse import ServerSentEvent
from firsttoken.sansio import Accumulator
from firsttoken.types import ChatCompletionChunk, ChoiceDelta, ChunkChoice, CompletionUsage
from tests.support.core import failure_summary, run
from tests.support.invalid_strategies import as_json, odd_values, with_value_at
from tests.support.lenient_helpers import decode_body_as_chunk
from tests.support.strategies import JSON, chunks_of, completions, events_of, may_be_parts_of_one

randoms = st.integers(0, 2**32).map(random.Random)


@given(completions(), randoms)
def test_folding_the_chunks_of_any_completion_gives_that_completion(completion: JSON, rng: random.Random) -> None:
    assume(not may_be_parts_of_one(completion))
    outcome = run(b"".join(events_of(chunks_of(completion, rng), rng)))
    assert outcome.failure is None
    assert outcome.complete
    assert outcome.completion == decode_completion(json.dumps(completion).encode())


@given(completions())
def test_a_completion_sent_as_one_chunk_folds_into_itself(completion: JSON) -> None:
    assume(not may_be_parts_of_one(completion))
    body = json.dumps(completion).encode()
    accumulator = Accumulator()
    accumulator.add(decode_body_as_chunk(body))
    assert accumulator.completion == decode_completion(body)


@given(completions(), randoms)
def test_the_completion_so_far_is_always_that_of_the_chunks_so_far(completion: JSON, rng: random.Random) -> None:
    chunks = run(b"".join(events_of(chunks_of(completion, rng), rng))).chunks
    growing = Accumulator()
    for count, chunk in enumerate(chunks, 1):
        growing.add(chunk)
        fresh = Accumulator()
        fresh.add_all(chunks[:count])
        assert growing.completion == fresh.completion


@given(completions(), randoms)
def test_the_tolerant_path_reads_a_chunk_as_the_typed_path_does(completion: JSON, rng: random.Random) -> None:
    chunks = chunks_of(completion, rng)
    typed = run(b"".join(events_of(chunks, rng)))
    tolerant = run(b"".join(events_of([{**chunk, "unknown": 1} for chunk in chunks], rng)))
    for chunk in tolerant.chunks:
        assert chunk.extra.pop("unknown") == 1
    assert [(chunk.choices, chunk.usage, chunk.extra) for chunk in tolerant.chunks] == [
        (chunk.choices, chunk.usage, chunk.extra) for chunk in typed.chunks
    ]
    del tolerant.completion.extra["unknown"]
    assert tolerant.completion == typed.completion


def shown(chunks: list[ChatCompletionChunk]) -> str:
    """All of it, in an order of its own: NaN can be compared in it, and the order of fields does not count."""
    return repr(msgspec.to_builtins(chunks, order="sorted"))


@given(completions(), randoms, odd_values)
def test_what_is_learned_on_the_way_changes_no_chunk(completion: JSON, rng: random.Random, value: Any) -> None:
    chunks = chunks_of(completion, rng) * 3
    place = rng.randrange(len(chunks))
    chunks[place] = with_value_at(chunks[place], value, rng)
    events = [ServerSentEvent("message", as_json(chunk)) for chunk in chunks]
    learning = ChunkDecoder().decode_events(events)
    alone = [ChunkDecoder().decode_events([event]) for event in events[: len(learning.chunks) + 1]]
    assert shown(learning.chunks) == shown([chunk for decoded in alone for chunk in decoded.chunks])
    assert failure_summary(learning.failure) == failure_summary(alone[-1].failure)
    for chunk in learning.chunks:
        parts = [chunk, *chunk.choices, *(choice.delta for choice in chunk.choices), chunk.usage or CompletionUsage()]
        assert {type(part) for part in parts} <= {ChatCompletionChunk, ChunkChoice, ChoiceDelta, CompletionUsage}
