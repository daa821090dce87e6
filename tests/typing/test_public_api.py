"""Both type checkers on what users read: the public API as `public_api.py` uses it, the examples, the code of the docs.

Each checker runs once, in its strict mode, over all of it and over a copy of `public_api.py` with two mistakes: that
they are found shows that others would be.
"""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("public_api.py")
EXAMPLES = sorted([*(ROOT / "examples").glob("*.py"), *(ROOT / "examples" / "web_chat").glob("*.py")])
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("[!_]*/*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MYPY = ("mypy", "--strict", "--allow-redefinition", "--follow-imports=silent", "--ignore-missing-imports")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A module for each: for a page all its blocks, one after the other."""
    for file in (FILE, *EXAMPLES):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    for page in PAGES:
        code = "\n".join(BLOCK.findall(page.read_text(encoding="utf-8")))
        (tmp_path / f"page_{page.stem.replace('-', '_')}.py").write_text(code, encoding="utf-8")
    configuration = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "reportMissingImports": False}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(configuration), encoding="utf-8")
    return tmp_path


def add_mistakes(folder: Path) -> set[int]:
    """Write `wrong.py`, with a type changed and an error that is none any more; give the lines of both."""
    text = FILE.read_text(encoding="utf-8")
    wrong = text.replace("assert_type(completion.text, str)", "assert_type(completion.text, bytes)")
    wrong = wrong.replace("temperatur=1)  # type: ignore[call-arg]", "temperature=1)  # type: ignore[call-arg]")
    assert len(wrong) == len(text) + len("bytes") - len("str") + 1
    (folder / "wrong.py").write_text(wrong, encoding="utf-8")
    return {1 + wrong[: wrong.index(part)].count("\n") for part in ("assert_type(completion.text", "temperature=1)")}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"no {name} here"))
        for name in ("mypy", "pyright")
    ],
)
def test_nothing_is_wrong_but_the_mistakes(folder: Path, name: str) -> None:
    mistakes = add_mistakes(folder)
    if name == "mypy":
        command = [*MYPY, *map(str, sorted(folder.glob("*.py")))]
    else:
        command = ["pyright", "-p", str(folder), "--pythonpath", sys.executable]
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    shown = done.stdout + done.stderr
    errors = [line for line in shown.splitlines() if re.search(r"\.py:\d+(:\d+)?( -|:) error", line)]
    assert [line for line in errors if "wrong.py:" not in line] == [], shown
    assert mistakes <= {int(line.partition("wrong.py:")[2].split(":")[0]) for line in errors}, shown
