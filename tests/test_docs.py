"""What README and docs print is run: Python against the real model, shell commands where they can be."""

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from firsttoken.local import LocalServer
from tests.site import Site
from tests.support import command

ROOT = Path(__file__).parents[1]
_BUILT = ROOT / "docs" / "_build"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
    + [page for page in (ROOT / "docs").rglob("*.md") if _BUILT not in page.parents]
)
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def blocks(page: Path, language: str) -> list[str]:
    return [code for kind, code in _BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.model
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name)
def test_the_python_runs(
    page: Path,
    local_server: LocalServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """The blocks of a page run one after the other, as a reader would type them, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", local_server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-docs")
    monkeypatch.setenv("NO_PROXY", "*")
    namespace: dict[str, object] = {"__name__": "__main__"}
    for code in blocks(page, "python"):
        exec(compile(ast.parse(code, filename=name(page)), name(page), "exec"), namespace)
        if "print" in code:
            assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_tests_that_the_threat_model_names_exist() -> None:
    text = (ROOT / "docs" / "explanation" / "threat-model.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)`", text)
    assert len(named) > 20
    assert [test for test in named if not (ROOT / test).is_file()] == []


def shell_lines() -> list[tuple[str, str]]:
    return [
        (name(page), line.split("#")[0].strip())
        for page in PAGES
        for code in blocks(page, "sh")
        for line in code.splitlines()
        if line.split("#")[0].strip()
    ]


def test_ci_runs_the_readmes_own_command() -> None:
    commands = [line for _, line in shell_lines() if "just check" in line]
    assert commands == ["python3 -m venv .venv && .venv/bin/pip install -q uv && .venv/bin/uv run just check"]
    assert commands[0] in (ROOT / ".ci" / "run").read_text().splitlines()


@pytest.mark.model
def test_the_readmes_question_is_answered() -> None:
    """The part of the first command behind `uv run`; what is before it is the same as in the second, which CI runs."""
    (line,) = [line for _, line in shell_lines() if line.startswith("python3 -m venv") and "firsttoken ask" in line]
    before, _, words = line.partition(".venv/bin/uv run ")
    assert before == "python3 -m venv .venv && .venv/bin/pip install -q uv && "
    assert line in (ROOT / "docs" / "index.md").read_text(encoding="utf-8").splitlines()
    program, *arguments = shlex.split(words)
    assert program == "firsttoken"
    done = command.run(*arguments)
    assert (done.returncode, bool(done.stdout.strip())) == (0, True), done.stderr


def test_the_extras_that_are_installed_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {
        extra for _, line in shell_lines() for part in re.findall(r"\.\[([\w,]+)\]", line) for extra in part.split(",")
    }
    assert named
    assert named <= extras.keys()


def test_the_recipes_that_are_named_exist() -> None:
    recipes = set(re.findall(r"^(\w+)[^\n:]*:(?!=)", (ROOT / "justfile").read_text(), re.MULTILINE))
    named = {word for page in PAGES for word in re.findall(r"uv run just (\w+)", page.read_text(encoding="utf-8"))}
    assert named
    assert named <= recipes


def test_the_page_of_the_command_has_its_options_and_statuses() -> None:
    page = (ROOT / "docs" / "reference" / "command.md").read_text(encoding="utf-8")
    helps = "".join(command.run(name, "--help").stdout for name in ("ask", "chat", "batch", "replay", "serve"))
    options = set(re.findall(r"--[a-z-]+", helps)) - {"--help"}
    assert options == set(re.findall(r"`(?:-\w`, `)?(--[a-z-]+)", page))
    statuses = re.findall(r"^    (\d+)  +(.+)$", helps, re.MULTILINE)
    assert dict(statuses) == {
        status: meaning.replace("…", "...")
        for status, meaning in re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE)
    }


@pytest.fixture
def site(tmp_path: Path) -> Site:
    pages = {
        "index.html": '<link rel="stylesheet" href="https://fonts.example/f.css"><div class="sidebar-tree"><ul>'
        '<li class="toctree-l1"><a href="a.html#top">a</a><ul><li class="toctree-l2"><a href="b.html">b</a></li></ul>'
        '</li></ul></div><a href="#none">x</a><a href="https://example.org/gone">y</a>',
        "a.html": '<h1 id="top">a</h1><a href="b.html#nowhere">b</a><a href="../out.html">o</a><img src="missing.png">',
        "b.html": '<p id="firsttoken.Client">b</p><a href="c.html">c</a>',
        "c.html": '<p id="firsttoken.AsyncClient">c</p><a href="index.html">i</a>',
    }
    for name, text in pages.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return Site(tmp_path)


def test_the_check_of_the_site_finds_dead_links_and_what_is_loaded_from_elsewhere(site: Site) -> None:
    """`just docs` runs it on the real one."""
    assert site.dead_links() == [
        "a.html: dead link b.html#nowhere",
        "a.html: dead link ../out.html",
        "a.html: dead link missing.png",
        "index.html: dead link #none",
    ]
    assert site.loaded_from_elsewhere() == ["index.html: loads https://fonts.example/f.css"]


def test_the_check_of_the_site_counts_clicks_and_misses_names(site: Site) -> None:
    assert site.clicks() == {"index.html": 0, "a.html": 1, "b.html": 2, "c.html": 3}
    far = site.far_names()
    assert not any(line.startswith("firsttoken.Client:") for line in far)
    assert "firsttoken.AsyncClient: c.html is more than 2 clicks away" in far
    assert "firsttoken.errors.ChatCompletionError: is on no page, must be on one" in far
