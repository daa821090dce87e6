"""Law: folding the chunks of any completion gives that completion."""

import json
import random

from hypothesis import given
from hypothesis import strategies as st

from firsttoken._core.chunks import decode_body_as_chunk, decode_completion
from firsttoken.sansio import Accumulator
from tests.support.answers import JSON, chunks_of, completions, events_of
from tests.support.core import run

randoms = st.integers(0, 2**32).map(random.Random)


@given(completions(), randoms)
def test_folding_the_chunks_of_any_completion_gives_that_completion(completion: JSON, rng: random.Random) -> None:
    outcome = run(b"".join(events_of(chunks_of(completion, rng), rng)))
    assert outcome.failure is None
    assert outcome.complete
    assert outcome.completion == decode_completion(json.dumps(completion).encode())


@given(completions())
def test_a_completion_sent_as_one_chunk_folds_into_itself(completion: JSON) -> None:
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
