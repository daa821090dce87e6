"""The real model, recorded and replayed."""

from pathlib import Path

import pytest

from firsttoken import Client, chat_completion_request
from firsttoken.local import LocalServer
from firsttoken.testing import RecordedExchange, Recording, ScriptedServer, record, replay
from tests.support.core import run

pytestmark = pytest.mark.model


@pytest.fixture
def path(local_server: LocalServer, tmp_path: Path) -> Path:
    """A streamed and a blocking answer."""
    request = chat_completion_request(local_server.model, "Why is the sky blue?", seed=1, max_tokens=24)
    client = Client(base_url=local_server.base_url, api_key="", proxy="")
    with client, record(client, tmp_path / "sky.jsonl"):
        client.chat_completion_stream(request).final_completion()
        client.chat_completion(request)
    return tmp_path / "sky.jsonl"


def text_of(exchange: RecordedExchange) -> str:
    outcome = run((read.data for read in exchange.body_reads()), eof=False)
    assert outcome.complete
    return outcome.completion.text


@pytest.mark.parametrize("speed", [1.0, float("inf")])
def test_the_answers_are_the_same(path: Path, speed: float) -> None:
    recording = Recording.load(path)
    request = chat_completion_request("any", "Why?")
    with (
        ScriptedServer(replay(recording, speed=speed)) as server,
        Client(base_url=server.base_url, api_key="", proxy="") as client,
        record(client) as again,
    ):
        streamed = client.chat_completion_stream(request).final_completion()
        blocking = client.chat_completion(request)
    assert streamed.text == blocking.text == text_of(recording.exchanges[0])
    assert streamed.usage is not None
    assert blocking.usage is not None
    assert streamed.usage.completion_tokens == blocking.usage.completion_tokens == 24
    for before, after in zip(recording.exchanges, again.exchanges, strict=True):
        assert b"".join(read.data for read in after.reads) == b"".join(read.data for read in before.reads)
        if speed == 1.0:
            assert after.reads[-1].ns >= before.reads[-1].ns - 1_000_000


def test_the_reads_are_spread_over_the_answer(path: Path) -> None:
    streamed = Recording.load(path).exchanges[0]
    assert streamed.end_reason == "complete"
    assert len(streamed.reads) > 6  # 24 tokens; a machine under load may read several at once
    assert streamed.reads[-1].ns > streamed.reads[0].ns * 1.2
