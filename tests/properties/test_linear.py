"""Law: the cost is linear in the input, however it is cut.

CPU time is compared with itself in one process, with bounds that only a cost of another order breaks.
"""

import time
from collections.abc import Callable

import pytest

from firsttoken._models.base import MAX_ITEMS
from firsttoken._protocol.http1 import ResponseParser
from firsttoken._protocol.sse import SSEDecoder
from firsttoken.sansio import StreamParser
from tests.support.core import cut_every, drive
from tests.support.server import chunk, event

MIB = 1024 * 1024


def cpu_s(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(2):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best


def test_one_large_event_costs_the_same_however_it_is_cut() -> None:
    data = b"data: " + b"x" * (16 * MIB) + b"\n\n"

    def decode(size: int) -> None:
        decoder = SSEDecoder()
        events = [event for piece in cut_every(data, size) for event in decoder.receive_data(piece)]
        assert len(events) == 1

    assert cpu_s(lambda: decode(1024)) < 20 * cpu_s(lambda: decode(4 * MIB)) + 0.05


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_an_event_of_many_lines_costs_the_same_however_it_is_cut(line_end: bytes) -> None:
    data = (b"data: " + b"x" * 100 + line_end) * 20_000 + line_end

    def decode(size: int) -> None:
        decoder = SSEDecoder()
        assert sum(len(decoder.receive_data(piece)) for piece in cut_every(data, size)) == 1

    assert cpu_s(lambda: decode(64)) < 20 * cpu_s(lambda: decode(MIB)) + 0.05


STREAMS: dict[str, Callable[[int], list[bytes]]] = {
    "text": lambda count: [event(chunk("word "))] * count,
    "unknown fields": lambda count: [event(chunk("word ", provider="x"))] * count,
    "ever new fields": lambda count: [event(chunk("word ") | {f"field{number}": 1}) for number in range(count)],
    "reasoning details": lambda count: (
        [event(chunk(choices=[{"delta": {"reasoning_details": [{"type": "reasoning.text", "text": "ab"}]}}]))] * count
    ),
    "audio, each piece padded": lambda count: [event(chunk(choices=[{"delta": {"audio": {"data": "YQ=="}}}]))] * count,
    "one tool call": lambda count: (
        [event(chunk(choices=[{"delta": {"tool_calls": [{"function": {"arguments": "ab"}}]}}]))] * count
    ),
    "refusal": lambda count: [event(chunk(choices=[{"delta": {"refusal": "word "}}]))] * count,
    "as many choices as there may be": lambda count: [
        event(chunk(choices=[{"index": number % MAX_ITEMS, "finish_reason": "stop"}])) for number in range(count)
    ],
    "as many tool calls as there may be": lambda count: [
        event(
            chunk(choices=[{"delta": {"tool_calls": [{"index": number % MAX_ITEMS, "id": f"{number % MAX_ITEMS}"}]}}])
        )
        for number in range(count)
    ],
    "ever new choices": lambda count: [
        event(chunk(choices=[{"index": number, "finish_reason": "stop"}])) for number in range(count)
    ],
    "ever new tool calls": lambda count: [
        event(chunk(choices=[{"delta": {"tool_calls": [{"index": number, "id": f"{number}"}]}}]))
        for number in range(count)
    ],
    "ever new content parts": lambda count: (
        [event(chunk(choices=[{"delta": {"content": [{"type": "image_url", "image_url": {}}]}}]))] * count
    ),
    "logprobs": lambda count: (
        [event(chunk(choices=[{"logprobs": {"content": [{"token": "a", "logprob": -1}]}}]))] * count
    ),
    "comments": lambda count: [b": ping\n\n"] * count,
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_chunk_costs_the_same_in_a_long_stream_as_in_a_short_one(name: str) -> None:
    def cost_s(count: int) -> float:
        pieces = STREAMS[name](count)
        return cpu_s(lambda: drive(StreamParser(), pieces))

    cost_s(100)
    assert any(cost_s(8_000) < 24 * cost_s(1_000) + 0.05 for _ in range(3))  # a busy machine may spoil one


def test_a_slow_reader_costs_no_more() -> None:
    def cost_s(count: int) -> float:
        def work() -> None:
            core = StreamParser()
            for _ in range(count):
                core.receive_data(piece)
                core.next_chunk()

        piece = event(chunk("word ")) * 2
        return cpu_s(work)

    assert cost_s(16_000) < 16 * cost_s(2_000) + 0.05


def test_a_response_costs_the_same_however_it_is_cut() -> None:
    data = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + (b"40\r\n" + b"x" * 64 + b"\r\n") * 30_000

    def parse(size: int) -> None:
        parser = ResponseParser()
        assert sum(len(parser.receive_data(piece)) for piece in cut_every(data, size)) == 30_000 * 64

    assert cpu_s(lambda: parse(64)) < 20 * cpu_s(lambda: parse(MIB)) + 0.05
