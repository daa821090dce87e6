"""What a chunk contributes: a token, or other progress that resets a stream's deadlines."""

from firsttoken._models.chunk import ChatCompletionChunk, ChoiceDelta, ToolCallDelta
from firsttoken._models.reasoning import has_kept_part


def is_progress(chunk: ChatCompletionChunk) -> bool:
    """Whether a chunk has content, reasoning, refusal, a tool call, audio or an image, a finish reason, or usage."""
    if chunk.usage is not None:
        return True
    for choice in chunk.choices:
        delta = choice.delta
        if delta.content or choice.finish_reason or _has_token(delta) or delta.reasoning_details:
            return True
        if delta.tool_calls and any(call.id for call in delta.tool_calls):
            return True
        if _has_other_content(delta):
            return True
    return False


def has_token(chunk: ChatCompletionChunk) -> bool:
    """Whether a chunk has non-empty content, reasoning, refusal or tool-call text."""
    return any(_has_token(choice.delta) for choice in chunk.choices)


def has_content(chunk: ChatCompletionChunk) -> bool:
    """Whether a chunk brings anything for a message: a token, a tool call, structured reasoning or an image."""
    return has_token(chunk) or any(
        choice.delta.tool_calls or choice.delta.reasoning_details or _has_other_content(choice.delta)
        for choice in chunk.choices
    )


def prompt_tokens_processed(chunk: ChatCompletionChunk) -> float:
    """How much of the prompt llama.cpp has processed so far; 0 if the chunk does not say."""
    progress = chunk.extra.get("prompt_progress") if chunk.extra else None
    processed = progress.get("processed") if isinstance(progress, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return processed if isinstance(processed, int | float) else 0


def _has_token(delta: ChoiceDelta) -> bool:
    if delta.content or delta.refusal or delta.reasoning_text:
        return True
    if delta.function_call is not None and (delta.function_call.name or delta.function_call.arguments):
        return True
    if delta.audio is not None and (delta.audio.data or delta.audio.transcript):
        return True
    return any(map(_has_text, delta.tool_calls or ()))


def _has_other_content(delta: ChoiceDelta) -> bool:
    """Whether a delta brings an image, or another part of content that is neither text nor reasoning."""
    return bool(delta.extra and delta.extra.get("images")) or (
        delta.content_parts is not None and has_kept_part(delta.content_parts)
    )


def _has_text(call: ToolCallDelta) -> bool:
    function, custom = call.function, call.custom
    return bool(
        (function is not None and (function.name or function.arguments))
        or (custom is not None and (custom.name or custom.input))
    )
