"""Starting: how long an import takes, and how long a new process takes to get its request onto the wire."""

import os
import socket
import ssl
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

_ARGUMENTS = "base_url='http://127.0.0.1:1/v1', api_key='none'"
_IMPORT = "import time; started_at = time.perf_counter(); {statement}; print(time.perf_counter() - started_at)"
_LOADED = f"import sys; from firsttoken import Client; print(*(name for name in {NOT_LOADED} if name in sys.modules))"

_FIRSTTOKEN = """
from firsttoken import Client, chat_completion_request
for chunk in Client(base_url="{url}/v1").chat_completion_stream(chat_completion_request("m", "Hi")):
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
client = OpenAI(base_url="{url}/v1", api_key="none")
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
_BARE_TLS = """
import os, socket, ssl
context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
with context.wrap_socket(socket.create_connection(("127.0.0.1", {port})), server_hostname="127.0.0.1") as sock:
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
            "openai made": lambda: _import_s(f"from openai import OpenAI; OpenAI({_ARGUMENTS})", _WITHOUT_AIOHTTP),
            "made": lambda: _import_s(f"from firsttoken import Client; Client({_ARGUMENTS})"),
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
        Row("importing and making an OpenAI", milliseconds(figures["openai made"]), 1.0),
        Row("importing and making a Client", milliseconds(figures["made"]), figures["openai made"] / figures["made"]),
        Row(f"loaded of {', '.join(NOT_LOADED)}", ", ".join(loaded) or "none", None, "none", inf if loaded else 0.0),
    ]


def wire(scale: Scale) -> list[Row]:
    return _wire(scale, _BARE, None)


def wire_https(scale: Scale) -> list[Row]:
    """The same by https, handshake included; the authority is that of `SSL_CERT_FILE`."""
    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    with authority.cert_pem.tempfile() as path:
        os.environ["SSL_CERT_FILE"] = path
        try:
            return _wire(scale, _BARE_TLS, context)
        finally:
            del os.environ["SSL_CERT_FILE"]


def _wire(scale: Scale, bare: str, context: ssl.SSLContext | None) -> list[Row]:
    scripts = {"bare": bare, "firsttoken": _FIRSTTOKEN, "openai": _OPENAI}
    figures = best(
        scale.pick(15, 3),
        {kind: lambda script=script: _to_wire_s(script, context) for kind, script in scripts.items()},
    )
    bare_s, ours_s, openai_s = figures["bare"], figures["firsttoken"], figures["openai"]
    return [
        Row("baseline: interpreter and a bare socket", milliseconds(bare_s), openai_s / bare_s),
        Row("openai", milliseconds(openai_s), 1.0),
        at_least("firsttoken", milliseconds(ours_s), openai_s / ours_s, WIRE_LIMIT),
        Row("firsttoken, beside the baseline", milliseconds(ours_s), ours_s / bare_s),
        Row("openai, less the baseline", milliseconds(openai_s - bare_s), 1.0),
        Row("firsttoken, less the baseline", milliseconds(ours_s - bare_s), (openai_s - bare_s) / (ours_s - bare_s)),
    ]


def _import_s(statement: str, before: str = "") -> float:
    """How long an import takes in a fresh process, whose own start is not counted."""
    return float(run_python("-c", before + _IMPORT.format(statement=statement)))


def _to_wire_s(script: str, context: ssl.SSLContext | None) -> float:
    """From the start of a process until the first byte of its request is here."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT_S)
        port = listener.getsockname()[1]
        url = f"{'http' if context is None else 'https'}://127.0.0.1:{port}"
        command = [sys.executable, "-c", script.format(port=port, url=url)]
        started_at = time.perf_counter()
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment()) as process:
            sock, _ = listener.accept()
            if context is not None:
                sock = context.wrap_socket(sock, server_side=True)
            with sock:
                sock.settimeout(WAIT_S)
                if not sock.recv(65536):
                    raise RuntimeError("the client sent nothing")
                elapsed_s = time.perf_counter() - started_at
                sock.sendall(_ANSWER)
                process.wait(WAIT_S)
    return elapsed_s
