"""A web back end for browsers: ASGI without a framework, run by uvicorn or hypercorn in a process of its own.

Which client it relays with and which server it asks stands in the path: `/api/sync/8000` and `/api/async/8000`.
"""

import asyncio
import gc
import json
import mimetypes
import os
import sys
import threading
from collections.abc import Callable, Generator, Mapping, MutableMapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from firsttoken import AsyncClient, Client, chat_completion_request
from firsttoken.web import sse_response, ui_message_response
from tests.support.services import Service, free_port

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "web_chat"
Message = MutableMapping[str, Any]

_clients: dict[tuple[str, int], Client | AsyncClient] = {}


async def app(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
    """The application."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["path"].startswith("/api/"):
        await _relay(scope, receive, send)
    elif scope["path"] == "/stats":
        await _send_file(send, json.dumps(_stats()).encode(), "application/json")
    else:
        await _send_page(scope["path"], send)


async def _relay(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    kind, port = scope["path"].split("/")[2:]
    query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
    respond = sse_response if query.get("format") == "sse" else ui_message_response
    keepalive = query.get("keepalive_s", "15")
    stream: Any = _client(kind, int(port)).chat_completion_stream(chat_completion_request("test-model", "Hello"))
    await respond(stream, keepalive_s=None if keepalive == "none" else float(keepalive))(scope, receive, send)


def _client(kind: str, port: int) -> Client | AsyncClient:
    if (kind, port) not in _clients:
        made: Callable[..., Client | AsyncClient] = Client if kind == "sync" else AsyncClient
        _clients[kind, port] = made(base_url=f"http://127.0.0.1:{port}/v1", api_key="", proxy="", max_retries=0)
    return _clients[kind, port]


def _stats() -> dict[str, int]:
    """What may leak; memory in bytes."""
    gc.collect()
    tasks = [task for task in asyncio.all_tasks() if "firsttoken" in repr(task.get_coro())]
    return {
        "tasks": len(tasks),
        "threads": sum(thread.name == "firsttoken.web" for thread in threading.enumerate()),
        "files": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "memory": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
    }


async def _send_page(path: str, send: Any) -> None:
    if path == "/favicon.ico":
        return await _send_file(send, b"", "image/x-icon")
    if path == "/":
        path = "/page/index.html"
    folder = Path(os.environ["REACT_DIST"]) if path.startswith("/react/") else EXAMPLE / "page"
    file = folder / (path.split("/", 2)[2] or "index.html")
    return await _send_file(send, file.read_bytes(), mimetypes.guess_type(file)[0] or "text/plain")


async def _send_file(send: Any, body: bytes, content_type: str) -> None:
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(server: str, folder: Path, **environment: str) -> Generator[str]:
    """The application behind "uvicorn" or "hypercorn"; gives its origin. The test is skipped where that is missing."""
    if find_spec(server) is None:
        pytest.skip(f"{server} is not installed (uv sync --group web)")
    port = free_port()
    where = {
        "uvicorn": ["--port", str(port), "--timeout-graceful-shutdown", "0"],
        "hypercorn": ["--bind", f"127.0.0.1:{port}", "--graceful-timeout", "0"],
    }
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment}
    command = [sys.executable, "-m", server, "tests.support.web_app:app", *where[server]]
    with Service(command, env=env, folder=folder) as service:
        service.wait_until_listening(port, 30)
        yield f"http://127.0.0.1:{port}"
