"""Payloads that take the tolerant path, as the tests of the lenient modules read them."""

import json
from typing import Any

from firsttoken._json import as_object, parse_json
from firsttoken._protocol import lenient
from firsttoken._protocol.decode import decode_streamed_body
from firsttoken.types import ChatCompletionChunk, ChoiceDelta


def read(value: Any) -> ChatCompletionChunk:
    """The chunk of a payload that takes the tolerant path."""
    data = json.dumps(value).encode()
    node = as_object(parse_json(data))
    assert node is not None
    return lenient.read(data, node, ChatCompletionChunk)


def read_delta(**delta: Any) -> ChoiceDelta:
    return read({"choices": [{"index": 0, "delta": delta}]}).choices[0].delta


def decode_body_as_chunk(data: bytes) -> ChatCompletionChunk:
    """The chunk of a body that is a completion; raises the error that it is instead."""
    decoded = decode_streamed_body(data)
    if decoded.failure is not None:
        raise decoded.failure
    assert decoded.done
    (chunk,) = decoded.chunks
    return chunk
