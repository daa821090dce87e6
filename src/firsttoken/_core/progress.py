"""What in a chunk is a sign of life, and what is a token.

A role, an empty delta or a server's own fields are neither: a server that hangs sends those for ever.
"""

from firsttoken._types.chunk import ChatCompletionChunk, ChoiceDelta, ToolCallDelta


def is_progress(chunk: ChatCompletionChunk) -> bool:
    """Whether a chunk has content, reasoning, refusal, a tool call or audio, a finish reason, or usage."""
    if chunk.usage is not None:
        return True
    for choice in chunk.choices:
        delta = choice.delta
        if delta.content or choice.finish_reason or _has_token(delta) or delta.reasoning_details:
            return True
        if delta.tool_calls and any(call.id for call in delta.tool_calls):
            return True
    return False


def has_token(chunk: ChatCompletionChunk) -> bool:
    """Whether a chunk has non-empty content, reasoning, refusal or tool-call text."""
    return any(_has_token(choice.delta) for choice in chunk.choices)


def _has_token(delta: ChoiceDelta) -> bool:
    if delta.content or delta.refusal or delta.reasoning_text:
        return True
    if delta.function_call is not None and (delta.function_call.name or delta.function_call.arguments):
        return True
    if delta.audio is not None and (delta.audio.data or delta.audio.transcript):
        return True
    return any(map(_has_text, delta.tool_calls or ()))


def _has_text(call: ToolCallDelta) -> bool:
    function, custom = call.function, call.custom
    return bool(
        (function is not None and (function.name or function.arguments))
        or (custom is not None and (custom.name or custom.input))
    )
