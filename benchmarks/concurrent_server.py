"""A process that sends many streams at once, on time: `python -m benchmarks.concurrent_server` prints its port.

A request for `concurrent:CHUNKS:GAP` is answered with a head at once, and the stream waits. A request for `go` starts
all of them: every stream gets its chunks GAP seconds apart, no two streams at the same moment, whether or not the
client keeps up. The text of a stream's first chunk is the moment on the monotonic clock, which all processes share,
at which it was due; each further one is due GAP later. It serves until its stdin is closed.

One thread, plain sockets and a plain schedule: what it does late is little, and counts against the client alone in
the figure for the latest chunk, never in that for the CPU.
"""

import json
import selectors
import socket
import sys
import time

from benchmarks.cpus import SERVER, pin_cpu
from benchmarks.limits import allow_open_files
from benchmarks.payloads import DONE, chunk, coded, event, events

GO = "go"
BACKLOG = 2000
HEAD_START_S = 0.05
SLEEP_AT_LEAST_S = 50e-6
STUCK_S = 60.0
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_END = coded(DONE) + b"0\r\n\r\n"


class ConcurrentStreams:
    """The open streams, and what is to be sent over each."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self.chunks = 0
        self.gap_s = 0.0

    def join(self, sock: socket.socket, model: str) -> None:
        """Add a stream, and send its head."""
        _, chunks, gap_s = model.split(":")
        self.chunks, self.gap_s = int(chunks), float(gap_s)
        self.sockets.append(sock)
        sock.sendall(_HEAD)

    def send_all(self) -> None:
        """Send all chunks of all streams, each when it is due."""
        bodies = [coded(body) for body in events(self.chunks)]
        bodies[-1] += _END
        starts_at = time.monotonic() + HEAD_START_S
        for number, body in enumerate(bodies):
            for position, sock in enumerate(self.sockets):
                due_at = starts_at + (number + position / len(self.sockets)) * self.gap_s
                remaining_s = due_at - time.monotonic()
                if remaining_s > SLEEP_AT_LEAST_S:
                    time.sleep(remaining_s - SLEEP_AT_LEAST_S)
                _send(sock, body if number else coded(event(chunk(f"{due_at:.6f}"))))
        self.sockets = []


def _send(sock: socket.socket, data: bytes) -> None:
    """Send; a client that lags has buffers for seconds of chunks, and is waited for after that."""
    try:
        sock.sendall(data)
    except OSError:
        pass  # the client has disconnected


class Requests:
    """The requests on their way in: the bytes so far, by connection."""

    def __init__(self) -> None:
        self._received: dict[socket.socket, bytes] = {}

    def model(self, sock: socket.socket) -> str | None:
        """Read what is there; the model once the request is complete, None before, "" if the client disconnected."""
        try:
            data = sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._received.pop(sock, None)
            return ""
        received = self._received.get(sock, b"") + data
        head, _, body = received.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if len(body) < int(fields.get(b"content-length", b"1")):
            self._received[sock] = received
            return None
        self._received.pop(sock, None)
        return str(json.loads(body)["model"])


def main() -> None:
    pin_cpu(SERVER)
    allow_open_files()
    requests, streams = Requests(), ConcurrentStreams()
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener, selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        print(listener.getsockname()[1], flush=True)
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:
                    return
                if key.fileobj is listener:
                    sock, _ = listener.accept()
                    sock.settimeout(STUCK_S)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    selector.register(sock, selectors.EVENT_READ)
                elif isinstance(key.fileobj, socket.socket):
                    model = requests.model(key.fileobj)
                    if model == GO:
                        streams.send_all()
                    elif model:
                        streams.join(key.fileobj, model)
                    elif model == "":
                        selector.unregister(key.fileobj)
                        key.fileobj.close()


if __name__ == "__main__":
    main()
