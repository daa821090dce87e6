"""A chunk, a choice, a delta or usage, copied field by field from a struct that has more fields.

Each call is written out: a loop over the fields takes four times as long, and this is done for every chunk of a server
that has fields of its own. A test sees to it that no field is forgotten.
"""

from collections.abc import Callable
from typing import Any

from firsttoken._types.chunk import ChatCompletionChunk, ChoiceDelta, ChunkChoice
from firsttoken._types.completion import CompletionUsage
from firsttoken._types.wire import Wire

_Extra = dict[str, object]


def _chunk(twin: ChatCompletionChunk, extra: _Extra) -> ChatCompletionChunk:
    return ChatCompletionChunk(
        id=twin.id,
        object=twin.object,
        created=twin.created,
        model=twin.model,
        choices=twin.choices,
        usage=twin.usage,
        service_tier=twin.service_tier,
        system_fingerprint=twin.system_fingerprint,
        moderation=twin.moderation,
        metadata=twin.metadata,
        obfuscation=twin.obfuscation,
        raw=twin.raw,
        extra=extra,
    )


def _choice(twin: ChunkChoice, extra: _Extra) -> ChunkChoice:
    return ChunkChoice(
        index=twin.index,
        delta=twin.delta,
        finish_reason=twin.finish_reason,
        logprobs=twin.logprobs,
        extra=extra,
    )


def _delta(twin: ChoiceDelta, extra: _Extra) -> ChoiceDelta:
    return ChoiceDelta(
        reasoning_content=twin.reasoning_content,
        reasoning=twin.reasoning,
        reasoning_details=twin.reasoning_details,
        thinking=twin.thinking,
        role=twin.role,
        content=twin.content,
        refusal=twin.refusal,
        tool_calls=twin.tool_calls,
        function_call=twin.function_call,
        audio=twin.audio,
        annotations=twin.annotations,
        extra=extra,
    )


def _usage(twin: CompletionUsage, extra: _Extra) -> CompletionUsage:
    return CompletionUsage(
        completion_tokens=twin.completion_tokens,
        prompt_tokens=twin.prompt_tokens,
        total_tokens=twin.total_tokens,
        completion_tokens_details=twin.completion_tokens_details,
        prompt_tokens_details=twin.prompt_tokens_details,
        extra=extra,
    )


COPIES: dict[type[Wire], Callable[[Any, _Extra], Any]] = {
    ChatCompletionChunk: _chunk,
    ChunkChoice: _choice,
    ChoiceDelta: _delta,
    CompletionUsage: _usage,
}
"""By the struct that a copy is: it gets the fields of the twin, and `extra`."""
