"""A batch with Ray Data.

    python examples/clusters/ray_batch.py prompts.parquet answers

Each actor holds one client and one limiter, and yields rows as they finish. A row that fails has its error in a column
that is always text, and fails nothing else; Ray starts lost actors again.
"""

import sys
from collections.abc import AsyncIterator

import ray

from firsttoken import AsyncClient
from firsttoken.batch import AdaptiveLimiter, arun


class Answers:
    """Answers batches of rows with the columns `id` and `prompt`."""

    def __init__(self) -> None:
        self.client = AsyncClient()
        self.limiter = AdaptiveLimiter()

    async def __call__(self, batch: dict[str, list[str]]) -> AsyncIterator[dict[str, list[str]]]:
        """Yield the answers of a batch, one by one."""
        columns = zip(batch["id"], batch["prompt"], strict=True)
        rows = [{"id": str(row_id), "prompt": str(prompt)} for row_id, prompt in columns]
        async with arun(rows, model="gpt-5-mini", client=self.client, limiter=self.limiter) as results:
            async for result in results:
                yield {"id": [result.id], "text": [result.text], "error": [str(result.error or "")]}


def answer(rows: ray.data.Dataset, actors: int = 2) -> ray.data.Dataset:
    """Answer the rows; lazily, as all of Ray Data."""
    return rows.map_batches(Answers, batch_size=64, compute=ray.data.ActorPoolStrategy(size=actors), num_cpus=1)


if __name__ == "__main__":
    answer(ray.data.read_parquet(sys.argv[1])).write_parquet(sys.argv[2])
