"""A process that answers blocking calls: `python -m benchmarks.blocking_server` prints its port.

Every request gets the same short completion at once, over as many connections as there are. It serves until its stdin
is closed.
"""

import asyncio
import json
import sys

from benchmarks.cpus import SERVER, pin_cpu

BACKLOG = 1000
_COMPLETION: dict[str, object] = {
    "id": "chatcmpl-CQ2mZtXr6TqyCvSUaFM7nKHbWjYdE",
    "object": "chat.completion",
    "created": 1_760_000_000,
    "model": "gpt-5-mini-2025-08-07",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Air scatters blue most.", "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 12, "completion_tokens": 6, "total_tokens": 18},
    "service_tier": "default",
    "system_fingerprint": None,
}
_BODY = json.dumps(_COMPLETION).encode()
_ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_1\r\ncontent-length: %d\r\n\r\n%b"
    % (len(_BODY), _BODY)
)


class Answering(asyncio.Protocol):
    """A connection: answers each request once its body is there."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if blank and len(body) >= int(length):
            self._received = b""
            self._transport.write(_ANSWER)


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, "127.0.0.1", 0, backlog=BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    pin_cpu(SERVER)
    asyncio.run(serve())
