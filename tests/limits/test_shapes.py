"""Hostile shapes cost CPU time and memory in proportion to their bytes: four times as many cost no more than that.

`pytest -s` prints the tables. A busy machine may spoil a measurement, so that the best of several counts.
"""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.limits.resource_usage import measure
from tests.limits.shapes import BLOCKING, SHAPES, Response
from tests.support.server import Peer, Server, respond_sequentially

KIB, MIB = 1024, 1024 * 1024
SIZES = (128 * KIB, 512 * KIB)
ROUNDS = 2
TOLERANCE = 2.2
"""Of a cost in proportion; a quadratic one is 4 times that."""

UNSEEN_CPU_S = 0.05
UNSEEN_MIB = 6.0
"""Differences as small as these are the allocator's and the system's."""

MAX_CPU_S_PER_MIB = 6.0
MAX_MEMORY_RATIO = 60.0
"""Bytes of memory for each byte received: an empty object, `{},`, takes most."""


def send(peer: Peer, response: Response) -> None:
    status, headers, body = response
    peer.answer(status, body, headers)


def answers(name: str) -> Iterator[Callable[[Peer], None]]:
    for size in SIZES:
        response = SHAPES[name](size)
        for _ in range(ROUNDS):
            yield partial(send, response=response)


@pytest.mark.parametrize("name", SHAPES)
def test_a_hostile_shape_costs_in_proportion_to_its_bytes(name: str) -> None:
    style = "whole" if name in BLOCKING else "stream"
    with Server(respond_sequentially(*answers(name))) as server:
        uses = measure(server, "sync", style=style, calls=ROUNDS * len(SIZES))
    before_mib = uses[0].peak_mib - uses[0].grown_mib
    cpu_s = [min(use.cpu_s for use in uses[start : start + ROUNDS]) for start in range(0, len(uses), ROUNDS)]
    memory_mib = [use.peak_mib - before_mib for use in uses[::ROUNDS]]
    cpu = " ".join(f"{value * 1000:5.0f}" for value in cpu_s)
    memory = " ".join(f"{value:5.1f}" for value in memory_mib)
    print(f"{name:32} {cpu} ms  {memory} MiB  {(uses[-1].failure or 'complete')[:70]}")
    assert cpu_s[-1] < 4 * TOLERANCE * cpu_s[0] + UNSEEN_CPU_S
    assert memory_mib[-1] < 4 * TOLERANCE * memory_mib[0] + UNSEEN_MIB
    assert cpu_s[-1] < MAX_CPU_S_PER_MIB * SIZES[-1] / MIB
    assert memory_mib[-1] < MAX_MEMORY_RATIO * SIZES[-1] / MIB + UNSEEN_MIB
