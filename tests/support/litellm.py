"""The LiteLLM proxy, in a virtual environment of its own: what it depends on must not meet what we depend on.

The environment is made by the first run that needs it (about 120 packages, 600 MB) and kept beside `.venv`.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.services import Service

# This package has been published with malware in it (1.82.7 and 1.82.8). So the version is one that was looked at,
# nothing younger than it is taken of what it depends on, and nothing is built, which would run code.
VERSION = "1.106.2"
_NOT_AFTER = "2026-10-22"
_HOME = Path(__file__).parents[2] / ".venv-litellm"
_INSTALL_S = 900.0
_START_S = 120.0

# Its standard input ends with the process of the tests, and it does with its standard input.
_RUN = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
from litellm import run_server
run_server()
"""


@dataclass(frozen=True)
class LiteLLM:
    """A running proxy: the models that were given by name, and "scripted", whose server each request names itself."""

    base_url: str
    key: str


def environment(tell: Callable[[str], None]) -> Path:
    """The Python of LiteLLM's environment, which is made if need be.

    Where that can't be done the test is skipped; in continuous integration (`CI` is set) it fails.
    """
    python = _HOME / "bin" / "python"
    stamp = _HOME / "is-complete"
    state = f"litellm {VERSION}, packages of {_NOT_AFTER}, Python {sys.version_info.major}.{sys.version_info.minor}\n"
    if stamp.exists() and stamp.read_text() == state:
        return python
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        return _give_up("uv is missing, which installs LiteLLM")
    tell(f"installing LiteLLM {VERSION} into {_HOME.name}, once (some minutes where the network is slow)")
    install = ["pip", "install", "--quiet", "--only-binary", ":all:", "--exclude-newer", _NOT_AFTER]
    commands = [
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(_HOME)],
        [uv, *install, "--python", str(python), f"litellm[proxy]=={VERSION}"],
    ]
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_S)
        except subprocess.TimeoutExpired:
            return _give_up(f"LiteLLM was not installed within {_INSTALL_S:.0f} s")
        if done.returncode:
            return _give_up(f"LiteLLM can't be installed: {done.stderr[-2000:]}")
    stamp.write_text(state)
    return python


def _give_up(reason: str) -> Path:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def running(python: Path, folder: Path, **base_urls: str) -> Generator[LiteLLM]:
    """LiteLLM in front of these servers, each under its name as a model; it asks nobody else for anything."""
    key = f"sk-{secrets.token_hex(32)}"
    models = [_model(name, base_url) for name, base_url in base_urls.items()]
    nobody = _model("scripted", "http://127.0.0.1:9/v1")
    nobody["litellm_params"]["configurable_clientside_auth_params"] = ["api_base"]
    configuration = {
        "model_list": [*models, nobody],
        "litellm_settings": {"telemetry": False},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    }
    (folder / "config.json").write_text(json.dumps(configuration))
    # What it is not given it can't pass on: none of the developer's keys is in here.
    variables = {
        "HOME": str(folder),
        "PATH": os.defpath,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MASTER_KEY": key,
    }
    options = ["--config", folder / "config.json", "--host", "127.0.0.1", "--port", "0", "--telemetry", "False"]
    with Service([python, "-c", _RUN, *options], env=variables, folder=folder) as service:
        address = service.wait_for(r"running on (http://127\.0\.0\.1:\d+)", _START_S)[1]
        yield LiteLLM(f"{address}/v1", key)


def _model(name: str, base_url: str) -> dict[str, Any]:
    parameters = {"model": f"openai/{name}", "api_base": base_url, "api_key": "none"}
    return {"model_name": name, "litellm_params": parameters}
