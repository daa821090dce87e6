"""Law: any split of the bytes gives the same chunks, the same completion and the same failure."""

import random
import zlib

from hypothesis import example, given
from hypothesis import strategies as st

from firsttoken._protocol.sse import SSEDecoder
from tests.support.core import cut_at, cut_every, every_split, failure_summary, run
from tests.support.exchange import exchanged, response
from tests.support.invalid_strategies import mutated, sse_like
from tests.support.strategies import JSON, chunks_of, completions, events_of

cuts = st.lists(st.integers(0, 2**20), max_size=12)
randoms = st.integers(0, 2**32).map(random.Random)


@given(completions(), randoms, cuts)
def test_a_stream_cut_anywhere_is_the_same_stream(completion: JSON, rng: random.Random, places: list[int]) -> None:
    data = b"".join(events_of(chunks_of(completion, rng), rng))
    whole = run(data)
    assert run(cut_at(data, places)).summary() == whole.summary()
    assert run(cut_every(data, 1)).summary() == whole.summary()


@given(completions(), randoms, cuts)
def test_a_broken_stream_cut_anywhere_fails_in_the_same_way(
    completion: JSON, rng: random.Random, places: list[int]
) -> None:
    data = mutated(b"".join(events_of(chunks_of(completion, rng), rng)), rng)
    whole = run(data)
    assert run(cut_at(data, places)).summary() == whole.summary()
    assert run(cut_every(data, 1)).summary() == whole.summary()


@given(sse_like, cuts, st.integers(1, 40))
@example(b"\n\n\ndata: 1234\n\n", [3], 10)
@example(b"data: 1234\n\n\n", [12], 10)
@example(b"\xef\xbb\xbf", [2], 1)
def test_an_event_stream_cut_anywhere_gives_the_same_events(data: bytes, places: list[int], cap: int) -> None:
    for max_event_bytes in (cap, 2**20):
        whole = _events([data], max_event_bytes)
        assert _events(cut_at(data, places), max_event_bytes) == whole
        assert _events(cut_every(data, 1), max_event_bytes) == whole


def _events(pieces: list[bytes], max_event_bytes: int) -> tuple[object, ...]:
    decoder = SSEDecoder(max_event_bytes=max_event_bytes)
    events = [event for piece in pieces for event in decoder.receive_data(piece)]
    return [*events, *decoder.receive_eof()], failure_summary(decoder.failure)


@given(completions(), randoms, cuts)
def test_a_response_cut_anywhere_is_the_same_response(completion: JSON, rng: random.Random, places: list[int]) -> None:
    body = b"".join(events_of(chunks_of(completion, rng), rng))
    coding = rng.choice(["", "", "gzip", "deflate"])
    if coding:
        packer = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
        body = packer.compress(body) + packer.flush()
    headers = {"content-type": "text/event-stream"} | ({"content-encoding": coding} if coding else {})
    data = response(200, headers, body, framing=rng.choice(["length", "chunked", "eof"]), rng=rng)
    whole = exchanged([data])
    assert whole.complete
    assert exchanged(cut_at(data, places)) == whole
    assert exchanged(cut_every(data, 1)) == whole


@given(completions(), randoms, cuts, st.sampled_from([200, 400, 503]))
def test_a_broken_response_cut_anywhere_fails_in_the_same_way(
    completion: JSON, rng: random.Random, places: list[int], status: int
) -> None:
    body = b"".join(events_of(chunks_of(completion, rng), rng))
    head, _, framed = response(status, {}, body, framing="chunked", rng=rng).partition(b"\r\n\r\n")
    data = head + b"\r\n\r\n" + mutated(framed, rng)
    whole = exchanged([data])
    assert exchanged(cut_at(data, places)) == whole
    assert exchanged(cut_every(data, 1)) == whole


def test_every_single_cut_of_a_short_stream() -> None:
    data = '\ufeffdata:{"choices":[{"index":0,"delta":{"content":"é"},"finish_reason":"stop"}]}\r\n\r\n'.encode()
    data += b": x\r\rdata: [DONE]\r\r"
    whole = run(data)
    assert [chunk.text for chunk in whole.chunks] == ["é"]
    assert {run(pieces).summary() for pieces in every_split(data)} == {whole.summary()}
