"""The CPU time of a stream is linear in its bytes: as much for a byte of 16 MiB as for one of 1 MiB."""

import zlib
from collections.abc import Callable, Iterator

import pytest

from tests.limits.resource_usage import measure
from tests.support.core import cut_every
from tests.support.server import DONE, EVENT_STREAM, Peer, Server, chunk, event, respond_sequentially

MIB = 1024 * 1024
CUT_BYTES = 1024
SIZES_MIB = (1, 16)
ROUNDS = 2
LEEWAY = 2.0

END = event(chunk(finish="stop")) + DONE
EVENT = event(chunk("word "))


def random_text(size: int) -> bytes:
    """Text that hardly packs."""
    state, made = 1, bytearray()
    while len(made) < size:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        made += b"%016x" % state
    return bytes(made[:size])


def gzipped(plain: bytes) -> bytes:
    packer = zlib.compressobj(1, wbits=31)
    return packer.compress(plain) + packer.flush()


def of_text(size: int) -> bytes:
    return event(chunk(random_text(MIB).decode() * (size // MIB)))


BODIES: dict[str, tuple[dict[str, str], Callable[[int], bytes]]] = {
    "one event": ({}, of_text),
    "many events": ({}, lambda size: EVENT * (size // len(EVENT))),
    "many lines": ({}, lambda size: b"x: y\r\n" * (size // 6) + b"\r\n"),
    "comments": ({}, lambda size: b": the model is still thinking\n\n" * (size // 33)),
    "one comment": ({}, lambda size: b":" + b"x" * size + b"\n\n"),
    "gzipped events": (
        {"content-encoding": "gzip"},
        lambda size: event(chunk(random_text(1000).decode())) * (size // 1200),
    ),
    "one gzipped event": ({"content-encoding": "gzip"}, of_text),
}


def streams(name: str) -> Iterator[Callable[[Peer], None]]:
    """Answers of every size, as often as they are measured."""
    headers, body = BODIES[name]
    for size_mib in SIZES_MIB:
        plain = body(size_mib * MIB) + END
        data = gzipped(plain) if headers else plain
        for _ in range(ROUNDS):
            yield lambda peer, data=data: send(peer, headers, data)  # type: ignore[misc]


def send(peer: Peer, headers: dict[str, str], data: bytes) -> None:
    peer.send_head(200, EVENT_STREAM | {"content-length": str(len(data))} | headers)
    for piece in cut_every(data, CUT_BYTES):
        peer.send(piece)


@pytest.mark.parametrize(
    ("name", "shell"),
    [
        *((name, "sync") for name in BODIES),
        *((name, "async") for name in ("one event", "many events", "gzipped events")),
    ],
)
def test_cpu_time_is_linear_in_the_bytes(name: str, shell: str) -> None:
    with Server(respond_sequentially(*streams(name))) as server:
        uses = measure(server, shell, calls=ROUNDS * len(SIZES_MIB))
    assert {use.failure for use in uses} == {None}
    best_s = [min(use.cpu_s for use in uses[start : start + ROUNDS]) for start in range(0, len(uses), ROUNDS)]
    per_mib_ms = [cpu_s / size_mib * 1000 for cpu_s, size_mib in zip(best_s, SIZES_MIB, strict=True)]
    print(f"{name}, {shell}: {', '.join(f'{cost:.1f}' for cost in per_mib_ms)} ms/MiB at 1 and 16 MiB")
    assert per_mib_ms[1] < LEEWAY * per_mib_ms[0], per_mib_ms
