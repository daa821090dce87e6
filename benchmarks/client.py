"""A process that reads streams: `python -m benchmarks.client KIND PORT MODEL STREAMS` prints what it cost, as JSON.

KIND is a name of `READERS`; each sends a request for MODEL (see `server`) and reads the answer, STREAMS times over
one client, and looks at the text of every chunk. Each kind is a process of its own so that what one imports,
allocates or leaves to the garbage collector does not burden another.
"""

import json
import socket
import sys
import time
from collections.abc import Callable

from benchmarks.cpus import CLIENT, SERVER, pin_cpu
from benchmarks.limits import peak_bytes

Read = Callable[[str], tuple[int, int]]
"""Reads a stream of a model: the number of its chunks and of its characters."""

WARM_UP = "bulk:300"


def baseline(port: int) -> Read:
    """A bare socket."""
    from benchmarks.baseline import read_stream

    sock = socket.create_connection(("127.0.0.1", port))

    def read(model: str) -> tuple[int, int]:
        body = json.dumps({"model": model}).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n" % len(body)
        return read_stream(sock, head + body)

    return read


def firsttoken(port: int, *, is_observed: bool = False) -> Read:
    """The stream as an iterator, and the completion that it makes; with or without an observer."""
    from firsttoken import Client, chat_completion_request

    observer = None
    if is_observed:
        from firsttoken.types import CallInfo, CallObserver, Observer

        class Idle(Observer):
            def call_started(self, call: CallInfo) -> CallObserver:  # noqa: ARG002 - it has to take it
                return CallObserver()

        observer = Idle()
    client = Client(base_url=f"http://127.0.0.1:{port}/v1", observer=observer)

    def read(model: str) -> tuple[int, int]:
        chunks = characters = 0
        with client.chat_completion_stream(chat_completion_request(model, "Why is the sky blue?")) as stream:
            for chunk in stream:
                chunks += 1
                characters += len(chunk.choices[0].delta.content or "")
            text = stream.completion.choices[0].message.content or ""
        if len(text) != characters:
            raise RuntimeError(f"the completion has {len(text)} characters, its chunks have {characters}")
        return chunks, characters

    return read


def openai(port: int, *, is_guarded: bool = False) -> Read:
    """The official client's stream."""
    from openai import DefaultHttpx2Client, OpenAI

    http_client = None
    if is_guarded:
        from firsttoken.guard import GuardTransport

        http_client = DefaultHttpx2Client(transport=GuardTransport())
    client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", http_client=http_client)

    def read(model: str) -> tuple[int, int]:
        chunks = characters = 0
        for chunk in client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Why is the sky blue?"}], stream=True
        ):
            chunks += 1
            characters += len(chunk.choices[0].delta.content or "")
        return chunks, characters

    return read


def openai_guarded(port: int) -> Read:
    """The official client over the guard."""
    return openai(port, is_guarded=True)


def firsttoken_observed(port: int) -> Read:
    """Ours with an observer that does nothing."""
    return firsttoken(port, is_observed=True)


READERS: dict[str, Callable[[int], Read]] = {
    "baseline": baseline,
    "firsttoken": firsttoken,
    "firsttoken+observer": firsttoken_observed,
    "openai": openai,
    "openai+guard": openai_guarded,
}


def main() -> None:
    kind, port, model, streams = sys.argv[1:]
    pin_cpu(SERVER if model.startswith("warm:") else CLIENT)
    read = READERS[kind](int(port))
    read(WARM_UP)
    peak_before = peak_bytes()
    cpu_s: list[float] = []
    chunks = characters = 0
    for _ in range(int(streams)):
        started_at = time.process_time()
        chunks, characters = read(model)
        cpu_s.append(time.process_time() - started_at)
    grown_bytes = peak_bytes() - peak_before
    print(json.dumps({"cpu_s": min(cpu_s), "chunks": chunks, "characters": characters, "grown_bytes": grown_bytes}))


if __name__ == "__main__":
    main()
