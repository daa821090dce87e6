"""What a chunk of each well-known provider looks like, written by hand: with the fields that only it sends."""

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

_ID = "chatcmpl-CQ2mZtXr6TqyCvSUaFM7nKHbWjYdE"
_COUNTS = {"prompt_tokens": 14, "completion_tokens": 7, "total_tokens": 21}
_UNFILTERED = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}
_CITATIONS = [f"https://example.org/articles/{number}" for number in range(8)]


def _chunk(delta: Json, choice: Json | None = None, **fields: Any) -> Json:
    full = {"index": 0, "delta": delta, "finish_reason": None} | (choice or {})
    head = {"id": _ID, "object": "chat.completion.chunk", "created": 1_760_000_000, "model": "some/model-large"}
    return head | {"choices": [full]} | fields


def _openai(word: str) -> Json:
    fields = {"service_tier": "default", "system_fingerprint": None, "usage": None, "obfuscation": "n3Xk8sQv"}
    return _chunk({"content": word}, {"logprobs": None}, **fields)


def _azure(word: str) -> Json:
    choice = {"content_filter_results": _UNFILTERED, "logprobs": None}
    return _chunk({"content": word}, choice, system_fingerprint="fp_1", usage=None, obfuscation="n3Xk8")


def _openrouter(word: str) -> Json:
    delta = {"role": "assistant", "content": word}
    return _chunk(delta, {"native_finish_reason": None, "logprobs": None}, provider="Somewhere")


def _openrouter_reasoning(word: str) -> Json:
    details = [{"type": "reasoning.text", "text": word, "format": "unknown", "index": 0}]
    delta = {"role": "assistant", "content": "", "reasoning": word, "reasoning_details": details}
    return _chunk(delta, {"native_finish_reason": None, "logprobs": None}, provider="Somewhere")


def _groq(word: str) -> Json:
    delta = {"reasoning": word, "channel": "analysis"}
    return _chunk(delta, {"logprobs": None}, system_fingerprint="fp_1", x_groq={"id": "req_1"})


def _mistral(word: str) -> Json:
    return _chunk({"content": word}, p="abcdefghijk")


def _mistral_reasoning(word: str) -> Json:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": word}]}]
    return _chunk({"content": parts}, p="abcdefghijk")


def _vllm(word: str) -> Json:
    return _chunk(
        {"content": word, "reasoning_content": None}, {"logprobs": None, "stop_reason": None, "token_ids": None}
    )


def _llama_cpp(word: str) -> Json:
    timings = {"prompt_n": 14, "prompt_ms": 31.5, "predicted_n": 7, "predicted_ms": 99.25, "predicted_per_second": 70.5}
    return _chunk({"content": word}, system_fingerprint="b6000", timings=timings)


def _perplexity(word: str) -> Json:
    message = {"role": "assistant", "content": "The sky is blue because air scatters short wavelengths" + word}
    results = [{"title": "Why", "url": url, "date": None} for url in _CITATIONS]
    usage = _COUNTS | {"search_context_size": "low", "cost": {"total_cost": 0.005}}
    return _chunk({"content": word}, {"message": message}, usage=usage, citations=_CITATIONS, search_results=results)


def _databricks(word: str) -> Json:
    usage = {"prompt_tokens": 14, "completion_tokens": None, "total_tokens": None, "cache_read_input_tokens": 0}
    return _chunk({"role": "assistant", "content": word}, {"logprobs": None}, usage=usage)


def _together(word: str) -> Json:
    choice = {"text": word, "logprobs": None, "seed": None}
    return _chunk({"token_id": 791, "role": "assistant", "content": word, "tool_calls": None}, choice, usage=None)


def _deepseek(word: str) -> Json:
    return _chunk(
        {"content": None, "reasoning_content": word}, {"logprobs": None}, system_fingerprint="fp_1", usage=None
    )


def _zai(word: str) -> Json:
    return _chunk({"role": "assistant", "reasoning_content": word})


def _xai(word: str) -> Json:
    return _chunk({"content": word, "role": "assistant"}, system_fingerprint="fp_1")


def _cerebras(word: str) -> Json:
    info = {"queue_time": 0.001, "completion_time": 0.01, "total_time": 0.02, "created": 1_760_000_000.5}
    return _chunk({"reasoning": word}, system_fingerprint="fp_1", time_info=info)


def _odd_logprobs(word: str) -> Json:
    return _chunk({"content": word}, {"logprobs": -0.25})


PROVIDERS: dict[str, Callable[[str], Json]] = {
    "OpenAI": _openai,
    "DeepSeek": _deepseek,
    "z.ai": _zai,
    "xAI": _xai,
    "Azure": _azure,
    "OpenRouter": _openrouter,
    "OpenRouter, reasoning": _openrouter_reasoning,
    "Groq": _groq,
    "Cerebras": _cerebras,
    "Mistral": _mistral,
    "Mistral, reasoning": _mistral_reasoning,
    "vLLM": _vllm,
    "llama.cpp": _llama_cpp,
    "Together": _together,
    "Databricks": _databricks,
    "Perplexity": _perplexity,
    "logprobs as a number": _odd_logprobs,
}

WITH_BLOCKS = {"Groq", "Mistral, reasoning", "OpenRouter, reasoning"}
"""Those whose chunks have objects of a structure that is looked into."""

UNLIMITED = ("logprobs as a number",)
"""Not a provider's: what the lenient path costs where there is nothing to learn."""

OF_THEIR_OWN = {
    "OpenAI": "-",
    "DeepSeek": "-",
    "z.ai": "-",
    "xAI": "-",
    "Azure": "`content_filter_results` in each choice",
    "OpenRouter": "`provider`, `native_finish_reason`",
    "OpenRouter, reasoning": "the same, and `reasoning_details`",
    "Groq": "`x_groq`, `channel`",
    "Cerebras": "`time_info`",
    "Mistral": "`p`",
    "Mistral, reasoning": "`p`, content as a list of parts",
    "vLLM": "`stop_reason`, `token_ids`",
    "llama.cpp": "`timings`",
    "Together": "`text`, `seed`, `token_id`",
    "Databricks": "null counts and `cache_read_input_tokens`",
    "Perplexity": "`message`, `citations`, `search_results` and usage in each chunk, 1.2 KB",
    "logprobs as a number": "a field of another type than the schema's: nothing to learn",
}
"""What of a chunk OpenAI's schema does not have."""
