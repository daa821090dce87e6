"""A batch on a Dask cluster.

    python examples/clusters/dask_batch.py tcp://scheduler:8786 prompts.jsonl

Each task takes one part of the input and writes an output of its own, on a disk that all workers see. A task that Dask
starts again, because its worker was lost, goes on where that one was.
"""

import sys
from pathlib import Path

from distributed import Client as Cluster

from firsttoken import AsyncClient
from firsttoken.batch import AdaptiveLimiter, Summary, run


def answer_part(part: int, parts: int, rows: str, client: AsyncClient, limiter: AdaptiveLimiter) -> Summary:
    """Answer one part of the rows. All tasks of a worker process share its limiter."""
    output = Path(rows).with_suffix(f".answers-{part}.jsonl")
    return run(rows, output, model="gpt-5-mini", shard=(part, parts), client=client, limiter=limiter)


def answer(cluster: Cluster, rows: str, parts: int = 8) -> list[Summary]:
    """Answer all of them."""
    shared = {"parts": parts, "rows": rows, "client": AsyncClient(), "limiter": AdaptiveLimiter()}
    return cluster.gather(cluster.map(answer_part, range(1, parts + 1), pure=False, **shared))


if __name__ == "__main__":
    print(*answer(Cluster(sys.argv[1]), sys.argv[2]), sep="\n")
