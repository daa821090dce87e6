"""The tests on each Python of this machine, and with the oldest dependencies that pyproject.toml allows.

just nox                                    all sessions; a Python that is missing is skipped, and named
just nox -s "tests-3.13" -- tests/behaviour
"""

import filecmp
import json
import os
import re
import shutil
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


@nox.session
def package(session: nox.Session) -> None:
    """Build wheel and sdist into dist/, compare them with those of a fresh clone, check them, and write the SBOM."""
    session.install("check-wheel-contents", "cyclonedx-bom", "pip-licenses", "twine")
    dist = Path("dist").absolute()
    shutil.rmtree(dist, ignore_errors=True)
    clone = Path(session.create_tmp()) / "clone"
    shutil.rmtree(clone, ignore_errors=True)
    session.run("git", "clone", "--quiet", ".", str(clone), external=True)
    time = str(session.run("git", "log", "-1", "--format=%ct", external=True, silent=True)).strip()
    for source in (Path(), clone):
        session.run(
            *("uv", "build", "--quiet", "--out-dir", str(source / "dist"), str(source)),
            env={"SOURCE_DATE_EPOCH": time},
            external=True,
        )
    files = sorted(str(path) for path in dist.iterdir() if path.suffix in {".whl", ".gz"})
    different = [file for file in files if not filecmp.cmp(file, clone / "dist" / Path(file).name, shallow=False)]
    if different:
        session.error(f"a fresh clone gives other bytes (is everything committed?): {', '.join(different)}")
    wheel, sdist = sorted(files, key=lambda file: not file.endswith(".whl"))
    session.run("check-wheel-contents", wheel)
    session.run("twine", "check", "--strict", wheel, sdist)
    python = _install_alone(session, wheel)
    session.run(
        "cyclonedx-py",
        "environment",
        python,
        "--pyproject",
        "pyproject.toml",
        "--output-reproducible",
        "-o",
        f"{sdist.removesuffix('.tar.gz')}.cdx.json",
        env={"SOURCE_DATE_EPOCH": time},
    )
    session.run("pip-licenses", "--python", python, "--from=mixed", "--with-urls")


@nox.session(python=PYTHONS)
def wheel(session: nox.Session) -> None:
    """Use the wheel that `package` built, without extras and with each warning an error."""
    session.install(*map(str, Path("dist").glob("*.whl")))
    session.run("python", "-I", "-W", "error", "tests/installed_wheel.py")


@nox.session
def sizes(session: nox.Session) -> None:
    """Print how many packages, and how much, an installation of each client brings into an empty environment."""
    for name in session.posargs or [".", "openai", "lm15", "any-llm-sdk[openai]", "litellm==1.106.2"]:
        python = _install_alone(session, name)
        code = "import json, sysconfig; print(json.dumps(sysconfig.get_path('purelib')))"
        folder = Path(json.loads(str(session.run(python, "-c", code, external=True, silent=True))))
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        packages = len(list(folder.glob("*.dist-info")))
        session.log(f"{name}: {packages} packages, {size / 1e6:.1f} MB")


def _install_alone(session: nox.Session, requirement: str) -> str:
    """Make an empty environment with this in it; nothing is built, which would run code."""
    folder = Path(session.create_tmp()) / "alone"
    python = str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    session.run(
        "uv", "venv", "--quiet", "--clear", "--python", str(session.virtualenv.location), str(folder), external=True
    )
    session.run("uv", "pip", "install", "--quiet", "--python", python, requirement, external=True)
    return python
