"""A client that is nothing but a socket: it sends bytes, and sees which come back."""

import json
import socket
import struct
import threading
from types import TracebackType
from typing import Self

from firsttoken.testing import ScriptedServer

WAIT_S = 10.0


def our_threads() -> list[threading.Thread]:
    """The threads of scripted servers."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("scripted")]


def post(*, stream: bool = True, path: str = "/v1/chat/completions", **headers: str) -> bytes:
    """A request as bytes; further headers by name, with _ for -."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream}).encode()
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n{lines}\r\n".encode() + body


class RawClient:
    """One connection to a server."""

    def __init__(self, server: ScriptedServer, *, receive_buffer_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(WAIT_S)
        try:
            self.socket.connect(("127.0.0.1", server.port))
        except OSError:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read_to(self, end: bytes) -> bytes:
        """Everything up to these bytes."""
        data = b""
        while not data.endswith(end):
            byte = self.socket.recv(1)
            assert byte, f"the server closed after {data!r}"
            data += byte
        return data

    def read_all(self) -> bytes:
        """Everything until the server closes."""
        parts: list[bytes] = []
        while part := self.socket.recv(65536):
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        """Leave, with a FIN where all was read."""
        self.socket.close()

    def reset(self) -> None:
        """Break the connection with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def asked(server: ScriptedServer, *, stream: bool = True, **headers: str) -> bytes:
    """The answer to one request, all of its bytes."""
    with RawClient(server) as client:
        client.send(post(stream=stream, connection="close", **headers))
        return client.read_all()


def body_of(response: bytes) -> bytes:
    """The body, without HTTP's framing."""
    head, _, body = response.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head:
        return body
    parts: list[bytes] = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        parts.append(rest[: int(size, 16)])
        body = rest[int(size, 16) + 2 :]
    return b"".join(parts)


def texts_in(response: bytes) -> list[str]:
    """The contents of the chunks of a stream, empty ones left out."""
    events = [line[6:] for line in body_of(response).split(b"\n") if line.startswith(b"data: {")]
    deltas = [choice["delta"] for event in events for choice in json.loads(event)["choices"]]
    return [delta["content"] for delta in deltas if delta.get("content")]
