"""The table of known quirks: what servers send that is not quite OpenAI's schema, or not quite its framing.

This is the one place to look one up. What handles a quirk is mostly not here but in the module that its row names;
where a field has another type than the schema's, the row has the function that normalizes it. To add one is to add a
row, and the code that it needs, if any, there.

A row needs an example of the same name in `tests/quirks`, which is read in every way and at every split.
`docs/reference/quirks.md` shows the table to users; `python -m tests.quirks` writes it.
"""

import json
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from firsttoken._json import JSONObject, as_object, parse_digits
from firsttoken._models.completion import COUNTS
from firsttoken._models.tables import CONTENT_PARTS, FINISH_REASONS, REASONING_FIELDS

Part = Literal["framing", "error", "chunk", "choice", "delta", "tool_call", "usage"]


class Quirk(NamedTuple):
    """A row of the table.

    Attributes:
        part: what of an answer it concerns.
        name: of the row, and of its example in the tests.
        module: what handles it: a module of `firsttoken._protocol`, or `_json`.
        what: is sent; in Markdown, for the docs.
        source: who sends it, or where it is written.
        normalize: changes an object of that part in place, and does nothing where the quirk is absent. It is
            called only for a chunk that the typed decode refuses; None where no field has a wrong type.
    """

    part: Part
    name: str
    module: str
    what: str
    source: str
    normalize: Callable[[JSONObject], None] | None = None


def _list_the_call(delta: JSONObject) -> None:
    if as_object(delta.get("tool_calls")) is not None:
        delta["tool_calls"] = [delta["tool_calls"]]


def _write_arguments_out(call: JSONObject) -> None:
    function = as_object(call.get("function"))
    if function is not None and not isinstance(function.get("arguments"), str | None):
        function["arguments"] = json.dumps(function["arguments"], ensure_ascii=False)


def _drop_null_counts(usage: JSONObject) -> None:
    for name in COUNTS:
        if usage.get(name, 0) is None:
            del usage[name]


def _parse_counts(node: JSONObject) -> None:
    """Convert counts that are floats or text to ints, in an object and those in it."""
    for name, value in node.items():
        if name.endswith("_tokens"):
            node[name] = _count(value)
        elif name.endswith("_details") and (details := as_object(value)) is not None:
            _parse_counts(details)


def _count(value: object) -> object:
    if isinstance(value, str):
        number = parse_digits(value.strip())
        return number if isinstance(number, int) else value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2.0**53:
        return int(value)
    return value


def stringify_id(node: JSONObject) -> None:
    number = node.get("id")
    if isinstance(number, int) and not isinstance(number, bool):
        node["id"] = str(number)


def _round_created(chunk: JSONObject) -> None:
    created = chunk.get("created")
    if isinstance(created, float) and abs(created) < 2.0**63:
        chunk["created"] = int(created)
    else:
        _parse_digits(chunk, "created")


def parse_index(node: JSONObject) -> None:
    _parse_digits(node, "index")


def _parse_digits(node: JSONObject, name: str) -> None:
    if name in node:
        node[name] = parse_digits(node[name])


__all__ = ["CONTENT_PARTS", "FINISH_REASONS", "QUIRKS", "REASONING_FIELDS", "Quirk", "normalize"]

# fmt: off
QUIRKS = (
    Quirk("framing", "no-done", "stream",
        "no `[DONE]`: the body ends after the finish reason", "Cerebras, Perplexity, Writer, TGI 1, llama-box"),
    Quirk("framing", "done-spelt", "decode", '`[done]`, `DONE` or `"[DONE]"` for `[DONE]`', "proxies that frame anew"),
    Quirk("framing", "event-after-done", "stream", "an event after `[DONE]` (`cost`); it is not read", "OpenCode Zen"),
    Quirk("framing", "crlf", "sse", "lines that end in CRLF", "Perplexity, AI21"),
    Quirk("framing", "cr", "sse", "lines that end in CR", "WHATWG HTML, section 9.2.6"),
    Quirk("framing", "comments", "sse",
        "comments as a keep-alive, before the first event and between events", "OpenRouter, Perplexity"),
    Quirk("framing", "no-space", "sse", "no space after `data:`", "TGI 2.0"),
    Quirk("framing", "blank-lines", "sse",
        "blank lines before the first event, and more than one between events", "Doubleword, Avian"),
    Quirk("framing", "other-fields", "sse",
        "a byte-order mark, `id`, `event` and `retry` fields, data on several lines", "WHATWG HTML, section 9.2.6"),
    Quirk("framing", "no-last-blank-line", "stream",
        "no blank line after the last event; it counts if it is complete", "proxies"),
    Quirk("framing", "separators-in-text", "sse",
        "U+2028, U+2029 and U+0085 in text, where some parsers see the end of a line", "any"),
    Quirk("framing", "odd-json", "_json",
        "NaN, Infinity and lone surrogates in JSON", "Python servers; text that is cut within an emoji"),
    Quirk("framing", "whole-answer", "response",
        "one JSON completion instead of a stream; it is one chunk", "proxies and emulators that do not stream"),
    Quirk("framing", "ping-events", "decode", "`event: ping`, `event: heartbeat`, with any data", "proxies"),
    Quirk("framing", "comments-as-data", "decode",
        "keep-alives as data: `data: : OPENROUTER PROCESSING`, `data: ping`, timestamps", "proxies that frame anew"),
    Quirk("framing", "foreign-events", "decode",
        "named events whose data is not a chunk, though it may have `id`, `model` or `error`; not part of the answer: "
        "they are chunks without choices, and `chunk.event` has the name", "mistral.rs"),
    Quirk("framing", "named-events", "decode", "chunks in events with a name", "proxies"),

    Quirk("error", "error-event", "server_error", "`event: error`, first or after text; then the body ends", "Groq"),
    Quirk("error", "error-event-case", "decode", "`event: ERROR` or `Error`", "gateways"),
    Quirk("error", "error-field", "sse", "an SSE field `error:` instead of `data:`", "llama-box, old llama.cpp"),
    Quirk("error", "error-alone", "server_error", '`{"error": {…}}` with a number as `code`', "OpenRouter"),
    Quirk("error", "error-in-chunk", "server_error",
        "`error` beside `choices` and a finish reason; usage follows, but no `[DONE]`", "OpenRouter"),
    Quirk("error", "error-after-finish", "server_error",
        "`error` beside the usage, after the finish reason; `[DONE]` follows", "OpenRouter"),
    Quirk("error", "error-text", "server_error", '`{"error": "text", "error_type": …}`', "TGI"),
    Quirk("error", "error-object", "server_error", '`{"object": "error", "message": …}`', "vLLM"),
    Quirk("error", "error-object-in-error", "server_error", '`{"error": {"object": "error", …}}`', "NVIDIA NIM"),
    Quirk("error", "error-in-choice", "server_error", "`error` inside a choice", "OpenRouter"),
    Quirk("error", "error-in-delta", "server_error", "`error` inside a delta or message", "gateways"),
    Quirk("error", "error-items", "server_error",
        '`error` as a list, or with another `error` inside: `{"error": [{"message": …}]}`', "gateways"),
    Quirk("error", "flat-status", "server_error",
        "an object without choices whose `status` or `code` is an HTTP status of an error", "gateways"),
    Quirk("error", "finish-error", "server_error", 'finish reason "error"', "OpenRouter"),
    Quirk("error", "finish-abort", "server_error", 'finish reason "abort"', "vLLM, SGLang"),
    Quirk("error", "finish-network-error", "server_error", 'finish reason "network_error"', "z.ai"),
    Quirk("error", "finish-no-resource", "server_error", 'finish reason "insufficient_system_resource"', "DeepSeek"),
    Quirk("error", "finish-error-type", "server_error",
        "the type of an error as finish reason: `overloaded_error` and all that end in `_error`", "Portkey"),
    Quirk("error", "finish-bad-call", "server_error",
        "finish reasons `MALFORMED_FUNCTION_CALL`, `function_call_filter: …`", "Gemini"),
    Quirk("error", "abort-with-text", "decode",
        'text in the chunk with the finish reason "abort"; it is yielded before the error', "vLLM when it is stopped"),
    Quirk("error", "error-with-text", "decode",
        "text in the event with an error; it is yielded before the error", "OpenRouter"),
    Quirk("error", "error-list", "server_error", 'a list with one error: `[{"error": {…}}]`', "Gemini"),
    Quirk("error", "error-line", "sse",
        'a line `{"error": …}` without `data:`, after text or before `[DONE]`', "gateways"),
    Quirk("error", "error-line-first", "decode",
        'a body that begins with a line `{"error": …}` without `data:`', "gateways"),
    Quirk("error", "error-lines", "sse",
        "a list with one error on several lines without `data:`, after text", "Gemini"),
    Quirk("error", "error-list-body", "decode",
        "a body that is a list with one error, called `text/event-stream`", "Gemini"),
    Quirk("error", "base-resp", "server_error",
        "`base_resp` with a `status_code` other than 0, and no choices", "MiniMax"),
    Quirk("error", "base-resp-success", "server_error",
        "`base_resp` with `status_code` 0, which is success", "MiniMax"),
    Quirk("error", "flat-message", "server_error",
        '`{"code": 429, "message": …}` without choices', "Mistral, SiliconFlow, gateways"),
    Quirk("error", "flat-typed", "server_error", '`{"message": …, "type": …}` without choices', "vLLM, Doubleword"),
    Quirk("error", "flat-detail", "server_error", '`{"detail": …}` without choices', "FastAPI servers"),
    Quirk("error", "flat-errors", "server_error", '`{"errors": […]}` without choices', "Cloudflare"),
    Quirk("error", "flat-sid", "server_error", '`{"code": 10013, "message": …, "sid": …}`', "Spark"),
    Quirk("error", "flat-text", "server_error", '`{"text": …, "error_code": 50001}`', "old FastChat"),
    Quirk("error", "flat-success", "server_error",
        '`"code": 0, "message": "success"`, which reports success', "Spark, gateways"),
    Quirk("error", "x-groq-error", "server_error", "`x_groq.error`: why a stream was stopped early", "Groq"),
    Quirk("error", "error-in-error", "server_error",
        '`{"error": {"error": "text", "error_code": …}}`', "Bedrock's gateways"),
    Quirk("error", "error-empty", "server_error", "`error` with empty fields in every chunk; it is none", "one-api"),
    Quirk("error", "null-error", "learned_fields", '`"error": null` in every chunk; it is none', "proxies"),
    Quirk("error", "refusal-flat", "server_error",
        'an error response as `{"message", "type", "code"}` beside one another', "Mistral, Doubleword"),
    Quirk("error", "refusal-text", "server_error", 'an error response as `{"error": "text"}`', "Venice, TGI"),
    Quirk("error", "refusal-detail", "server_error",
        'an error response as `{"detail": [{"loc", "msg", "type"}]}`', "FastAPI servers"),
    Quirk("error", "refusal-plain", "server_error", "an error response as plain text or HTML", "TGI; load balancers"),
    Quirk("error", "refusal-event", "server_error", "an error response whose body is an event", "DashScope"),
    Quirk("error", "refusal-no-quota", "server_error",
        "a 429 as an event, with `insufficient_quota`; it is not retried", "DashScope"),
    Quirk("error", "refusal-list", "server_error", 'an error response as `[{"error": {…}}]`', "Gemini"),

    Quirk("chunk", "own-fields", "learned_fields",
        "fields of its own in every chunk; they are in `extra`",
        "OpenRouter, Azure, Mistral, vLLM, Cerebras, Together, Venice and more"),
    Quirk("chunk", "padding", "learned_fields",
        "padding that hides the length of tokens: `p`, `obfuscation`", "Mistral, OpenAI"),
    Quirk("chunk", "no-choices", "lenient", "no `choices`, or null", "OpenAI's audio"),
    Quirk("chunk", "empty-choices", "accumulator",
        "`choices: []` first (content filter results), in the middle or last", "Azure, GitHub, OpenAI"),
    Quirk("chunk", "odd-head", "accumulator",
        '`id`, `model`, `object` and `created` "" or 0 at first, or missing; the first real one counts',
        "Azure, GitHub Copilot, TGI, Snowflake, z.ai, AI21"),
    Quirk("chunk", "changing-head", "accumulator",
        "another `id` or `created` in each chunk", "Groq compound, Avian, xAI, Ollama"),
    Quirk("chunk", "null-head", "lenient", "null in any field of the schema", "proxies"),
    Quirk("chunk", "odd-object", "lenient",
        "another `object`: `text_completion`, `chat.completion`, `chat.completion.done`", "TGI 2.0, Perplexity"),
    Quirk("chunk", "created-odd", "quirks", "`created` as a float or in digits", "proxies", _round_created),
    Quirk("chunk", "id-number", "quirks", "`id` as a number", "proxies", stringify_id),

    Quirk("choice", "finish-absent", "stream",
        "no `finish_reason` until the last chunk", "xAI, z.ai, Cerebras, Cloudflare, GitHub Copilot, Perplexity"),
    Quirk("choice", "finish-empty", "accumulator", '`finish_reason` "" until the last chunk; "" is none', "proxies"),
    Quirk("choice", "finish-null", "learned_fields",
        '`finish_reason` "null" or "None" as text until the last chunk; it is none', "KoboldCpp, DashScope"),
    Quirk("choice", "finish-never", "stream",
        "no finish reason at all, but `[DONE]`: truncated, except for audio or with `require_finish_reason=False`",
        "Snowflake, TGI with tools, OpenAI's audio"),
    Quirk("choice", "finish-own-word", "accumulator",
        "other finish reasons than OpenAI's: `eos`, `eos_token`, `model_length`", "Together, TGI, Mistral"),
    Quirk("choice", "finish-repeated", "accumulator",
        "a finish reason more than once; the last one counts", "OpenRouter, Doubleword, Avian"),
    Quirk("choice", "finish-between-calls", "stream", "a finish reason after each of two tool calls", "Together"),
    Quirk("choice", "finish-with-text", "accumulator",
        "text in the chunk with the finish reason", "OpenRouter, Mistral, Hugging Face, TGI, vLLM"),
    Quirk("choice", "index-odd", "quirks",
        "`index` missing, null or in digits; a missing one is 0", "proxies", parse_index),
    Quirk("choice", "any-order", "accumulator",
        "several choices in any order, in one chunk or in turns, the first not with index 0", "any, with n > 1"),
    Quirk("choice", "numbered-pieces", "completeness",
        "the pieces of the only choice numbered 0, 1, 2, …, one per chunk, however many; each gets index 0",
        "Foundry Local, TGI, z.ai"),
    Quirk("choice", "message-beside-delta", "learned_fields",
        "the message so far beside each delta; it is in `extra`", "Perplexity, Writer"),
    Quirk("choice", "message-at-end", "accumulator",
        "the complete message instead of a delta, after all deltas; it replaces them", "MiniMax"),
    Quirk("choice", "message-at-end-alike", "accumulator",
        'the same, but not called a "chat.completion"; it replaces them where the text is the same', "gateways"),
    Quirk("choice", "message-for-delta", "lenient",
        "`message` instead of `delta`", "proxies and emulators that do not stream"),
    Quirk("choice", "text-for-delta", "lenient",
        "`text` instead of `delta`", "servers of the older completions endpoint"),
    Quirk("choice", "text-beside-delta", "learned_fields",
        "`text` beside `delta`, and token ids; they are in `extra`", "Together"),
    Quirk("choice", "null-delta", "lenient", "`delta` null or missing", "proxies"),
    Quirk("choice", "logprobs-odd", "lenient",
        "`logprobs` as a number, or as the legacy lists; it is in `extra`", "Together and DeepSeek through OpenRouter"),
    Quirk("choice", "logprobs-own-fields", "lenient",
        "`reasoning_content` beside `content` in `logprobs`; it is in their `extra`", "DeepSeek"),

    Quirk("delta", "role-repeated", "choice",
        "`role` in every chunk; it is set once", "OpenRouter, z.ai, Databricks, TGI, Ollama"),
    Quirk("delta", "role-never", "choice",
        "`role` null or missing; it is `assistant` then", "Cloudflare, llama-box, Venice, DeepSeek on Azure"),
    Quirk("delta", "content-parts", "learned_fields",
        "`content` as a list of parts, text or thinking, and as text later on", "Mistral"),
    Quirk("delta", "content-reasoning", "lenient",
        "reasoning as a part of `content`, with a `summary` that is signed at the end", "Databricks"),
    Quirk("delta", "content-kept", "lenient",
        "parts of `content` that are neither text nor reasoning: `reference`, `image_url`; they are in `content_parts`",
        "Mistral, image models"),
    Quirk("delta", "content-object", "lenient", "`content` as one part", "proxies"),
    Quirk("delta", "reasoning-content", "choice",
        "reasoning as `reasoning_content`", "DeepSeek, z.ai, xAI, llama.cpp, Qwen, Avian, Venice"),
    Quirk("delta", "reasoning", "choice", "reasoning as `reasoning`", "Groq, Ollama, Cerebras, OpenRouter, Doubleword"),
    Quirk("delta", "reasoning-twice", "choice",
        "the same reasoning under two or three names (`reasoning_details`); `reasoning_text` gives it once",
        "OpenRouter, Doubleword, Vercel, Snowflake"),
    Quirk("delta", "reasoning-pieces", "pieces",
        "`reasoning_details` word by word, and signed at the end; they are joined to complete blocks", "OpenRouter"),
    Quirk("delta", "reasoning-signed-late", "pieces",
        '`"signature": ""` at first, the real one later, and another block after it', "OpenRouter, Vercel's gateway"),
    Quirk("delta", "reasoning-details-alone", "pieces",
        "`reasoning_details` without another field, and without types", "MiniMax"),
    Quirk("delta", "reasoning-own-name", "pieces",
        "reasoning as `cot_summary`, in `extra`, or in `<think>` tags, content without `reasoning_tags`",
        "GitHub Copilot; DeepSeek-R1 on Fireworks"),
    Quirk("delta", "reasoning-text", "pieces",
        "reasoning as `reasoning_text`, and `reasoning_opaque` at its end; they are in `extra`", "GitHub Copilot"),
    Quirk("delta", "reasoning-object", "pieces",
        '`reasoning_content` as objects: `{"text": …}` in pieces, then `{"signature": …}`', "Envoy AI Gateway"),
    Quirk("delta", "thinking-blocks", "pieces",
        "`thinking_blocks` in pieces, signed at the end, beside `reasoning_content`", "LiteLLM"),
    Quirk("delta", "content-blocks", "pieces",
        "`content_blocks` in pieces under `delta`: thinking, its signature, and the text again", "Portkey"),
    Quirk("delta", "thinking-text", "choice", "reasoning as `thinking`", "proxies"),
    Quirk("delta", "lists-joined", "pieces",
        "lists of its own in several chunks: `images`, `token_ids`; they are joined", "OpenRouter, vLLM"),
    Quirk("delta", "surrogate-halves", "text_filters",
        "an emoji as two halves of a surrogate pair, in two chunks", "servers that cut text in UTF-16"),
    Quirk("delta", "audio-end", "choice", "`audio.expires_at` after the usage, and no finish reason", "OpenAI"),
    Quirk("delta", "audio-padded", "choice",
        "base64 of audio that is padded piece by piece; it is joined to one text", "proxies"),
    Quirk("delta", "tool-calls-object", "quirks", "`tool_calls` as one object", "old Ollama", _list_the_call),

    Quirk("tool_call", "index-negative", "tool_calls", "`index` -1", "z.ai"),
    Quirk("tool_call", "index-reused", "tool_calls",
        "several calls, all with index 0 and ids of their own", "Gemini through OpenRouter"),
    Quirk("tool_call", "index-counts", "tool_calls",
        "`index` counts the pieces of a call; a piece without id and name is one of the last call", "proxies"),
    Quirk("tool_call", "index-absent", "tool_calls", "no `index`, or null", "Mistral"),
    Quirk("tool_call", "index-from-one", "tool_calls", "the first `index` is 1", "Anthropic's compatibility layer"),
    Quirk("tool_call", "index-text", "quirks", "`index` in digits", "proxies", parse_index),
    Quirk("tool_call", "id-shared", "tool_calls",
        "several calls with one `id`, and indexes and names of their own", "LocalAI"),
    Quirk("tool_call", "id-repeated", "tool_calls",
        "`id`, `type` and `name` in every piece; they are set once", "TGI, Baseten"),
    Quirk("tool_call", "id-blank-two-calls", "tool_calls",
        'two calls, both with the id "" and the index 0, with a name each', "Gemini"),
    Quirk("tool_call", "name-pieces", "tool_calls", "`name` in pieces", "proxies"),
    Quirk("tool_call", "id-blank", "tool_calls",
        '`id` and `type` "" or null in later pieces', "Qwen, GLM, OpenRouter, Venice, Writer"),
    Quirk("tool_call", "call-id-number", "quirks", "`id` as a number", "proxies", stringify_id),
    Quirk("tool_call", "type-absent", "tool_calls", "no `type`, or null", "Mistral, Writer"),
    Quirk("tool_call", "whole-at-once", "tool_calls",
        "a complete call in one chunk, also with the finish reason", "Groq, xAI, z.ai, Ollama, Mistral, OpenRouter"),
    Quirk("tool_call", "two-in-one-delta", "tool_calls", "two calls in one delta", "Mistral"),
    Quirk("tool_call", "arguments-absent", "tool_calls",
        "`arguments` null or missing", "Writer, DeepSeek through OpenRouter"),
    Quirk("tool_call", "arguments-object", "quirks", "`arguments` as an object", "old Ollama", _write_arguments_out),
    Quirk("tool_call", "null-items", "lenient", "null among the calls, or for all of them", "proxies"),

    Quirk("usage", "usage-in-own-chunk", "accumulator",
        "usage in a chunk of its own, after the finish reason", "OpenAI, Azure, xAI, llama.cpp, Ollama, vLLM"),
    Quirk("usage", "usage-with-finish", "accumulator",
        "usage in the chunk with the finish reason", "Mistral, DeepSeek, z.ai, Cerebras, GitHub Copilot"),
    Quirk("usage", "usage-with-choice", "accumulator",
        "usage after the finish reason, in a chunk with a choice", "OpenRouter"),
    Quirk("usage", "usage-in-each-chunk", "accumulator",
        "usage so far in every chunk; the last one counts", "Perplexity, Hyperbolic, Baseten"),
    Quirk("usage", "usage-twice", "learned_fields", "usage inside `x_groq` and once more in its place", "Groq"),
    Quirk("usage", "null-counts", "learned_fields",
        "counts that are null until the last chunk", "Databricks", _drop_null_counts),
    Quirk("usage", "counts-odd", "quirks", 'counts as floats or in digits: `10.0`, `"10"`', "proxies", _parse_counts),
    Quirk("usage", "usage-in-choice", "lenient", "`usage` inside the choice", "Kimi"),
    Quirk("usage", "usage-wiped", "accumulator",
        "a later `usage` that is `{}`, zeros or a part of the counts; it wipes nothing", "proxies"),
    Quirk("usage", "total-absent", "accumulator", "no `total_tokens`; it is the sum", "proxies"),
    Quirk("usage", "null-details", "accumulator",
        "`prompt_tokens_details` and the like null, or null inside", "Writer, TGI, Hugging Face, Doubleword"),
    Quirk("usage", "own-figures", "learned_fields",
        "figures of its own, also as floats and text: `cost`, `queue_time`", "Groq, xAI, OpenRouter, Perplexity"),
    Quirk("usage", "usage-odd", "lenient", "`usage` as a list, a number or text; it is in `extra`", "proxies"),
)
# fmt: on
"""The table, in the order of an answer's parts."""

_NORMALIZERS: list[tuple[Part, Callable[[JSONObject], None]]] = [
    (row.part, row.normalize) for row in QUIRKS if row.normalize is not None
]


def normalize(parts: Mapping[Part, list[JSONObject]]) -> None:
    """Apply the normalizers to the parts of an answer."""
    for part, change in _NORMALIZERS:
        for node in parts.get(part, ()):
            change(node)
