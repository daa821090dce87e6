"""A message that came goes back as it came: what was received, compared with what the next request carries.

What is streamed goes back as the blocking call's message would, signatures unbroken.
"""

import json
from typing import Any

import pytest

from firsttoken import chat_completion_request, user_message
from firsttoken._protocol.decode import decode_completion
from firsttoken._protocol.request import encode_body
from firsttoken.types import ChatCompletionMessage
from tests.support.core import run
from tests.support.server import DONE, event

Json = dict[str, Any]


def call(**fields: Any) -> Json:
    return {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, **fields}


def block(text: str, signature: str | None = None, **fields: Any) -> Json:
    signed = {} if signature is None else {"signature": signature}
    return {"type": "reasoning.text", "text": text, "format": "x", "index": 0, **signed, **fields}


MESSAGES: dict[str, tuple[Json, list[Json]]] = {
    # the message of the blocking call, and the deltas of the stream
    "OpenAI": (
        {"role": "assistant", "content": None, "refusal": None, "annotations": [], "tool_calls": [call()]},
        [
            {"role": "assistant", "content": None, "refusal": None, "annotations": []},
            {"tool_calls": [call(index=0, function={"name": "f", "arguments": ""})]},
            {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
        ],
    ),
    "DeepSeek": (
        {"role": "assistant", "content": "Hi", "reasoning_content": "Hm."},
        [
            {"role": "assistant", "content": None, "reasoning_content": ""},
            *({"content": None, "reasoning_content": word} for word in ("Hm", ".")),
            {"content": "Hi", "reasoning_content": None},
        ],
    ),
    "Gemini": (
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                call(extra_content={"google": {"thought_signature": "s"}}),
                call(id="b", extra_content={"google": {"thought_signature": "t"}}),
            ],
            "extra_content": {"google": {"thought": True, "thought_signature": "u"}},
        },
        [
            {"role": "assistant", "tool_calls": [call(index=0, extra_content={"google": {"thought_signature": "s"}})]},
            {"tool_calls": [call(index=1, id="b", extra_content={"google": {"thought_signature": "t"}})]},
            {"extra_content": {"google": {"thought": True}}},
            {"extra_content": {"google": {"thought_signature": "u"}}},
        ],
    ),
    "Mistral": (
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}], "closed": True},
                {"type": "text", "text": "Hello"},
                {"type": "reference", "reference_ids": [1]},
                {"type": "text", "text": "!"},
            ],
        },
        [
            {"role": "assistant", "content": ""},
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]},
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "."}], "closed": True}]},
            {"content": [{"type": "text", "text": "Hel"}]},
            {"content": [{"type": "text", "text": "lo"}]},
            {"content": [{"type": "reference", "reference_ids": [1]}]},
            {"content": "!"},
        ],
    ),
    "Databricks": (
        {
            "role": "assistant",
            "content": [
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm.", "signature": "s"}]},
                {"type": "text", "text": "Hello"},
            ],
        },
        [
            *(
                {"content": [{"type": "reasoning", "summary": [{"type": "summary_text", **piece}]}]}
                for piece in (
                    {"text": "Hm", "signature": ""},
                    {"text": ".", "signature": ""},
                    {"text": "", "signature": "s"},
                )
            ),
            {"content": [{"type": "text", "text": "Hello"}]},
        ],
    ),
    "OpenRouter": (
        {
            "role": "assistant",
            "content": "Hi",
            "reasoning": "Hm.More",
            "reasoning_details": [
                block("Hm.", "s"),
                block("More", "t"),
                {"type": "reasoning.encrypted", "data": "e", "index": 1},
            ],
        },
        [
            *({"reasoning": word, "reasoning_details": [block(word, "")]} for word in ("Hm", ".")),
            {"reasoning": None, "reasoning_details": [block("", "s")]},
            {"reasoning": "More", "reasoning_details": [block("More", "")]},
            {"reasoning_details": [block("", "t")]},
            {"reasoning_details": [{"type": "reasoning.encrypted", "data": "e", "index": 1}]},
            {"content": "Hi"},
        ],
    ),
    "LiteLLM": (
        {
            "role": "assistant",
            "content": "Hi",
            "reasoning_content": "Hm.",
            "thinking_blocks": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                {"type": "redacted_thinking", "data": "x"},
            ],
        },
        [
            *(
                {
                    "reasoning_content": word,
                    "thinking_blocks": [{"type": "thinking", "thinking": word, "signature": None}],
                }
                for word in ("Hm", ".")
            ),
            {"reasoning_content": "", "thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "s"}]},
            {"thinking_blocks": [{"type": "redacted_thinking", "data": "x"}]},
            {"content": "Hi"},
        ],
    ),
    "Kimi": (
        {"role": "assistant", "content": "", "reasoning_content": "Hm.", "tool_calls": [call(id="functions.f:0")]},
        [
            {"role": "assistant", "content": "", "reasoning_content": "Hm."},
            {"tool_calls": [call(index=0, id="functions.f:0")]},
        ],
    ),
    "GitHub Copilot": (
        {"role": "assistant", "content": "Hi", "reasoning_text": "Hm.", "reasoning_opaque": "o"},
        [
            *({"reasoning_text": word} for word in ("Hm", ".")),
            {"reasoning_opaque": "o", "content": ""},
            {"content": "Hi", "reasoning_opaque": ""},
        ],
    ),
    "Envoy": (
        {"role": "assistant", "content": "Hi", "reasoning_content": {"text": "Hm.", "signature": "s"}},
        [
            *({"reasoning_content": part} for part in ({"text": "Hm"}, {"text": "."}, {"signature": "s"})),
            {"content": "Hi"},
        ],
    ),
    "an object as reasoning": (
        {"role": "assistant", "content": "Hi", "reasoning": {"text": "Hm.", "signature": "s"}},
        [
            *({"reasoning": part} for part in ({"text": "Hm"}, {"text": "."}, {"signature": "s"})),
            {"content": "Hi"},
        ],
    ),
    "an object as thinking": (
        {"role": "assistant", "content": "Hi", "thinking": {"thinking": "Hm.", "signature": "s"}},
        [
            *({"thinking": part} for part in ({"thinking": "Hm", "signature": ""}, {"thinking": "."})),
            {"thinking": {"signature": "s"}},
            {"content": "Hi"},
        ],
    ),
    "Portkey": (
        {
            "role": "assistant",
            "content": "Hi",
            "content_blocks": [
                {"type": "thinking", "index": 0, "thinking": "Hm.", "signature": "s"},
                {"type": "text", "index": 1, "text": "Hi"},
            ],
        },
        [
            *({"content_blocks": [{"index": 0, "delta": {"thinking": word}}]} for word in ("Hm", ".")),
            {"content_blocks": [{"index": 0, "delta": {"signature": "s"}}]},
            {"content": "Hi", "content_blocks": [{"index": 1, "delta": {"text": "Hi"}}]},
        ],
    ),
    "MiniMax": (
        {"role": "assistant", "content": "Hi", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]},
        [
            *({"reasoning_details": [{"type": "reasoning.text", "text": word}]} for word in ("Hm", ".")),
            {"content": "Hi"},
        ],
    ),
}


END: Json = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def sent_back(message: ChatCompletionMessage) -> Json:
    """What the next request carries of a message."""
    request = chat_completion_request("m", [user_message("Hi"), message, user_message("And?")])
    carried: Json = json.loads(encode_body(request, stream=False))["messages"][1]
    return carried


def without_nulls(message: Json) -> Json:
    return {name: value for name, value in message.items() if value is not None or name == "content"}


@pytest.mark.parametrize("name", MESSAGES)
def test_the_message_of_a_blocking_answer_goes_back_as_it_came(name: str) -> None:
    message, _ = MESSAGES[name]
    made = decode_completion(
        json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
    )
    assert without_nulls(sent_back(made.message)) == without_nulls(message)
    again = ChatCompletionMessage.from_json(made.message.to_json())
    assert again == made.message
    assert sent_back(again) == sent_back(made.message)


@pytest.mark.parametrize("name", MESSAGES)
def test_the_message_of_a_streamed_answer_goes_back_as_the_blocking_one_does(name: str) -> None:
    message, deltas = MESSAGES[name]
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    outcome = run(b"".join(map(event, [*chunks, END])) + DONE)
    assert outcome.complete
    assert without_nulls(sent_back(outcome.completion.message)) == without_nulls(message)


@pytest.mark.parametrize("name", [name for name in MESSAGES if name not in ("OpenAI", "Gemini")])
def test_the_reasoning_is_read_once_whatever_carries_it(name: str) -> None:
    message, deltas = MESSAGES[name]
    text = "Hm.More" if name == "OpenRouter" else "Hm."
    made = ChatCompletionMessage.from_dict(message)
    assert made.reasoning_text == text
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    outcome = run(b"".join(map(event, chunks)) + DONE)
    assert "".join(chunk.choices[0].delta.reasoning_text for chunk in outcome.chunks) == text
    assert outcome.completion.message.reasoning_text == text
