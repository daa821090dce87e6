"""Streams as real servers sent them: each gives exactly what its index says, and cut short it is never taken for whole.

The recordings are other projects' data and not part of this repository: where they are absent, this file is skipped.
"""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from firsttoken.errors import APIStatusError, ChatCompletionError, StreamTruncatedError
from firsttoken.types import ChatCompletion, Choice
from tests.support.core import Outcome, cut_every, run

STREAMS = Path(__file__).resolve().parents[3] / "shared" / "streams"
INDEX = STREAMS / "index.jsonl"
SMALL = 8_000
"""Bytes up to which a stream is tried at every byte."""


def load_index() -> list[dict[str, Any]]:
    if not INDEX.is_file():
        return []
    return [json.loads(line) for line in INDEX.read_text(encoding="utf-8").splitlines()]


ENTRIES = load_index()
pytestmark = pytest.mark.skipif(not ENTRIES, reason=f"no recordings at {INDEX.parent}")
each_stream = pytest.mark.parametrize("entry", ENTRIES, ids=[entry["file"] for entry in ENTRIES])


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
    ends = "complete" if outcome.complete else "server" if isinstance(outcome.failure, APIStatusError) else "other"
    return {
        "outcome": ends,
        "chunks": len(outcome.chunks),
        "usage": completion.usage.completion_tokens if completion.usage else None,
        "choices": {str(choice.index): choice_as_indexed(choice) for choice in completion.choices},
    }


@each_stream
def test_a_recorded_stream_gives_what_its_index_says(entry: dict[str, Any]) -> None:
    data = (STREAMS / entry["file"]).read_bytes()
    expected = {name: entry[name] for name in ("outcome", "chunks", "usage", "choices")}
    for size in (len(data), 1000, *([1] if len(data) <= SMALL else [])):
        assert as_indexed(run(cut_every(data, size))) == expected


@each_stream
def test_a_recorded_stream_cut_short_is_an_error_or_complete_by_the_rule(entry: dict[str, Any]) -> None:
    data = (STREAMS / entry["file"]).read_bytes()
    whole = run(data)
    rng = random.Random(entry["file"])
    for place in {rng.randrange(len(data)) for _ in range(6)}:
        cut = run(data[:place])
        texts = [chunk.raw for chunk in whole.chunks[: len(cut.chunks)]]
        assert [chunk.raw for chunk in cut.chunks] == texts
        begun = {choice.index for chunk in cut.chunks for choice in chunk.choices}
        finished = {choice.index for chunk in cut.chunks for choice in chunk.choices if choice.finish_reason}
        by_rule = bool(begun) and begun == finished
        if cut.complete:
            assert by_rule or b"[DONE]" in data[:place]
        else:
            assert isinstance(cut.failure, ChatCompletionError)
            assert isinstance(cut.failure, APIStatusError) or not by_rule
            assert isinstance(cut.failure, APIStatusError | StreamTruncatedError)
            assert cut.failure.chunks_received == len(cut.chunks)
