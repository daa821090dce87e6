"""Requests, messages, chunks and completions: what goes to a server and what comes back.

All are `msgspec.Struct`s. What a server sends keeps every field: those that a type does not know are in its `extra`.
"""

from firsttoken._models.base import Headers, ResponseInfo, Timing
from firsttoken._models.chunk import (
    ChatCompletionChunk,
    ChoiceDelta,
    ChunkChoice,
    CustomToolCallDelta,
    FunctionCallDelta,
    ToolCallDelta,
)
from firsttoken._models.completion import (
    Audio,
    ChatCompletion,
    ChatCompletionMessage,
    Choice,
    ChoiceLogprobs,
    CompletionTokensDetails,
    CompletionUsage,
    PromptTokensDetails,
    TokenLogprob,
    TopLogprob,
)
from firsttoken._models.messages import (
    AssistantMessage,
    Content,
    DeveloperMessage,
    Message,
    SystemMessage,
    ToolMessage,
    UserMessage,
    assistant_message,
    developer_message,
    message_from_dict,
    system_message,
    tool_message,
    user_message,
)
from firsttoken._models.observer import Attempt, CallInfo, CallObserver, Observer
from firsttoken._models.request import (
    ChatCompletionRequest,
    Messages,
    StreamOptions,
    Tool,
    chat_completion_request,
)
from firsttoken._models.tool_call import CustomToolCall, FunctionCall, ToolCall
from firsttoken._schema.json_schema import json_schema_format
from firsttoken._schema.tools import function_tool

__all__ = [
    "AssistantMessage",
    "Attempt",
    "Audio",
    "CallInfo",
    "CallObserver",
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
    "Observer",
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
    "message_from_dict",
    "system_message",
    "tool_message",
    "user_message",
]

for _name in __all__:
    _public = globals()[_name]
    if getattr(_public, "__module__", "").startswith("firsttoken._"):
        _public.__module__ = __name__  # so that reprs, tracebacks and pickles show the public module
