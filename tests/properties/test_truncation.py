"""Law: a stream that is cut is an error, or complete by the rule, and never says more than the complete one did."""

import random

from hypothesis import given
from hypothesis import strategies as st

from firsttoken.errors import StreamTruncatedError
from firsttoken.types import ChatCompletionChunk
from tests.support.core import run
from tests.support.exchange import exchanged, response
from tests.support.strategies import JSON, chunks_of, completions, events_of

randoms = st.integers(0, 2**32).map(random.Random)


def all_choices_finished(chunks: list[ChatCompletionChunk]) -> bool:
    begun = {choice.index for chunk in chunks for choice in chunk.choices}
    finished = {choice.index for chunk in chunks for choice in chunk.choices if choice.finish_reason}
    return begun == finished != set()


@given(completions(), randoms)
def test_a_stream_cut_at_any_byte(completion: JSON, rng: random.Random) -> None:
    data = b"".join(events_of(chunks_of(completion, rng), rng))
    whole = run(data)
    for _ in range(20):
        cut = data[: rng.randrange(len(data))]
        outcome = run(cut)
        assert outcome.chunks == whole.chunks[: len(outcome.chunks)]
        saw_done = cut.endswith(b"[DONE]") or b"[DONE]" in cut.splitlines()[-1:]
        if outcome.complete:
            assert all_choices_finished(outcome.chunks) or b"[DONE]" in cut
        else:
            assert not saw_done
            assert isinstance(outcome.failure, StreamTruncatedError)
            assert not all_choices_finished(outcome.chunks)
            assert outcome.failure.chunks_received == len(outcome.chunks)
            partial = outcome.failure.partial
            assert partial == (outcome.completion if outcome.chunks else None)


@given(completions(), randoms, st.sampled_from(["length", "chunked"]))
def test_a_response_cut_at_any_byte_of_its_framing(completion: JSON, rng: random.Random, framing: str) -> None:
    body = b"".join(events_of(chunks_of(completion, rng)[:-1], rng)[:-1])
    data = response(200, {"content-type": "text/event-stream"}, body, framing=framing, rng=rng)  # pyright: ignore[reportArgumentType]
    for _ in range(10):
        got = exchanged([data[: rng.randrange(len(data))]])
        assert not got.complete
        assert not got.reusable
        assert got.failure[:2] == (
            "StreamTruncatedError",
            "the connection was closed before the end of the response",
        )
