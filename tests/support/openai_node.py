"""openai-node, OpenAI's own client for Node: installed once into a cache folder, and skipped where that can't be."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import cast

import pytest

_VERSION = "7.57.0"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "firsttoken-tests"
_WAIT_S = 120

_READ = """
const { OpenAI } = require("openai");
const read = async ([name, baseURL]) => {
  const client = new OpenAI({ apiKey: "sk-any", baseURL, maxRetries: 0 });
  const stream = client.chat.completions.stream({ model: "m", messages: [{ role: "user", content: "hi" }] });
  try {
    return [name, (await stream.finalChatCompletion()).choices[0].message.content];
  } catch (error) {
    return [name, null];
  }
};
Promise.all(Object.entries(JSON.parse(process.argv[1])).map(read)).then((read) => {
  console.log(JSON.stringify(Object.fromEntries(read)));
  process.exit(0);
});
"""


def read_all(base_urls: Mapping[str, str]) -> dict[str, str | None]:
    """What `chat.completions.stream()` makes of each server's answer: its text, None where it refuses it."""
    ended = subprocess.run(
        ["node", "--eval", _READ, json.dumps(base_urls)],
        cwd=_folder(),
        capture_output=True,
        text=True,
        check=True,
        timeout=_WAIT_S,
    )
    return cast("dict[str, str | None]", json.loads(ended.stdout))


@cache
def _folder() -> Path:
    """A folder that has the client among its modules."""
    folder = _CACHE / f"openai-node-{_VERSION}"
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    if not folder.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE, ignore_cleanup_errors=True) as new:
            Path(new, "package.json").write_text("{}")
            install = ["npm", "install", "--no-audit", "--no-fund", f"openai@{_VERSION}"]
            if subprocess.run(install, cwd=new, capture_output=True, timeout=_WAIT_S, check=False).returncode:
                pytest.skip("openai-node can't be installed: npm has no registry to get it from")
            try:
                Path(new).rename(folder)
            except OSError:  # another process was quicker
                assert folder.exists()
    return folder
