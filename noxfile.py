"""The tests on each Python of this machine, and with the oldest dependencies that pyproject.toml allows.

just nox                                    all sessions; a Python that is missing is skipped, and named
just nox -s "tests-3.13" -- tests/behaviour
"""

import os
import re
from pathlib import Path

import nox

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]

nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests", "lowest"]


def _find_pyenv() -> list[str]:
    """The folders of pyenv's releases, the newest first; its shims know only the releases that are switched on."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    releases = [folder for folder in versions.glob("3.*") if re.fullmatch(r"3\.\d+\.\d+", folder.name)]
    releases.sort(key=lambda folder: [int(number) for number in folder.name.split(".")], reverse=True)
    return [str(folder / "bin") for folder in releases]


os.environ["PATH"] = os.pathsep.join([*_find_pyenv(), os.environ["PATH"]])
os.environ["UV_PYTHON_DOWNLOADS"] = "never"


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests with the newest dependencies."""
    _run_tests(session, "highest")


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the tests with the oldest dependencies that are allowed, on the oldest Python."""
    _run_tests(session, "lowest-direct")


def _run_tests(session: nox.Session, resolution: str) -> None:
    session.install("--resolution", resolution, "--editable", ".", "--group", "test")
    session.run("pytest", "-n", "auto", "--maxprocesses", "8", "--dist", "loadgroup", *session.posargs)
