"""firsttoken streams chat completions: first token fast, last token guaranteed.

    from firsttoken import Client, chat_completion_request

    client = Client()
    for chunk in client.chat_completion_stream(chat_completion_request("gpt-5-mini", "Why is the sky blue?")):
        print(chunk.text, end="", flush=True)

`firsttoken.types` has the data, `firsttoken.errors` what can go wrong, `firsttoken.sansio` the parts without I/O,
`firsttoken.local` a server with a real model.
"""

from firsttoken._base import STOP
from firsttoken._sync.client import Client
from firsttoken._sync.stream import ChatCompletionStream
from firsttoken._types.timeout import Timeout
from firsttoken._version import __version__
from firsttoken.types import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    assistant_message,
    chat_completion_request,
    developer_message,
    system_message,
    tool_message,
    user_message,
)

__all__ = [
    "STOP",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatCompletionRequest",
    "ChatCompletionStream",
    "Client",
    "Timeout",
    "__version__",
    "assistant_message",
    "chat_completion_request",
    "developer_message",
    "system_message",
    "tool_message",
    "user_message",
]

Client.__module__ = ChatCompletionStream.__module__ = Timeout.__module__ = __name__
