"""Requests, messages, chunks and completions: what goes to a server and what comes back.

All are `msgspec.Struct`s. What a server sends keeps every field: those that a type does not know are in its `extra`.
"""

from firsttoken._types.chunk import (
    ChatCompletionChunk,
    ChoiceDelta,
    ChunkChoice,
    CustomToolCallDelta,
    FunctionCallDelta,
    ToolCallDelta,
)
from firsttoken._types.completion import (
    Audio,
    ChatCompletion,
    ChatCompletionMessage,
    Choice,
    ChoiceLogprobs,
    CompletionTokensDetails,
    CompletionUsage,
    CustomToolCall,
    FunctionCall,
    PromptTokensDetails,
    TokenLogprob,
    ToolCall,
    TopLogprob,
)
from firsttoken._types.messages import (
    AssistantMessage,
    Content,
    DeveloperMessage,
    SystemMessage,
    ToolMessage,
    UserMessage,
    assistant_message,
    developer_message,
    system_message,
    tool_message,
    user_message,
)
from firsttoken._types.request import (
    ChatCompletionRequest,
    Message,
    Messages,
    StreamOptions,
    Tool,
    chat_completion_request,
)
from firsttoken._types.schema import json_schema_format
from firsttoken._types.tools import function_tool
from firsttoken._types.wire import Headers, ResponseInfo, Timing

__all__ = [
    "AssistantMessage",
    "Audio",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatCompletionMessage",
    "ChatCompletionRequest",
    "Choice",
    "ChoiceDelta",
    "ChoiceLogprobs",
    "ChunkChoice",
    "CompletionTokensDetails",
    "CompletionUsage",
    "Content",
    "CustomToolCall",
    "CustomToolCallDelta",
    "DeveloperMessage",
    "FunctionCall",
    "FunctionCallDelta",
    "Headers",
    "Message",
    "Messages",
    "PromptTokensDetails",
    "ResponseInfo",
    "StreamOptions",
    "SystemMessage",
    "Timing",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolMessage",
    "TopLogprob",
    "UserMessage",
    "assistant_message",
    "chat_completion_request",
    "developer_message",
    "function_tool",
    "json_schema_format",
    "system_message",
    "tool_message",
    "user_message",
]

for _name in __all__:
    _public = globals()[_name]
    if getattr(_public, "__module__", "").startswith("firsttoken._types"):
        _public.__module__ = __name__  # so that reprs, tracebacks and pickles show the door
