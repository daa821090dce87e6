"""The bytes that all cases are made of: chunks of about 310 bytes, as OpenAI sends them today.

Imports nothing but the standard library, so that the server process starts at once.
"""

import json
from collections.abc import Mapping
from itertools import cycle, islice

WORDS = (" the", " sky", " is", " blue", " because", " air", " scatters", " short", " wavelengths", " most", ".", " So")
DONE = b"data: [DONE]\n\n"


def chunk(content: str, finish: str | None = None, fields: Mapping[str, object] | None = None) -> dict[str, object]:
    """A chunk with every field that OpenAI's have; `fields` are a server's own."""
    own = fields or {}
    choice = {"index": 0, "delta": {"content": content}, "logprobs": None, "finish_reason": finish}
    return {
        "id": "chatcmpl-CQ2mZtXr6TqyCvSUaFM7nKHbWjYdE",
        "object": "chat.completion.chunk",
        "created": 1_760_000_000,
        "model": "gpt-5-mini-2025-08-07",
        "service_tier": "default",
        "system_fingerprint": None,
        "choices": [{**choice, **own}],
        "usage": None,
        "obfuscation": "n3Xk8sQv"[: 12 - len(content)],
        **own,
    }


def event(value: dict[str, object]) -> bytes:
    """A chunk as a server-sent event."""
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def events(count: int, fields: Mapping[str, object] | None = None) -> list[bytes]:
    """So many events; every word but the first brings the next, the last has a finish reason."""
    words = [event(chunk(word, None, fields)) for word in WORDS]
    return [*islice(cycle(words), count - 1), event(chunk("", "stop", fields))]


def cut(data: bytes, size: int) -> list[bytes]:
    """The bytes in pieces of one size, as reads bring them."""
    return [data[start : start + size] for start in range(0, len(data), size)]


def coded(body: bytes) -> bytes:
    """Bytes of a body as one chunk of HTTP's chunked coding."""
    return b"%x\r\n%b\r\n" % (len(body), body)
