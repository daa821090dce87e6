"""The classes of finish reasons: whether an answer is complete, cut, filtered or broken, or still being written.

Servers have words of their own. They are compared without case, "-" counts as "_", and what follows a colon is detail;
"FinishReason." or "FINISH_REASON_" before them, as in Gemini's libraries, does not count.

A word that is not in the table has the class "unknown".
"""

import re
from typing import Final, Literal, NamedTuple

FinishClass = Literal["complete", "cut", "filtered", "error", "none", "unknown"]


class FinishReasonRow(NamedTuple):
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
_PREFIX: Final = re.compile(r"^finish_?reason[._]")


def finish_class(reason: str | None) -> FinishClass:
    """The class of a finish reason."""
    if reason is None:
        return "none"
    word = _PREFIX.sub("", reason.partition(":")[0].strip().lower().replace("-", "_"), 1)
    return _CLASSES.get(word) or ("error" if word.endswith("_error") else "unknown")


def _pattern(*classes: FinishClass) -> str:
    words = [word for row in FINISH_REASONS if row.finish_class in classes for word in row.words if word]
    alternatives = "|".join(re.escape(word).replace(r"\*", ".*").replace("_", "[-_]") for word in words)
    return rf"(?is)^(?!\s*(?:finish[-_]?reason[-._])?(?:{alternatives})\s*(?::|\Z))"


NOT_ERROR_PATTERN: Final = _pattern("error")
"""Matches what is not of the class "error"."""

SIMPLE_PATTERN: Final = _pattern("error", "none").replace("^", r"^(?!\s+\Z)")
"""Matches what the typed decode may take as it is: neither of the class "error" nor text for null."""

TRUNCATED_BY: Final[dict[FinishClass, str]] = {
    "cut": "the token limit",
    "filtered": "the server's content filter",
    "error": "an error",
}
"""What ended an answer before the model did, by class."""
