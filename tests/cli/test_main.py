"""The command as one: its names, its help, and its first instructions."""

import subprocess
import sys
from pathlib import Path

import pytest

import firsttoken
from firsttoken._cli import main
from firsttoken._cli.status import HELP, Status
from tests.support.command import run
from tests.support.processes import run_python


def test_its_version() -> None:
    done = run("--version")
    assert (done.stdout, done.stderr, done.returncode) == (f"firsttoken {firsttoken.__version__}\n", "", 0)


def test_it_is_installed_by_its_name() -> None:
    script = Path(sys.executable).parent / "firsttoken"
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=False)
    assert done.stdout == f"firsttoken {firsttoken.__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["ask", "-h"]])
def test_its_help_lists_every_exit_status(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.stderr, done.returncode) == ("", 0)
    listed = [line.split()[0] for line in done.stdout.partition("Exit status:\n")[2].splitlines()]
    assert listed == [str(status.value) for status in Status]
    assert "\b" not in done.stdout
    assert HELP


@pytest.mark.parametrize("arguments", [[], ["answer"], ["serve", "--port", "65536"]])
def test_a_wrong_command_line_is_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.stdout, done.returncode) == ("", 2)
    assert "Usage: firsttoken" in done.stderr


def test_without_click_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "click", None)
    assert main(["ask", "Why?"]) == 3
    assert capsys.readouterr() == (
        "",
        "firsttoken: the command needs the package click\nhint: in a clone of firsttoken: pip install '.[cli]'\n",
    )


INTERRUPT_AT_IMPORT = """
import signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == {name!r}:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder())
from firsttoken._cli import main
sys.exit(main(["ask", "Why?"]))
"""


@pytest.mark.parametrize("name", ["click", "firsttoken._cli.commands", "firsttoken._cli.ask", "firsttoken._cli.target"])
def test_ctrl_c_while_it_imports_is_130(name: str) -> None:
    done = run_python(INTERRUPT_AT_IMPORT.format(name=name))
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


def test_it_imports_only_what_it_needs() -> None:
    heavy = "{'asyncio', 'ssl', 'xllamacpp', 'rich', 'subprocess'}"
    script = f"import sys; from firsttoken._cli import main; main(['--version']); print({heavy} & {{*sys.modules}})"
    assert run_python(script).stdout.endswith("\nset()\n")
