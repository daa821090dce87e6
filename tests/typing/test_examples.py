"""The examples, and every Python block of README and docs, pass mypy and pyright in their strict modes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.typing.test_public_api import ROOT, each_checker

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("[!_]*/*.md")])
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MYPY = ("mypy", "--strict", "--allow-redefinition", "--follow-imports=silent", "--ignore-missing-imports")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module for each page: its blocks, one after the other."""
    folder = tmp_path_factory.mktemp("pages")
    for page in PAGES:
        code = "\n".join(_BLOCK.findall(page.read_text(encoding="utf-8")))
        if code:
            (folder / f"page_{page.stem.replace('-', '_')}.py").write_text(code, encoding="utf-8")
    configuration = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "reportMissingImports": False}
    (folder / "pyrightconfig.json").write_text(json.dumps(configuration), encoding="utf-8")
    return folder


def check(checker: str, folder: Path) -> str:
    """What a checker finds in a folder; "" where that is nothing."""
    if checker == "mypy":
        command = [*_MYPY, *map(str, sorted(folder.glob("*.py")))]
    else:
        command = ["pyright", "-p", str(folder), "--pythonpath", sys.executable]
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


@each_checker
def test_every_block_of_the_docs(name: str, pages: Path) -> None:
    assert check(name, pages) == ""


@each_checker
def test_every_example(name: str, tmp_path: Path) -> None:
    files = sorted([*(ROOT / "examples").glob("*.py"), *(ROOT / "examples" / "web_chat").glob("*.py")])
    for file in files:
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict", "pythonVersion": "3.11"}))
    assert check(name, tmp_path) == ""
