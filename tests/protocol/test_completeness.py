"""firsttoken._protocol.completeness: what is progress, and what is a token."""

from typing import Any

import msgspec
import pytest

from firsttoken._protocol.completeness import has_content, has_token, is_progress
from firsttoken.types import ChatCompletionChunk
from tests.support.lenient_helpers import read

TOKENS: list[dict[str, Any]] = [
    {"content": "a"},
    {"content": " "},
    {"refusal": "a"},
    {"reasoning_content": "a"},
    {"reasoning": "a"},
    {"thinking": "a"},
    {"tool_calls": [{"function": {"name": "f"}}]},
    {"tool_calls": [{"index": 0}, {"function": {"arguments": "{"}}]},
    {"tool_calls": [{"custom": {"name": "f"}}]},
    {"tool_calls": [{"custom": {"input": "x"}}]},
    {"function_call": {"name": "f"}},
    {"function_call": {"arguments": "{"}},
    {"audio": {"data": "AA"}},
    {"audio": {"transcript": "a"}},
]
ALIVE: list[dict[str, Any]] = [{"reasoning_details": [{"type": "reasoning.encrypted"}]}, {"tool_calls": [{"id": "a"}]}]
IMAGES: list[dict[str, Any]] = [
    {"images": [{"url": "u"}]},
    {"content": [{"type": "image_url", "image_url": {"url": "u"}}]},
    {"content": [{"type": "text", "text": ""}, {"type": "output_image", "url": "u"}]},
]
NO_IMAGES: list[dict[str, Any]] = [
    {"images": []},
    {"content": []},
    {"content": [{"type": "text", "text": ""}]},
    {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": ""}]}]},
    {"content": [{"text": ""}]},
]
NEITHER: list[dict[str, Any]] = [
    {},
    {"role": "assistant"},
    {"content": ""},
    {"role": "assistant", "content": "", "refusal": None, "reasoning_content": ""},
    {"tool_calls": []},
    {"tool_calls": [{"index": 0, "id": "", "function": {"arguments": ""}}]},
    {"tool_calls": [{"custom": {}}]},
    {"function_call": {"name": "", "arguments": ""}},
    {"audio": {}},
    {"audio": {"data": "", "expires_at": 5}},
    {"reasoning_details": []},
    {"$firsttoken.extra": {"x": 1}},
]


def of(delta: dict[str, Any], **fields: Any) -> ChatCompletionChunk:
    return msgspec.convert({"choices": [{}, {"delta": delta} | fields]}, ChatCompletionChunk)


@pytest.mark.parametrize("delta", TOKENS)
def test_a_token_is_progress(delta: dict[str, Any]) -> None:
    assert has_token(of(delta))
    assert is_progress(of(delta))


@pytest.mark.parametrize("delta", ALIVE)
def test_progress_without_a_token(delta: dict[str, Any]) -> None:
    assert not has_token(of(delta))
    assert is_progress(of(delta))


@pytest.mark.parametrize("delta", [*IMAGES, *NO_IMAGES])
def test_images_are_progress(delta: dict[str, Any]) -> None:
    chunk = read({"choices": [{"delta": delta}]})
    assert not has_token(chunk)
    assert is_progress(chunk) is has_content(chunk) is (delta in IMAGES)


@pytest.mark.parametrize("delta", NEITHER)
def test_what_a_hanging_server_sends_is_neither(delta: dict[str, Any]) -> None:
    assert not has_token(of(delta))
    assert not is_progress(of(delta))


def test_finish_reason_and_usage_are_progress() -> None:
    assert is_progress(of({}, finish_reason="stop"))
    assert is_progress(msgspec.convert({"usage": {}}, ChatCompletionChunk))
    assert not has_token(of({}, finish_reason="stop"))
    assert not is_progress(ChatCompletionChunk())
