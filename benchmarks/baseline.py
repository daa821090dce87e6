"""The least work: what any client must do to turn the bytes of a stream into typed objects.

Split on blank lines and one msgspec decode per event, into structs of the documented fields: no HTTP, no errors, no
deadlines, no unusual line ends, no accumulation, and unknown fields are dropped. What a careful person would
write by hand for one server that never does anything unexpected.
"""

import socket

import msgspec

READ_BYTES = 65536


class Delta(msgspec.Struct):
    role: str | None = None
    content: str | None = None
    refusal: str | None = None


class Choice(msgspec.Struct):
    index: int
    delta: Delta
    finish_reason: str | None = None
    logprobs: object = None


class Chunk(msgspec.Struct):
    id: str
    kind: str = msgspec.field(name="object")
    created: int = 0
    model: str = ""
    choices: list[Choice] = []
    usage: dict[str, object] | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    obfuscation: str | None = None


decode = msgspec.json.Decoder(Chunk).decode


def split_and_decode(pieces: list[bytes]) -> int:
    """Decode the events of a body that comes in pieces; the number of chunks."""
    buffer = b""
    count = 0
    for piece in pieces:
        blocks = (buffer + piece).split(b"\n\n")
        buffer = blocks.pop()
        for block in blocks:
            data = block[6:]
            if data == b"[DONE]":
                return count
            decode(data)
            count += 1
    return count


def read_stream(sock: socket.socket, request: bytes) -> tuple[int, int]:
    """Send a request over a connection and read the stream that answers it; the number of chunks and of characters.

    The chunked coding is not decoded: the size before `data: ` in a block is skipped.

    Raises:
        ConnectionError: the server closed the connection.
    """
    sock.sendall(request)
    buffer = b""
    chunks = characters = 0
    while True:
        data = sock.recv(READ_BYTES)
        if not data:
            raise ConnectionError("the server closed the connection")
        blocks = (buffer + data).split(b"\n\n")
        buffer = blocks.pop()
        for block in blocks:
            payload = block.partition(b"data: ")[2]
            if payload == b"[DONE]":
                return chunks, characters
            chunk = decode(payload)
            chunks += 1
            characters += len(chunk.choices[0].delta.content or "")
