"""Starting: how long an import takes, and how long a new process takes to get its request onto the wire."""

import socket
import subprocess
import sys
import time
from math import inf

from benchmarks.payloads import DONE, coded, event
from benchmarks.payloads import chunk as make_chunk
from benchmarks.processes import environment, run_python
from benchmarks.report import Row, Scale, at_least, best, milliseconds

IMPORT_LIMIT = 10.0
WIRE_LIMIT = 5.0
WAIT_S = 60.0
NOT_LOADED = ("asyncio", "ssl", "httpx2", "rich")

_IMPORT = "import time; started_at = time.perf_counter(); {statement}; print(time.perf_counter() - started_at)"
_LOADED = f"import sys; from firsttoken import Client; print(*(name for name in {NOT_LOADED} if name in sys.modules))"

_FIRSTTOKEN = """
from firsttoken import Client, chat_completion_request
for chunk in Client(base_url="http://127.0.0.1:{port}/v1").chat_completion_stream(chat_completion_request("m", "Hi")):
    pass
"""
_WITHOUT_AIOHTTP = """
import sys
sys.modules["aiohttp"] = None
"""
"""openai imports aiohttp where it is installed, as the benchmarks do: it is not charged for that."""

_OPENAI = (
    _WITHOUT_AIOHTTP
    + """
from openai import OpenAI
client = OpenAI(base_url="http://127.0.0.1:{port}/v1", api_key="none")
for chunk in client.chat.completions.create(model="m", messages=[{{"role": "user", "content": "Hi"}}], stream=True):
    pass
"""
)
_BARE = """
import socket
with socket.create_connection(("127.0.0.1", {port})) as sock:
    sock.sendall(b"POST / HTTP/1.1")
    sock.recv(1)
"""
_ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    + coded(event(make_chunk("Hello", "stop")) + DONE)
    + b"0\r\n\r\n"
)


def imports(scale: Scale) -> list[Row]:
    figures = best(
        scale.pick(15, 3),
        {
            "openai": lambda: _import_s("import openai", _WITHOUT_AIOHTTP),
            "firsttoken": lambda: _import_s("import firsttoken"),
            "openai client": lambda: _import_s("from openai import OpenAI", _WITHOUT_AIOHTTP),
            "client": lambda: _import_s("from firsttoken import Client, chat_completion_request"),
        },
    )
    loaded = run_python("-c", _LOADED).split()
    return [
        Row("import openai", milliseconds(figures["openai"]), 1.0),
        at_least(
            "import firsttoken",
            milliseconds(figures["firsttoken"]),
            figures["openai"] / figures["firsttoken"],
            IMPORT_LIMIT,
        ),
        Row("from openai import OpenAI", milliseconds(figures["openai client"]), 1.0),
        Row(
            "from firsttoken import Client, ...",
            milliseconds(figures["client"]),
            figures["openai client"] / figures["client"],
        ),
        Row(f"loaded of {', '.join(NOT_LOADED)}", ", ".join(loaded) or "none", None, "none", inf if loaded else 0.0),
    ]


def wire(scale: Scale) -> list[Row]:
    figures = best(
        scale.pick(15, 3),
        {
            "bare": lambda: _to_wire_s(_BARE),
            "firsttoken": lambda: _to_wire_s(_FIRSTTOKEN),
            "openai": lambda: _to_wire_s(_OPENAI),
        },
    )
    bare_s, ours_s, openai_s = figures["bare"], figures["firsttoken"], figures["openai"]
    return [
        Row("baseline: interpreter and a bare socket", milliseconds(bare_s), openai_s / bare_s),
        Row("openai", milliseconds(openai_s), 1.0),
        at_least("firsttoken", milliseconds(ours_s), openai_s / ours_s, WIRE_LIMIT),
        Row("openai, less the baseline", milliseconds(openai_s - bare_s), 1.0),
        Row("firsttoken, less the baseline", milliseconds(ours_s - bare_s), (openai_s - bare_s) / (ours_s - bare_s)),
    ]


def _import_s(statement: str, before: str = "") -> float:
    """How long an import takes in a fresh process, whose own start is not counted."""
    return float(run_python("-c", before + _IMPORT.format(statement=statement)))


def _to_wire_s(script: str) -> float:
    """From the start of a process until the first byte of its request is here."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT_S)
        command = [sys.executable, "-c", script.format(port=listener.getsockname()[1])]
        started_at = time.perf_counter()
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment()) as process:
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(WAIT_S)
                if not sock.recv(65536):
                    raise RuntimeError("the client sent nothing")
                elapsed_s = time.perf_counter() - started_at
                sock.sendall(_ANSWER)
                process.wait(WAIT_S)
    return elapsed_s
