"""The example's page with React and `useChat`, built by npm and vite, in a real browser."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firsttoken.testing import (
    Gate,
    ScriptedServer,
    close,
    done,
    finish,
    reasoning,
    refusal,
    role,
    stall,
    tool_call,
    usage,
)
from tests.support.browser import chromium
from tests.support.web_app import EXAMPLE, serving

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]
STOPPED_WITHIN_S = 0.5
BUILD_S = 300
ANSWER = ".assistant:last-of-type"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built page."""
    npm = shutil.which("npm") or pytest.skip("npm is missing (Debian: apt-get install nodejs npm)")
    folder = tmp_path_factory.mktemp("react")
    shutil.copytree(EXAMPLE, folder / "web_chat", ignore=shutil.ignore_patterns("node_modules", "dist"))
    react = folder / "web_chat" / "react"
    for command in ([npm, "install", "--no-audit", "--no-fund"], [npm, "run", "build"]):
        ran = subprocess.run(command, cwd=react, capture_output=True, text=True, timeout=BUILD_S, check=False)
        if ran.returncode and command[1] == "install":
            pytest.skip(f"npm can't install: {ran.stderr[-300:]}")
        assert ran.returncode == 0, ran.stderr
    return react / "dist"


@pytest.fixture(scope="module")
def origin(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving("uvicorn", tmp_path_factory.mktemp("web"), REACT_DIST=str(dist)) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page whose errors and complaints fail the test."""
    context = browser.new_context(viewport={"width": 390, "height": 780})
    opened = context.new_page()
    complaints: list[str] = []

    def note(complaint: Any) -> None:
        complaints.append(str(complaint))

    def note_message(message: Any) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    opened.on("pageerror", note)
    opened.on("console", note_message)
    yield opened
    context.close()
    assert complaints == []


def ask(page: Any, origin: str, server: ScriptedServer) -> None:
    page.goto(f"{origin}/react/?api=/api/async/{server.port}")
    page.fill("#question", "Why is the sky blue?")
    page.keyboard.press("Enter")


def test_a_complete_answer(page: Any, origin: str) -> None:
    gate = Gate()
    script = [reasoning("hm"), "Because of ", gate, "**Rayleigh**.", finish(), usage(), done()]
    with ScriptedServer(script) as server:
        ask(page, origin, server)
        page.wait_for_selector(f"{ANSWER}.writing >> text=Because of")
        gate.open()
        page.wait_for_selector(f"{ANSWER}:not(.writing) strong >> text=Rayleigh")
        assert page.locator(".note, .error").count() == 0


def test_a_tool_call(page: Any, origin: str) -> None:
    with ScriptedServer([tool_call("weather", {"city": "Paris"}), finish("tool_calls"), done()]) as server:
        ask(page, origin, server)
        page.wait_for_selector(f"{ANSWER}:not(.writing) .tool")
        assert page.inner_text(".tool summary") == "Tool: weatherrunning…"


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (["Because of ", close()], "The answer broke off before it was complete."),
        ([role(), refusal("I can't say."), finish(), done()], "The model refused to answer."),
        ([tool_call("weather", {"city": "Paris"}), close()], "The answer broke off before it was complete."),
    ],
    ids=["cut", "refusal", "cut call"],
)
def test_an_answer_that_is_not_complete(page: Any, origin: str, script: Any, text: str) -> None:
    with ScriptedServer(script, ["Because of Rayleigh.", finish(), done()]) as server:
        ask(page, origin, server)
        page.wait_for_selector(f"[role=alert] >> text={text}")
        page.get_by_role("button", name="Try again").click()
        page.wait_for_selector(f"{ANSWER} >> text=Because of Rayleigh.")
        assert page.locator("[role=alert]").count() == 0


LEAVING: dict[str, Callable[[Any], object]] = {
    "stop": lambda page: page.click("#stop"),
    "escape": lambda page: page.keyboard.press("Escape"),
    "close": lambda page: page.close(),
    "back": lambda page: page.go_back(wait_until="commit"),
}


@pytest.mark.parametrize("way", LEAVING)
def test_leaving_stops_the_model(page: Any, origin: str, way: str) -> None:
    with ScriptedServer(["Because of ", stall()]) as server:
        page.goto(f"{origin}/page/chat.css")
        ask(page, origin, server)
        page.wait_for_selector(f"{ANSWER}.writing >> text=Because of")
        LEAVING[way](page)
        assert server.journal.wait_for_disconnect(timeout_s=STOPPED_WITHIN_S)
        if way in ("stop", "escape"):
            page.wait_for_selector(".note >> text=This answer was not completed.")
