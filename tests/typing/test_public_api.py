"""The types of the public API are what `public_api.py` says, for mypy and for pyright."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("public_api.py")
CHECKERS = {
    "mypy": ("mypy", "--strict", "--warn-unused-ignores", "--follow-imports=silent"),
    "pyright": ("pyright", "--pythonpath", sys.executable),
}
each_checker = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"no {name} here"))
        for name in CHECKERS
    ],
)


def checked(name: str, file: Path) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", *CHECKERS[name], str(file)]
    return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)


@each_checker
def test_the_types_are_as_they_are_written(name: str) -> None:
    done = checked(name, FILE)
    assert done.returncode == 0, done.stdout + done.stderr


@each_checker
def test_a_wrong_type_would_be_found(name: str, tmp_path: Path) -> None:
    """The other test can fail: with a type changed, and with an error that is none any more."""
    text = FILE.read_text(encoding="utf-8")
    wrong = text.replace("assert_type(completion.text, str)", "assert_type(completion.text, bytes)")
    wrong = wrong.replace("temperatur=1)  # type: ignore[call-arg]", "temperature=1)  # type: ignore[call-arg]")
    assert len(wrong) == len(text) + len("bytes") - len("str") + 1
    file = tmp_path / "wrong.py"
    file.write_text(wrong, encoding="utf-8")
    shown = checked(name, file).stdout
    first = 1 + wrong[: wrong.index("assert_type(completion.text")].count("\n")
    second = 1 + wrong[: wrong.index("temperature=1)")].count("\n")
    lines = {int(line.split(":")[1]) for line in shown.splitlines() if "wrong.py:" in line and "error" in line}
    assert {first, second} <= lines, shown
