"""The same prompts sent in three ways, for comparison: `python -m tests.batch.rivals WAY IN OUT URL CONCURRENCY`.

"openai" is the official client with a semaphore; "loop" is how OpenAI's cookbook does it: over aiohttp, one request
started in each turn of a loop that sleeps a millisecond, and the output opened for each row.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple


class Work(NamedTuple):
    """What is to be done."""

    input: str
    output: str
    base_url: str
    concurrency: int

    def rows(self) -> "Iterator[dict[str, Any]]":
        with open(self.input, encoding="utf-8") as file:  # noqa: PTH123
            yield from map(json.loads, file)


async def with_firsttoken(work: Work) -> None:
    from firsttoken import AsyncClient, Limiter
    from firsttoken.batch._job import Job
    from firsttoken.batch._rows import RowReader

    job = Job(work.input, work.output, RowReader(model="m"))
    async with AsyncClient("k", work.base_url, proxy="") as client:
        summary = await job.run(client, Limiter(work.concurrency))
    assert summary.complete == summary.rows, summary


async def with_openai(work: Work) -> None:
    import openai

    places = asyncio.Semaphore(work.concurrency)

    async def send(client: openai.AsyncOpenAI, row: "dict[str, Any]") -> str:
        async with places:
            messages: Any = [{"role": "user", "content": row["prompt"]}]
            answer = await client.chat.completions.create(model="m", messages=messages)
        return json.dumps({"custom_id": row["custom_id"], "body": answer.model_dump()})

    async with openai.AsyncOpenAI(api_key="k", base_url=work.base_url) as client:
        lines = await asyncio.gather(*(send(client, row) for row in work.rows()))
    with open(work.output, "w", encoding="utf-8") as file:  # noqa: ASYNC230, PTH123
        file.writelines(f"{line}\n" for line in lines)


async def with_loop(work: Work) -> None:
    import aiohttp

    async def send(session: aiohttp.ClientSession, row: "dict[str, Any]") -> None:
        body = {"model": "m", "messages": [{"role": "user", "content": row["prompt"]}]}
        async with session.post(f"{work.base_url}/chat/completions", json=body) as response:
            answer = await response.json()
        with open(work.output, "a", encoding="utf-8") as file:  # noqa: ASYNC230, PTH123
            file.write(f"{json.dumps([body, answer])}\n")

    async with aiohttp.ClientSession() as session:
        tasks: list[asyncio.Task[None]] = []
        for row in work.rows():
            tasks.append(asyncio.create_task(send(session, row)))
            await asyncio.sleep(0.001)
        await asyncio.gather(*tasks)


WAYS = {"firsttoken": with_firsttoken, "openai": with_openai, "loop": with_loop}


def main(way: str, *work: str) -> None:
    import resource

    began_at = time.monotonic()
    asyncio.run(WAYS[way](Work(work[0], work[1], work[2], int(work[3]))))
    used = resource.getrusage(resource.RUSAGE_SELF)
    report = {
        "duration_s": time.monotonic() - began_at,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mib": used.ru_maxrss / 1024,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
