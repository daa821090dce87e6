"""A process that sends streams: `python -m benchmarks.server` prints its port and serves until its stdin is closed.

The request's model says what to send: `bulk:50000` is 50,000 chunks as fast as they go, `single-chunk:4000` 4,000
chunks one by one at 2,000 a second, and `warm:4000` the same without ever letting its CPU idle. Every event is an
HTTP chunk of its own. One connection is served at a time.

It is a process of its own so that its work does not count as the client's, and plain sockets so that it does not delay
the client.
"""

import json
import select
import socket
import sys
import time

from benchmarks.cpus import SERVER, pin_cpu
from benchmarks.payloads import DONE, coded, events

SINGLE_CHUNKS_PER_S = 2000
WAKING_S = 60e-6
"""About how much longer a sleep takes than it should."""

IDLE_S = 60.0
_PAGE_EVENTS = 600
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_END = coded(DONE) + b"0\r\n\r\n"


def send_bulk(sock: socket.socket, count: int) -> None:
    """Send a stream as fast as the client takes it."""
    page = [coded(event) for event in events(_PAGE_EVENTS + 1)]
    last = page.pop()
    full_pages, rest = divmod(count - 1, _PAGE_EVENTS)
    joined = b"".join(page)
    sock.sendall(_HEAD)
    for _ in range(full_pages):
        sock.sendall(joined)
    sock.sendall(b"".join([*page[:rest], last, _END]))


def send_single_chunks(sock: socket.socket, count: int, *, busy: bool = False) -> None:
    """Send each chunk alone, never sooner than its distance after the one before, asleep or busy in between."""
    sock.sendall(_HEAD)
    sent_at = time.perf_counter()
    for event in events(count):
        if not busy:
            time.sleep(max(0.0, 1 / SINGLE_CHUNKS_PER_S - WAKING_S - (time.perf_counter() - sent_at)))
        while busy and time.perf_counter() - sent_at < 1 / SINGLE_CHUNKS_PER_S:
            pass
        sent_at = time.perf_counter()
        sock.sendall(coded(event))
    sock.sendall(_END)


def read_model(sock: socket.socket) -> str:
    """Read a request; its model, or "" where the client has disconnected."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = sock.recv(65536)
        if not data:
            return ""
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(fields[b"content-length"]):
        data = sock.recv(65536)
        if not data:
            return ""
        body += data
    return str(json.loads(body)["model"])


def serve(sock: socket.socket) -> None:
    """Answer the requests of a connection until the client disconnects."""
    sock.settimeout(IDLE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while kind_and_count := read_model(sock):
        kind, _, count = kind_and_count.partition(":")
        if kind == "bulk":
            send_bulk(sock, int(count))
        else:
            send_single_chunks(sock, int(count), busy=kind == "warm")


def main() -> None:
    pin_cpu(SERVER)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while listener in select.select([listener, sys.stdin], [], [])[0]:
            sock, _ = listener.accept()
            with sock:
                try:
                    serve(sock)
                except OSError:
                    pass  # the client has disconnected


if __name__ == "__main__":
    main()
