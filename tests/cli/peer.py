"""The server that the command under test speaks to, played by the test itself, step by step, over a real socket."""

import json
import socket
import struct
from typing import Any, Self

TIMEOUT_S = 30.0


class Peer:
    """Listens on a free port; each `accept` gives the next request, to be answered by hand."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT_S)
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def accept(self) -> "ResponseReader":
        connection, _ = self._listener.accept()
        connection.settimeout(TIMEOUT_S)
        return ResponseReader(connection)


class ResponseReader:
    """One request that was received, and the answer to it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = connection.makefile("rb")
        self.line = self._reader.readline().decode().rstrip()
        self.headers = dict(self._header_lines())
        self.body: Any = json.loads(self._reader.read(int(self.headers["content-length"])))

    def _header_lines(self) -> list[tuple[str, str]]:
        lines: list[tuple[str, str]] = []
        while line := self._reader.readline().decode().rstrip():
            name, _, value = line.partition(":")
            lines.append((name.lower(), value.strip()))
        return lines

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection, wherever the answer stands."""
        self._reader.close()
        self._connection.close()

    def respond(self, status: str, body: str, *headers: str, content_type: str = "application/json") -> None:
        """Sends a complete response that ends the connection."""
        data = body.encode()
        lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(data)}", *headers]
        self._connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + data)

    def refuse(self, status: str, message: str, *headers: str, **fields: object) -> None:
        """Sends an error the way OpenAI does."""
        self.respond(status, json.dumps({"error": {"message": message, **fields}}), *headers)

    def open_stream(self) -> None:
        """Sends the head of a stream, which lasts until the connection ends."""
        self._connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")

    def send_event(self, data: str) -> None:
        self._connection.sendall(f"data: {data}\n\n".encode())

    def send_delta(self, finish_reason: str | None = None, **delta: object) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        self.send_event(json.dumps({"object": "chat.completion.chunk", "choices": [choice]}))

    def send_text(self, *texts: str) -> None:
        for text in texts:
            self.send_delta(content=text)

    def end_stream(self, finish_reason: str = "stop", usage: dict[str, int] | None = None) -> None:
        self.send_delta(finish_reason)
        if usage is not None:
            self.send_event(json.dumps({"object": "chat.completion.chunk", "choices": [], "usage": usage}))
        self.send_event("[DONE]")

    def reset(self) -> None:
        """Ends the connection as a crash does: by a reset."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def client_left(self) -> bool:
        """Waits until the client closes its end."""
        try:
            return self._reader.read() == b""
        except ConnectionResetError:
            return True
