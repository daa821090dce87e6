"""A process that makes blocking calls: `python -m benchmarks.blocking_client KIND PORT BATCHES` prints what one costs.

KIND is a name of `SYNC`, whose calls follow one another on a connection that is kept alive, or of `ASYNC`, of which 64
run at once. A call sends a short question and takes the text of the answer. It prints the CPU seconds of a call in the
cheapest of so many batches.
"""

import asyncio
import http.client
import json
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from benchmarks.cpus import CLIENT, pin_cpu

BATCH_CALLS = 256
AT_ONCE = 64
MESSAGES: list[dict[str, str]] = [{"role": "user", "content": "Why is the sky blue?"}]

Call = Callable[[], str]
AsyncCall = Callable[[], Awaitable[str]]


def http_client(port: int) -> Call:
    """The standard library's client, and its JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"content-type": "application/json", "authorization": "Bearer none"}

    def call() -> str:
        body = json.dumps({"model": "m", "messages": MESSAGES})
        connection.request("POST", "/v1/chat/completions", body, headers)
        completion = json.loads(connection.getresponse().read())
        return str(completion["choices"][0]["message"]["content"])

    return call


def firsttoken(port: int) -> Call:
    """The request is made anew for each call, as a user would."""
    from firsttoken import Client, chat_completion_request

    client = Client("none", f"http://127.0.0.1:{port}/v1")
    return lambda: client.chat_completion(chat_completion_request("m", MESSAGES)).text


def openai(port: int) -> Call:
    """The official client."""
    from openai import OpenAI

    client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none")
    return lambda: client.chat.completions.create(model="m", messages=MESSAGES).choices[0].message.content or ""  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@asynccontextmanager
async def aiohttp(port: int) -> AsyncGenerator[AsyncCall]:
    """The client that is known to be fast, and the standard library's JSON."""
    import aiohttp

    url = f"http://127.0.0.1:{port}/v1/chat/completions"

    async def call() -> str:
        async with session.post(url, json={"model": "m", "messages": MESSAGES}) as response:
            completion = await response.json()
        return str(completion["choices"][0]["message"]["content"])

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield call


@asynccontextmanager
async def firsttoken_async(port: int) -> AsyncGenerator[AsyncCall]:
    """The request is made anew for each call, as a user would."""
    from firsttoken import AsyncClient, chat_completion_request

    async def call() -> str:
        return (await client.chat_completion(chat_completion_request("m", MESSAGES))).text

    async with AsyncClient("none", f"http://127.0.0.1:{port}/v1") as client:
        yield call


SYNC: dict[str, Callable[[int], Call]] = {"http.client": http_client, "firsttoken": firsttoken, "openai": openai}
ASYNC: dict[str, Callable[[int], AbstractAsyncContextManager[AsyncCall]]] = {
    "aiohttp": aiohttp,
    "firsttoken async": firsttoken_async,
}


def measure(call: Call, batches: int) -> float:
    costs_s: list[float] = []
    for _ in range(batches + 1):  # the first one warms up
        started_at = time.process_time()
        for _ in range(BATCH_CALLS):
            call()
        costs_s.append(time.process_time() - started_at)
    return min(costs_s[1:]) / BATCH_CALLS


async def measure_async(calls: AbstractAsyncContextManager[AsyncCall], batches: int) -> float:
    costs_s: list[float] = []
    async with calls as call:

        async def work() -> None:
            for _ in range(BATCH_CALLS // AT_ONCE):
                await call()

        for _ in range(batches + 1):
            started_at = time.process_time()
            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
            costs_s.append(time.process_time() - started_at)
    return min(costs_s[1:]) / BATCH_CALLS


def main() -> None:
    kind, port, batches = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    pin_cpu(CLIENT)
    if kind in SYNC:
        print(measure(SYNC[kind](port), batches))
    else:
        print(asyncio.run(measure_async(ASYNC[kind](port), batches)))


if __name__ == "__main__":
    main()
