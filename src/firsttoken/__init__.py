"""firsttoken streams chat completions: first token fast, last token guaranteed.

    from firsttoken import Client, chat_completion_request

    client = Client()
    for chunk in client.chat_completion_stream(chat_completion_request("gpt-5-mini", "Why is the sky blue?")):
        print(chunk.text, end="", flush=True)

`firsttoken.types` has the data, `firsttoken.errors` the exceptions, `firsttoken.events` a stream's events,
`firsttoken.sansio` the parts without I/O, `firsttoken.local` a server with a real model, `firsttoken.testing` one that
fails on purpose.

Importing this package loads nothing but this file: each name is imported on first access.
"""

from typing import TYPE_CHECKING

from firsttoken._version import __version__

if TYPE_CHECKING:
    from firsttoken._async.client import AsyncClient
    from firsttoken._async.stream import AsyncChatCompletionStream
    from firsttoken._client.limiter import Limiter
    from firsttoken._client.stream import STOP
    from firsttoken._models.chunk import ChatCompletionChunk
    from firsttoken._models.completion import ChatCompletion
    from firsttoken._models.messages import (
        assistant_message,
        developer_message,
        system_message,
        tool_message,
        user_message,
    )
    from firsttoken._models.request import ChatCompletionRequest, Timeout, chat_completion_request
    from firsttoken._parts import audio_part, file_part, image_part, text_part
    from firsttoken._sync.client import Client
    from firsttoken._sync.stream import ChatCompletionStream

__all__ = [
    "STOP",
    "AsyncChatCompletionStream",
    "AsyncClient",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatCompletionRequest",
    "ChatCompletionStream",
    "Client",
    "Limiter",
    "Timeout",
    "__version__",
    "assistant_message",
    "audio_part",
    "chat_completion_request",
    "developer_message",
    "file_part",
    "image_part",
    "system_message",
    "text_part",
    "tool_message",
    "user_message",
]

_LAZY_IMPORTS = {
    "STOP": "firsttoken._client.stream",
    "AsyncChatCompletionStream": "firsttoken._async.stream",
    "AsyncClient": "firsttoken._async.client",
    "ChatCompletion": "firsttoken._models.completion",
    "ChatCompletionChunk": "firsttoken._models.chunk",
    "ChatCompletionRequest": "firsttoken._models.request",
    "ChatCompletionStream": "firsttoken._sync.stream",
    "Client": "firsttoken._sync.client",
    "Limiter": "firsttoken._client.limiter",
    "Timeout": "firsttoken._models.request",
    "assistant_message": "firsttoken._models.messages",
    "audio_part": "firsttoken._parts",
    "chat_completion_request": "firsttoken._models.request",
    "developer_message": "firsttoken._models.messages",
    "file_part": "firsttoken._parts",
    "image_part": "firsttoken._parts",
    "system_message": "firsttoken._models.messages",
    "text_part": "firsttoken._parts",
    "tool_message": "firsttoken._models.messages",
    "user_message": "firsttoken._models.messages",
}
"""Where a name is from."""


def __getattr__(name: str) -> object:
    if name not in _LAZY_IMPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_LAZY_IMPORTS[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
