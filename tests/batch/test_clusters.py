"""The examples for clusters, on real ones on this machine: Dask with two workers, Ray with two nodes; one is killed."""

import ast
import os
import signal
from collections.abc import Callable, Generator
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import pytest

from firsttoken.testing import Request, ScriptedServer, ScriptLike, pause, reply
from tests.batch.files import answers, prompt_of, times_sent, write_rows

import_module("hypothesis")  # its plugin would at the end, where Python 3.11 fails to after Ray was there
ROOT = Path(__file__).parents[2]
ROWS = 240
PARTS = 8


def slow_echo(request: Request) -> ScriptLike:
    return [pause(0.2), *reply(f"re: {prompt_of(request)}")]


def all_answers() -> dict[str, str]:
    return {f"r{n}": f"re: prompt {n}" for n in range(ROWS)}


def example(name: str) -> ModuleType:
    spec = spec_from_file_location(name, ROOT / "examples" / "clusters" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module  # it is not among sys.modules, so that it is pickled by value: the workers don't have it


def kill_midway(server: ScriptedServer, kill: Callable[[], object]) -> Thread:
    """Kill something when a third of the rows were sent."""

    def wait_and_kill() -> None:
        if server.journal.wait_until_requests(ROWS // 3, 300):
            kill()

    thread = Thread(target=wait_and_kill)
    thread.start()
    return thread


@pytest.fixture
def dask(chat_server: ScriptedServer) -> Generator[Any]:
    """The client of a cluster of two worker processes, over TCP, which find the server by their environment."""
    distributed: Any = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=2, processes=True, protocol="tcp://", dashboard_address=None
    )
    with cluster, distributed.Client(cluster) as client:
        yield client


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_dask_loses_nothing_with_a_worker_that_is_killed(
    chat_server: ScriptedServer, dask: Any, tmp_path: Path
) -> None:
    chat_server.set_scripts(slow_echo)
    rows = write_rows(tmp_path / "in.jsonl", ROWS)
    pids: dict[str, int] = dask.run(os.getpid)
    thread = kill_midway(chat_server, lambda: os.kill(next(iter(pids.values())), signal.SIGKILL))
    summaries = example("dask_batch").answer(dask, str(rows), PARTS)
    thread.join()
    assert [summary.failed for summary in summaries] == [0] * PARTS
    whole = tmp_path / "out.jsonl"
    whole.write_bytes(b"".join(path.read_bytes() for path in sorted(tmp_path.glob("in.answers-*.jsonl"))))
    assert answers(whole) == all_answers()
    twice = sum(times_sent(chat_server).values()) - ROWS
    print(f"\nDask: {twice} rows of {ROWS} sent twice")
    assert any(summary.finished_before for summary in summaries), "a part was taken up by another worker"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(900)
def test_ray_loses_nothing_with_a_node_that_is_killed(
    chat_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Under `uv run` each worker would make an environment of its own first, from all of the repository.
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    ray: Any = pytest.importorskip("ray")
    data: Any = import_module("ray.data")
    chat_server.set_scripts(slow_echo)
    head = {"num_cpus": 1, "include_dashboard": False}
    cluster: Any = import_module("ray.cluster_utils").Cluster(initialize_head=True, head_node_args=head)
    node = cluster.add_node(num_cpus=1)
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        data.DataContext.get_current().wait_for_min_actors_s = 300  # or one has sent all before the other runs
        rows = [{"id": f"r{n}", "prompt": f"prompt {n}"} for n in range(ROWS)]
        thread = kill_midway(chat_server, lambda: cluster.remove_node(node, allow_graceful=False))
        answered = list(example("ray_batch").answer(data.from_items(rows, override_num_blocks=PARTS)).iter_rows())
        thread.join()
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert {row["id"]: row["text"] for row in answered} == all_answers()
    assert len(answered) == ROWS
    assert {row["error"] for row in answered} == {""}
    print(f"\nRay: {sum(times_sent(chat_server).values()) - ROWS} rows of {ROWS} sent twice")


@pytest.mark.parametrize("name", ["dask_batch", "ray_batch"])
def test_the_how_to_shows_the_example(name: str) -> None:
    """The heart of each example stands in the how-to, word for word but for docstrings."""
    page = (ROOT / "docs" / "how-to" / "batch.md").read_text()
    blocks = [block.partition("```")[0] for block in page.split("```py\n")[1:]]
    shown = {ast.unparse(_bare(node)) for block in blocks for node in ast.parse(block).body}
    module = ast.parse((ROOT / "examples" / "clusters" / f"{name}.py").read_text())
    heart = [node for node in module.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert [ast.unparse(_bare(node)) in shown for node in heart] == [True] * len(heart)


def _bare(tree: ast.stmt) -> ast.stmt:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(node):
            del node.body[0]
    return tree
