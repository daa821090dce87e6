"""Law: no input makes the core raise."""

import copy
import random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firsttoken._protocol.decode import decode_completion
from firsttoken._protocol.http1 import ResponseParser
from firsttoken._protocol.retry import retry_after_s
from firsttoken._protocol.server_error import status_error
from firsttoken._protocol.sse import SSEDecoder
from firsttoken.errors import ChatCompletionError
from tests.support.core import cut_every, run
from tests.support.exchange import SECRET, exchanged, new_exchange, response
from tests.support.invalid_strategies import as_json, mutated, odd_values, sse_like, with_value_at
from tests.support.lenient_helpers import decode_body_as_chunk
from tests.support.server import event
from tests.support.strategies import JSON, chunks_of, completions, events_of

randoms = st.integers(0, 2**32).map(random.Random)
deep = "\1" * 90


@given(st.binary(max_size=200) | sse_like)
def test_any_bytes_as_the_body(data: bytes) -> None:
    outcome = run(cut_every(data, 7))
    assert outcome.complete == (outcome.failure is None)


@given(st.binary(max_size=200) | sse_like, st.integers(0, 30))
def test_any_bytes_as_events(data: bytes, cap: int) -> None:
    decoder = SSEDecoder(max_event_bytes=cap)
    events = [*decoder.receive_data(data), *decoder.receive_eof()]
    assert all(event.data.strip() for event in events)
    assert decoder.failure is not None or all(len(event.data) <= max(cap, len(data)) for event in events)


@given(completions(), randoms, odd_values)
def test_any_value_in_any_field_of_a_chunk(completion: JSON, rng: random.Random, value: Any) -> None:
    chunks: list[JSON] = chunks_of(completion, rng)
    place = rng.randrange(len(chunks))
    data = b"".join(event(as_json(chunk)) for chunk in chunks[:place])
    data += event(as_json(with_value_at(chunks[place], value, rng)))
    outcome = run(data)
    if outcome.failure is not None:
        assert isinstance(outcome.failure, ChatCompletionError)
        assert outcome.failure.chunks_received == len(outcome.chunks)
    assert len(outcome.chunks) >= place
    assert copy.copy(outcome.completion) == outcome.completion or "nan" in repr(outcome.completion)


@given(completions(), randoms, odd_values)
def test_any_value_in_any_field_of_a_complete_answer(completion: JSON, rng: random.Random, value: Any) -> None:
    body = as_json(with_value_at(completion, value, rng))
    for decode in (decode_completion, decode_body_as_chunk):
        try:
            decode(body)
        except ChatCompletionError:
            pass


@given(st.sampled_from([400, 429, 500, 302, 999]), odd_values)
@example(400, {"detail": deep})
@example(400, {"error": {"message": deep, "code": 10**40}})
@example(400, {"error": [{"message": "\ud800"}]})
def test_any_value_in_an_error(status: int, value: Any) -> None:
    for body in (value, {"error": value}, {"detail": value}, {"error": {"message": value, "code": value}}):
        error = status_error(status, {}, as_json(body), 0.0)
        assert str(error).startswith(f"the server answered {status}")
        outcome = run(event(as_json({"error": body})))
        assert outcome.failure is not None or outcome.chunks


@given(odd_values)
def test_any_value_in_an_error_is_searched_for_secrets(value: Any) -> None:
    body = as_json({"error": {"message": SECRET, "more": value}})
    got = exchanged([response(401, {}, body)], new_exchange(secrets=(SECRET,)))
    assert got.failure[0] == "AuthenticationError"
    assert SECRET not in repr(got)


@pytest.mark.parametrize("framing", ["length", "chunked", "eof"])
@given(data=st.data())
def test_any_response(framing: Any, data: st.DataObject) -> None:
    rng = data.draw(randoms)
    body = b"".join(events_of(chunks_of(data.draw(completions()), rng), rng))
    wire = mutated(response(rng.choice([200, 400, 204, 101, 100]), {"a": "b"}, body, framing=framing, rng=rng), rng)
    for exchange in (new_exchange(), new_exchange(streamed=False)):
        got = exchanged(cut_every(wire, rng.choice([1, 100, 10**6])), exchange)
        assert got.complete != bool(got.failure)
        exchange.machine.deadline_passed(exchange.deadline)


@given(st.binary(max_size=300))
def test_any_bytes_as_a_response(data: bytes) -> None:
    for prefix in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"):
        parser = ResponseParser()
        for piece in cut_every(prefix + data, 11):
            parser.receive_data(piece)
        parser.receive_eof()
        assert parser.body_ended or parser.failure is not None


@given(st.text(max_size=40), st.text(max_size=40))
@example("Mon, 31 Feb 99999999999 00:00:00 GMT", "")
@example("Fri, 13 Nov", "0 0 0")
def test_any_header_that_asks_to_wait(retry_after: str, date: str) -> None:
    wait_s = retry_after_s({"retry-after": retry_after, "retry-after-ms": date, "date": date}, 0.0)
    assert wait_s is None or 0 <= wait_s < float("inf")
