"""Batches on clusters of real worker processes, on this machine; one worker is killed in the middle."""

import asyncio
import os
import signal
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import hypothesis  # noqa: F401 - its plugin would import it at the end, where Python 3.11 fails to after Ray was there
import pytest

from firsttoken import AsyncClient
from firsttoken.batch import AdaptiveLimiter, arun, run
from firsttoken.testing import Request, ScriptedServer, ScriptLike, pause, reply
from tests.batch.files import answers, prompt_of, times_sent, write_rows

ROWS = 240
PARTS = 8


def slow_echo(request: Request) -> ScriptLike:
    return [pause(0.2), *reply(f"re: {prompt_of(request)}")]


def all_answers() -> dict[str, str]:
    return {f"r{n}": f"re: prompt {n}" for n in range(ROWS)}


# What the how-to says; kept alike with it by hand.


def answer_part(part: int, rows: str, client: AsyncClient, limiter: AdaptiveLimiter) -> int:
    out = str(Path(rows).with_name(f"out-{part}.jsonl"))
    run(rows, out, model="m", shard=(part, PARTS), client=client, limiter=limiter)
    return os.getpid()


def answer_rows(rows: list[dict[str, str]], client: AsyncClient, limiter: AdaptiveLimiter) -> list[dict[str, Any]]:
    async def collect() -> list[dict[str, Any]]:
        async with arun(rows, model="m", client=client, limiter=limiter) as results:
            return [{"pid": os.getpid(), **result.to_dict()} async for result in results]

    return asyncio.run(collect())


@pytest.fixture
def dask() -> Any:
    """The client of a cluster of two worker processes, over TCP."""
    distributed: Any = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=2, processes=True, protocol="tcp://", dashboard_address=None
    )
    client = distributed.Client(cluster)
    yield client
    client.close()
    cluster.close()


def kill_a_worker(dask: Any, server: ScriptedServer) -> None:
    """Kill one of the two when a third of the rows were sent."""
    assert server.journal.wait_until_requests(ROWS // 3, 60)
    pids: dict[str, int] = dask.run(os.getpid)
    os.kill(next(iter(pids.values())), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_dask_with_an_output_for_each_part(chat_server: ScriptedServer, dask: Any, tmp_path: Path) -> None:
    chat_server.set_scripts(slow_echo)
    rows = write_rows(tmp_path / "in.jsonl", ROWS)
    client = AsyncClient(base_url=chat_server.base_url, api_key="k", proxy="")
    options = {"rows": str(rows), "client": client, "limiter": AdaptiveLimiter(16)}
    futures = dask.map(answer_part, range(1, PARTS + 1), pure=False, **options)
    kill_a_worker(dask, chat_server)
    assert len(set(dask.gather(futures))) >= 1
    whole = tmp_path / "out.jsonl"
    whole.write_bytes(b"".join((tmp_path / f"out-{part}.jsonl").read_bytes() for part in range(1, PARTS + 1)))
    assert answers(whole) == all_answers()
    twice = sum(times_sent(chat_server).values()) - ROWS
    print(f"\nDask, an output for each part: {twice} rows sent twice")
    assert twice <= 32, "at most what was in flight on the worker that was killed"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_dask_with_results_that_come_back(chat_server: ScriptedServer, dask: Any) -> None:
    chat_server.set_scripts(slow_echo)
    rows = [{"id": f"r{n}", "prompt": f"prompt {n}"} for n in range(ROWS)]
    client = AsyncClient(base_url=chat_server.base_url, api_key="k", proxy="")
    parts = [rows[first : first + 20] for first in range(0, ROWS, 20)]
    futures = dask.map(answer_rows, parts, pure=False, client=client, limiter=AdaptiveLimiter(16))
    kill_a_worker(dask, chat_server)
    lines = [line for part in dask.gather(futures) for line in part]
    texts = {line["custom_id"]: line["response"]["body"]["choices"][0]["message"]["content"] for line in lines}
    assert texts == all_answers()
    assert len(lines) == ROWS


class Answers:
    """An actor of Ray Data: one client and one limiter for all batches that it gets."""

    def __init__(self, base_url: str) -> None:
        headers = {"x-pid": str(os.getpid())}
        self.client = AsyncClient(base_url=base_url, api_key="k", proxy="", default_headers=headers)
        self.limiter = AdaptiveLimiter(16)

    async def __call__(self, batch: dict[str, Any]) -> Any:
        rows = [dict(zip(batch, map(str, row), strict=True)) for row in zip(*batch.values(), strict=True)]
        async with arun(rows, model="m", client=self.client, limiter=self.limiter) as results:
            async for result in results:
                error = "" if result.error is None else str(result.error)
                yield {"id": [result.id], "text": [result.text], "error": [error]}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(900)
def test_ray_with_a_node_that_is_killed(chat_server: ScriptedServer) -> None:
    ray: Any = pytest.importorskip("ray")
    data: Any = import_module("ray.data")
    chat_server.set_scripts(slow_echo)
    cluster: Any = import_module("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    node = cluster.add_node(num_cpus=1)
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        data.DataContext.get_current().wait_for_min_actors_s = 300  # or the first one has sent all before the second runs
        rows = [{"id": f"r{n}", "prompt": f"prompt {n}"} for n in range(ROWS)]
        answered = data.from_items(rows, override_num_blocks=PARTS).map_batches(
            Answers,
            fn_constructor_args=(chat_server.base_url,),
            batch_size=15,
            compute=data.ActorPoolStrategy(size=2),
            num_cpus=1,  # one on each node
        )
        found = killing(lambda: cluster.remove_node(node, allow_graceful=False), chat_server, answered.iter_rows)
        assert {row["id"]: row["text"] for row in found} == all_answers()
        assert len(found) == ROWS
        assert {row["error"] for row in found} == {""}
        pids = {request.headers["x-pid"] for request in chat_server.journal.requests}
        assert len(pids) >= 2, "both nodes sent some"
        print(f"\nRay: {sum(times_sent(chat_server).values()) - ROWS} rows sent twice")
    finally:
        ray.shutdown()
        cluster.shutdown()


def killing(kill: Callable[[], object], server: ScriptedServer, rows: Callable[[], Any]) -> list[dict[str, Any]]:
    """All rows, with something killed when a third of them was sent."""
    from threading import Thread

    def wait_and_kill() -> None:
        if server.journal.wait_until_requests(ROWS // 3, 300):
            kill()

    thread = Thread(target=wait_and_kill)
    thread.start()
    found = list(rows())
    thread.join()
    return found
