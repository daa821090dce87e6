"""The server of the stress scenarios: plain and over TLS, each response one of many. It leaves when its input ends."""

import asyncio
import json
import random
import sys
from pathlib import Path

from tests.support.server import DONE, chunk, event
from tests.support.tls import authority, server_context

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
BUSY = b"HTTP/1.1 503 Busy\r\nretry-after-ms: 2\r\ncontent-length: 0\r\n\r\n"
CALM = b"x-calm:"
"""A request with this header gets a complete stream at once."""

MAX_PAUSE_S = 0.002
rng = random.Random(0)


def part(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await answer(reader, writer):
            pass
    except (OSError, asyncio.IncompleteReadError):
        pass  # the client has left
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Answer a request; whether the connection can serve another one."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(length)
    kind = "whole" if CALM in head.lower() else rng.choice(["whole"] * 6 + ["cut", "busy", "silent", "late"])
    if kind == "busy":
        writer.write(BUSY)
        return True
    if kind == "late":
        await asyncio.sleep(rng.random() * MAX_PAUSE_S)
    writer.write(HEAD)
    for number in range(rng.randrange(1, 8)):
        if rng.random() < 0.5:
            await asyncio.sleep(rng.random() * MAX_PAUSE_S)
        writer.write(part(event(chunk(f"word {number} "))))
        await writer.drain()
    if kind == "silent":
        await reader.read(1)
    if kind in ("silent", "cut"):
        return False
    writer.write(part(event(chunk(finish="stop")) + DONE) + b"0\r\n\r\n")
    return True


async def main(certificate: str) -> None:
    authority().cert_pem.write_to_path(certificate)
    plain = await asyncio.start_server(serve, "127.0.0.1", 0)
    secure = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context())
    ports = [server.sockets[0].getsockname()[1] for server in (plain, secure)]
    print(
        json.dumps({"plain": f"http://127.0.0.1:{ports[0]}/v1", "tls": f"https://127.0.0.1:{ports[1]}/v1"}), flush=True
    )
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(str(Path(sys.argv[1]))))
