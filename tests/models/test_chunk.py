"""firsttoken._models.chunk: a piece of a streamed completion."""

from typing import Any

import msgspec
import pytest

from firsttoken.types import ChatCompletionChunk, ChoiceDelta, ChunkChoice
from tests.support.server import chunk


def made(choices: list[dict[str, Any]]) -> ChatCompletionChunk:
    return msgspec.convert({"choices": choices}, ChatCompletionChunk)


CHOICES: list[tuple[list[dict[str, Any]], str]] = [
    ([], ""),
    ([{}], ""),
    ([{"delta": {"content": None}}], ""),
    ([{"delta": {"content": "a"}}], "a"),
    ([{"index": 1, "delta": {"content": "b"}}], ""),
    ([{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}], "a"),
]


@pytest.mark.parametrize(
    ("choices", "text"),
    CHOICES,
)
def test_text_is_that_of_choice_0_wherever_it_stands(choices: list[dict[str, Any]], text: str) -> None:
    assert made(choices).text == text


def test_the_fields_of_the_api_reference() -> None:
    made = msgspec.convert(
        chunk("Hi", obfuscation="x", service_tier="default", system_fingerprint="fp"), ChatCompletionChunk
    )
    assert (made.id, made.object, made.created, made.model) == (
        *("chatcmpl-1", "chat.completion.chunk", 1_700_000_000, "test-model"),
    )
    assert (made.obfuscation, made.service_tier, made.system_fingerprint) == ("x", "default", "fp")
    assert made.choices == [ChunkChoice(delta=ChoiceDelta(content="Hi"))]


@pytest.mark.parametrize(
    "finish_reason", ["error", "abort", "Error\n", "network_error", "MALFORMED_FUNCTION_CALL", "null", "None"]
)
def test_the_typed_decode_refuses_what_is_an_error(finish_reason: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        made([{"finish_reason": finish_reason}])
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"object": "error"}, ChatCompletionChunk)


@pytest.mark.parametrize("finish_reason", ["stop", "length", "content_filter", "eos", "", None])
def test_the_typed_decode_takes_the_known_finish_reasons_of_an_answer(finish_reason: str | None) -> None:
    assert made([{"finish_reason": finish_reason}]).choices[0].finish_reason == finish_reason
