"""The words of servers, as tables: finish reasons, and where reasoning and text stand in a delta or a message.

Finish reasons are compared without case, "-" counts as "_", and what follows a colon is detail; "FinishReason." or
"FINISH_REASON_" before them, as in Gemini's libraries, does not count. A word that is not in the table has the class
"unknown".
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from firsttoken._json import as_array, as_object

FinishClass = Literal["complete", "cut", "filtered", "error", "none", "unknown"]


class FinishReasonRow(msgspec.Struct, frozen=True):
    """A row of the table.

    Attributes:
        finish_class: what the words mean.
        words: in lower case, with "_"; "*" at the front stands for anything.
        source: who sends them.
    """

    finish_class: FinishClass
    words: tuple[str, ...]
    source: str


FINISH_REASONS: Final = (
    FinishReasonRow("complete", ("stop", "tool_calls", "function_call"), "OpenAI"),
    FinishReasonRow("complete", ("eos", "eos_token", "stop_sequence"), "Together, TGI"),
    FinishReasonRow("complete", ("end_turn", "tool_use"), "Anthropic, through gateways"),
    FinishReasonRow("complete", ("complete", "tool_call"), "Cohere"),
    FinishReasonRow("cut", ("length",), "OpenAI"),
    FinishReasonRow("cut", ("max_tokens",), "Anthropic, Gemini, Cohere, watsonx.ai"),
    FinishReasonRow("cut", ("model_length",), "Mistral"),
    FinishReasonRow("cut", ("model_context_window_exceeded",), "Anthropic, z.ai"),
    FinishReasonRow("cut", ("token_limit", "time_limit"), "watsonx.ai"),
    FinishReasonRow("cut", ("max_output_tokens", "incomplete"), "gateways to OpenAI's Responses API"),
    FinishReasonRow("cut", ("max_output", "max_length", "context_length_exceeded"), "MiniMax, proxies"),
    FinishReasonRow("filtered", ("content_filter",), "OpenAI; also with a reason after a colon"),
    FinishReasonRow("filtered", ("sensitive",), "z.ai"),
    FinishReasonRow(
        "filtered",
        (
            *("safety", "recitation", "prohibited_content", "blocklist", "spii", "language"),
            *("image_safety", "image_prohibited_content", "image_recitation"),
        ),
        "Gemini",
    ),
    FinishReasonRow("filtered", ("refusal",), "Anthropic"),
    FinishReasonRow("filtered", ("content_filtered", "guardrail_intervened"), "Bedrock"),
    FinishReasonRow("error", ("error",), "OpenRouter"),
    FinishReasonRow("error", ("abort",), "vLLM, SGLang: the server was stopped, or the request cancelled"),
    FinishReasonRow("error", ("network_error",), "z.ai"),
    FinishReasonRow("error", ("insufficient_system_resource",), "DeepSeek"),
    FinishReasonRow("error", ("overloaded_error", "*_error"), "Portkey, which passes on the type of an error"),
    FinishReasonRow(
        "error",
        (
            *("malformed_function_call", "unexpected_tool_call", "too_many_tool_calls", "function_call_filter"),
            *("malformed_response", "missing_thought_signature"),
        ),
        "Gemini",
    ),
    FinishReasonRow("error", ("error_toxic", "error_limit", "user_cancel"), "Cohere"),
    FinishReasonRow("error", ("aborted", "cancelled", "canceled", "failed"), "watsonx.ai, proxies"),
    FinishReasonRow("none", ("", "null", "none"), "KoboldCpp, DashScope: text for null, in each chunk"),
    FinishReasonRow("none", ("undefined", "nil"), "proxies in other languages"),
    FinishReasonRow("none", ("unspecified",), "Gemini, in each chunk but the last"),
)
"""The table."""

_CLASSES: Final[dict[str, FinishClass]] = {word: row.finish_class for row in FINISH_REASONS for word in row.words}
_PREFIXES: Final = ("finish_reason.", "finish_reason_", "finishreason.", "finishreason_")


def finish_class(reason: str | None) -> FinishClass:
    """The class of a finish reason."""
    if reason is None:
        return "none"
    word = reason.partition(":")[0].strip().lower().replace("-", "_")
    word = next((word[len(prefix) :] for prefix in _PREFIXES if word.startswith(prefix)), word)
    return _CLASSES.get(word) or ("error" if word.endswith("_error") else "unknown")


def _not_error_pattern() -> str:
    words = [word for row in FINISH_REASONS if row.finish_class == "error" for word in row.words]
    alternatives = "|".join(re.escape(word).replace(r"\*", ".*").replace("_", "[-_]") for word in words)
    return rf"(?is)^(?!\s*(?:finish[-_]?reason[-._])?(?:{alternatives})\s*(?::|\Z))"


NOT_ERROR_PATTERN: Final = _not_error_pattern()
"""Matches what is not of the class "error"."""

SIMPLE_REASONS: Final = ("", *(word for word, kind in _CLASSES.items() if kind in ("complete", "cut", "filtered")))
"""What the typed decode takes as it is: neither an error nor text for null."""

TRUNCATED_BY: Final[dict[FinishClass, str]] = {
    "cut": "the token limit",
    "filtered": "the server's content filter",
    "error": "an error",
}
"""What ended an answer before the model did, by class."""


class ReasoningField(msgspec.Struct, frozen=True):
    """A row of the table of reasoning fields.

    Attributes:
        name: of the field, in a delta and in a message.
        form: what it holds.
        source: who sends it.
    """

    name: str
    form: Literal["text", "object", "blocks", "parts"]
    source: str


REASONING_FIELDS: Final = (
    ReasoningField("reasoning_content", "text", "DeepSeek, z.ai, xAI, llama.cpp, Qwen, Kimi, Avian, Venice"),
    ReasoningField("reasoning", "text", "Groq, Ollama, Cerebras, OpenRouter, Doubleword"),
    ReasoningField("thinking", "text", "proxies"),
    ReasoningField("reasoning_text", "text", "GitHub Copilot, with `reasoning_opaque`"),
    ReasoningField("cot_summary", "text", "GitHub Copilot"),
    ReasoningField("reasoning_content", "object", "Envoy AI Gateway: `text` in pieces, then `signature`"),
    ReasoningField("reasoning", "object", "gateways"),
    ReasoningField("thinking", "object", "gateways to Anthropic: `thinking` in pieces, then `signature`"),
    ReasoningField("reasoning_details", "blocks", "OpenRouter, MiniMax, Vercel's gateway, Snowflake"),
    ReasoningField("thinking_blocks", "blocks", "LiteLLM"),
    ReasoningField("content_blocks", "blocks", "Portkey"),
    ReasoningField("content", "parts", "Mistral, Databricks"),
)
"""The table, in the order in which they are asked for the text: the first that has any gives it."""

TEXT_FIELDS: Final = frozenset(row.name for row in REASONING_FIELDS if row.form == "text")
BLOCK_FIELDS: Final = frozenset(row.name for row in REASONING_FIELDS if row.form == "blocks")
OBJECT_FIELDS: Final = frozenset(row.name for row in REASONING_FIELDS if row.form == "object")


class ContentPart(msgspec.Struct, frozen=True):
    """A row of the table of content parts.

    Attributes:
        type: of the part.
        meaning: what becomes of its text.
        fields: where its text is: a string, or a list of parts again.
        source: who sends it.
    """

    type: str
    meaning: Literal["text", "reasoning", "kept"]
    fields: tuple[str, ...]
    source: str


CONTENT_PARTS: Final = (
    ContentPart("text", "text", ("text",), "Mistral, Databricks"),
    ContentPart("output_text", "text", ("text",), "gateways to OpenAI's Responses API"),
    ContentPart("thinking", "reasoning", ("thinking",), "Mistral, also with `closed`; Anthropic, with `signature`"),
    ContentPart("reasoning", "reasoning", ("summary", "text", "reasoning"), "Databricks, with `signature`"),
    ContentPart("summary_text", "text", ("text",), "Databricks, inside `reasoning`"),
    ContentPart("reasoning_text", "reasoning", ("text",), "gateways to OpenAI's Responses API"),
    ContentPart("reasoning.text", "reasoning", ("text",), "OpenRouter, in `reasoning_details`"),
    ContentPart("reasoning.summary", "reasoning", ("summary",), "OpenRouter, in `reasoning_details`"),
    ContentPart("reference", "kept", (), "Mistral"),
    ContentPart("image_url", "kept", (), "image models"),
)
"""The table; parts of other types are kept, too."""

_PARTS: Final = {row.type: row for row in CONTENT_PARTS}
GROWING: Final = frozenset(field for row in CONTENT_PARTS for field in row.fields)
"""The fields of a part that come in pieces."""


def parts_text(parts: Iterable[object], meaning: Literal["text", "reasoning"]) -> str:
    """The text, or the reasoning, of content parts or blocks."""
    return "".join(_part_text(part, meaning) for part in parts)


def has_kept_part(parts: Iterable[object]) -> bool:
    """Whether one of the content parts is neither text nor reasoning: an image, a reference."""
    kinds = [part_type(fields) for part in parts if (fields := as_object(part)) is not None]
    return any(kind not in _PARTS or _PARTS[kind].meaning == "kept" for kind in kinds)


def _part_text(part: object, meaning: str) -> str:
    if isinstance(part, str):
        return part if meaning == "text" else ""
    fields = as_object(part)
    if fields is None:
        return ""
    fields = as_object(fields.get("delta")) or fields  # Portkey's
    row = _PARTS.get(part_type(fields))
    if row is None or row.meaning != meaning:
        return ""
    return next((text for name in row.fields if (text := _inner_text(fields.get(name)))), "")


def part_type(fields: Mapping[str, object]) -> str:
    """The type of a part; where it names none, by its fields."""
    kind = fields.get("type")
    if isinstance(kind, str) and kind:
        return kind
    return "thinking" if "thinking" in fields else "text" if "text" in fields else ""


def _inner_text(value: object) -> str:
    """The text of a part's field, which may be a list of parts again."""
    if isinstance(value, str):
        return value
    items = as_array(value)
    return "" if items is None else parts_text(items, "text") or parts_text(items, "reasoning")


def reasoning_in(extra: Mapping[str, object], blocks: list[object] | None, parts: list[object] | None) -> str:
    """The reasoning of a delta or message that has none in a field of text that the types know."""
    for row in REASONING_FIELDS:
        value = extra.get(row.name)
        if row.form == "text" and isinstance(value, str) and value:
            return value
        if row.form == "object" and (text := parts_text([value], "reasoning") or parts_text([value], "text")):
            return text
        if row.form == "blocks":
            value = blocks if row.name == "reasoning_details" else as_array(value)
        if row.form == "parts":
            value = parts
        if row.form in ("blocks", "parts") and (items := as_array(value)):
            text = parts_text(items, "reasoning")
            if not text and row.name == "reasoning_details":
                text = parts_text([item for item in items if "type" not in (as_object(item) or {})], "text")  # MiniMax
            if text:
                return text
    return ""


def without_reasoning(message: Mapping[str, object]) -> dict[str, object]:
    """A message's fields without those of reasoning; of content in parts the text stays."""
    names = {row.name for row in REASONING_FIELDS if row.name != "content"} | {"reasoning_opaque"}
    fields = {name: value for name, value in message.items() if name not in names}
    parts = as_array(fields.get("content"))
    if parts is not None:
        fields["content"] = parts_text(parts, "text")
    return fields
