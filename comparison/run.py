"""Measures what each client makes of each fault: `python -m comparison.run [name of a client…]`.

Each client gets an environment of its own in a cache folder; the first run installs them (minutes). Its worker is asked
once for each fault, against a server of its own. One that does not answer within the limit hangs, and is killed.
"""

import argparse
import json
import os
import platform
import queue
import select
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from comparison import page
from comparison.catalogue import CLIENTS, DRIVERS, Client
from firsttoken.testing import FAULTS, Fault, ScriptedServer

ROOT = Path(__file__).parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "firsttoken" / "frameworks"
TIMEOUT_S = 1.0
"""What each client is told to wait for at most, where it can be told."""

LIMIT_S = 5.0
"""A client that has not ended after this hangs: what a server does takes no fault but a second."""

QUIET = {
    "AGNO_TELEMETRY": "false",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "NO_PROXY": "*",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
}
"""So that no client asks anybody but the server."""

FROM_HERE = {"PYTHONPATH": str(ROOT / "src")}
"""The environments are shared by all clones, and one of them is installed there."""

START_S = 300.0
WORKERS = 4
"""How many faults of a client are tried at once: most of the time is waiting."""


@dataclass
class Result:
    """What came of one fault.

    Attributes:
        verdict: as in `page.VERDICTS`.
        requests: how many the server saw.
        error: what was raised, in short.
    """

    verdict: str
    requests: int
    error: str | None


def environment(client: Client) -> Path:
    """The folder of a client's environment, made and filled where it is not there yet.

    Raises:
        subprocess.CalledProcessError: something can't be installed.
    """
    folder = CACHE / client.environment
    if client.is_node:
        folder.mkdir(parents=True, exist_ok=True)
        if not all((folder / "node_modules" / name).exists() for name in client.packages):
            (folder / "package.json").write_text('{"private": true}', encoding="utf-8")
            packages = {name for other in CLIENTS if other.environment == client.environment for name in other.packages}
            subprocess.run(["npm", "install", "--silent", *sorted(packages)], cwd=folder, check=True)
        return folder
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    stamp = folder / "installed.txt"
    wanted = " ".join(client.packages)
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
        python = str(folder / "bin" / "python")
        install = [uv, "pip", "install", "--quiet", "--python", python, "--editable", str(ROOT), *client.packages]
        subprocess.run(install, check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return folder


class Worker:
    """A process that asks with one client; started anew where it hangs."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.versions: dict[str, str] = {}

    def _start(self) -> "subprocess.Popen[bytes]":
        names = " ".join(name.partition("[")[0].partition("<")[0] for name in self._client.packages)
        source = DRIVERS / self._client.driver
        if self._client.is_node:
            driver = self._folder / self._client.driver  # Node looks for packages beside the file
            shutil.copy(source, driver)
            command = ["node", str(Path(__file__).with_name("worker.mjs")), str(driver), names]
        else:
            python = str(self._folder / "bin" / "python")
            command = [python, str(Path(__file__).with_name("worker.py")), str(source), f"firsttoken {names}"]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            env=environ | QUIET | FROM_HERE,
        )
        started = _reply(process, START_S)
        if started is None:
            process.kill()
            process.communicate()
            raise RuntimeError(f"{self._client.name} does not start: {' '.join(command)}")
        self.versions = started["versions"]
        return process

    def ask(self, question: dict[str, Any]) -> dict[str, Any] | None:
        """The reply; None where there is none within the limit."""
        if self._process is None or self._process.poll() is not None:
            self._process = self._start()
            with ScriptedServer("Hello") as server:  # many clients import the half of themselves when they are used
                self._exchange(question | {"base_url": server.base_url}, START_S)
        return self._exchange(question, LIMIT_S)

    def settle(self) -> None:
        """Wait for the reply that did not come in time, now that the server is gone; without one, end the process."""
        if self._process is not None and _reply(self._process, LIMIT_S) is None:
            self.close()

    def _exchange(self, question: dict[str, Any], limit_s: float) -> dict[str, Any] | None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.write(json.dumps(question).encode() + b"\n")
        process.stdin.flush()
        return _reply(process, limit_s)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _reply(process: "subprocess.Popen[bytes]", limit_s: float) -> dict[str, Any] | None:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], limit_s)
    line = process.stdout.readline() if readable else b""
    return json.loads(line) if line else None


def observe(worker: Worker, client: Client, fault: Fault) -> Result:
    """What a client makes of a fault."""
    options = {"n": 2} if fault.name == "one-choice-cut" and client.takes_n else {}
    with ScriptedServer(fault) as server:
        question = {"base_url": server.base_url, "timeout_s": TIMEOUT_S, "options": options}
        if not client.is_node:
            question["is_guarded"] = client.is_guarded
        reply = worker.ask(question)
        requests = len(server.journal.entries)
    if reply is None:
        worker.settle()
    return Result(_verdict(fault, reply), requests, None if reply is None else reply["error"])


def _verdict(fault: Fault, reply: dict[str, Any] | None) -> str:
    if reply is None:
        return "hang"
    has_all = reply["text"] == fault.text
    if reply["error"] is None:
        return "silent" if not fault.is_complete else "complete" if has_all else "other text"
    if fault.is_complete:
        return "refused"
    return "error" if has_all else "lost"


def measure(client: Client) -> dict[str, Any]:
    """All faults through one client; what a busy machine may have spoiled is asked once more."""
    folder = environment(client)
    results, versions = _ask(client, folder, list(FAULTS))
    doubtful = {"refused"} | ({"hang", "silent", "lost", "other text"} if client.is_ours else set[str]())
    again = [fault for fault in FAULTS if results[fault.name].verdict in doubtful]
    results |= _ask(client, folder, again)[0]
    if client.environment != "firsttoken":
        versions.pop("firsttoken", None)
    ordered = {fault.name: asdict(results[fault.name]) for fault in FAULTS}
    return {"name": client.name, "versions": versions, "is_ours": client.is_ours, "results": ordered}


def _ask(client: Client, folder: Path, faults: list[Fault]) -> tuple[dict[str, Result], dict[str, str]]:
    """Several faults at a time, and the versions of what was asked with."""
    waiting: queue.SimpleQueue[Fault] = queue.SimpleQueue()
    for fault in faults:
        waiting.put(fault)
    results: dict[str, Result] = {}
    versions: dict[str, str] = {}

    def work() -> None:
        worker = Worker(client, folder)
        try:
            while True:
                fault = waiting.get_nowait()
                results[fault.name] = observe(worker, client, fault)
                versions.update(worker.versions)
        except queue.Empty:
            worker.close()

    threads = [threading.Thread(target=work) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(results) < len(faults):
        raise RuntimeError(f"{len(faults) - len(results)} faults came to nothing")
    return results, versions


def main() -> None:
    """Measure the clients that are named, or all, and write the JSON and the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only clients whose name holds one of these; the others stay")
    names = parser.parse_args().names
    known: list[Any] = json.loads(page.DATA.read_text(encoding="utf-8"))["clients"] if page.DATA.exists() else []
    measured: dict[str, Any] = {entry["name"]: entry for entry in known}
    for client in CLIENTS:
        if names and not any(name in client.name for name in names):
            continue
        began_at = time.monotonic()
        try:
            measured[client.name] = measure(client)
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            sys.stderr.write(f"{client.name}: left out, {error}\n")
            continue
        counts = page.counted(measured[client.name], broken())
        sys.stderr.write(f"{client.name}: {counts}, {time.monotonic() - began_at:.0f} s\n")
        _write(measured)


def broken() -> dict[str, bool]:
    """Whether each fault breaks the answer."""
    return {fault.name: not fault.is_complete for fault in FAULTS}


def _write(measured: dict[str, Any]) -> None:
    data = {
        "version": 1,
        "python": platform.python_version(),
        "timeout_s": TIMEOUT_S,
        "limit_s": LIMIT_S,
        "faults": {fault.name: {"is_broken": not fault.is_complete, "what": fault.what} for fault in FAULTS},
        "clients": [measured[client.name] for client in CLIENTS if client.name in measured],
    }
    page.DATA.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page.write(data)


if __name__ == "__main__":
    main()
