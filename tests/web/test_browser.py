"""The example's page in a real browser: text while it is written, and the model stops when the page is left."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firsttoken.testing import (
    Gate,
    ScriptedServer,
    close,
    delta,
    done,
    error,
    finish,
    reasoning,
    refusal,
    role,
    stall,
    tool_call,
)
from tests.support.browser import chromium
from tests.support.web import Kind
from tests.support.web_app import serving

pytestmark = pytest.mark.xdist_group("browser")  # one browser for all
STOPPED_WITHIN_S = 0.5
ANSWER = ".assistant:last-child"
ENDED = f"{ANSWER}:not(.writing)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def origins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The back end behind each server."""
    folder = tmp_path_factory.mktemp("web")
    with serving("uvicorn", folder) as uvicorn, serving("hypercorn", folder) as hypercorn:
        yield {"uvicorn": uvicorn, "hypercorn": hypercorn}


@pytest.fixture
def origin(origins: dict[str, str]) -> str:
    return origins["uvicorn"]


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page whose errors fail the test."""
    context = browser.new_context(viewport={"width": 390, "height": 780})
    opened = context.new_page()
    errors: list[object] = []

    def note(failure: object) -> None:
        errors.append(failure)

    opened.on("pageerror", note)
    yield opened
    context.close()
    assert errors == []


def ask(page: Any, address: str) -> None:
    page.goto(address)
    page.fill("#question", "Why is the sky blue?")
    page.keyboard.press("Enter")


def chat(origin: str, kind: Kind, server: ScriptedServer) -> str:
    return f"{origin}/?api=/api/{kind}/{server.port}"


@pytest.mark.parametrize("behind", ["uvicorn", "hypercorn"])
def test_text_appears_while_it_is_written(page: Any, origins: dict[str, str], behind: str, kind: Kind) -> None:
    origin, gate = origins[behind], Gate()
    with ScriptedServer([role(), "Because of ", gate, "**Rayleigh**.", finish(), done()]) as server:
        ask(page, chat(origin, kind, server))
        page.wait_for_selector(f"{ANSWER}.writing >> text=Because of")
        assert "Rayleigh" not in page.inner_text(ANSWER)
        assert page.get_attribute(ANSWER, "aria-busy") == "true"
        gate.open()
        page.wait_for_selector(f"{ENDED} strong >> text=Rayleigh")
        assert page.inner_text(ANSWER) == "Because of Rayleigh."
        assert page.text_content("#status") == "The answer is complete. Because of **Rayleigh**."


def click_stop(page: Any) -> None:
    page.click("#stop")
    page.wait_for_selector(f"{ENDED} >> text=You stopped this answer.")


def press_escape(page: Any) -> None:
    page.keyboard.press("Escape")
    page.wait_for_selector(f"{ENDED} >> text=You stopped this answer.")


LEAVING: dict[str, Callable[[Any], object]] = {
    "stop": click_stop,
    "close": lambda page: page.close(),
    "back": lambda page: page.go_back(wait_until="commit"),
    "escape": press_escape,
    "reload": lambda page: page.reload(),
}


@pytest.mark.parametrize(
    ("behind", "way"),
    [(behind, way) for behind in ("uvicorn", "hypercorn") for way in ("stop", "close", "back")]
    + [("uvicorn", "escape"), ("uvicorn", "reload")],
)
def test_leaving_stops_the_model(page: Any, origins: dict[str, str], behind: str, kind: Kind, way: str) -> None:
    origin = origins[behind]
    with ScriptedServer(["Because of ", stall()]) as server:
        page.goto(f"{origin}/page/chat.css")
        ask(page, chat(origin, kind, server))
        page.wait_for_selector(f"{ANSWER}.writing >> text=Because of")
        LEAVING[way](page)
        assert server.journal.wait_for_disconnect(timeout_s=STOPPED_WITHIN_S)


def test_a_page_that_comes_back_says_that_it_stopped(page: Any, origin: str) -> None:
    with ScriptedServer(["Because of ", stall()]) as server:
        page.goto(f"{origin}/page/chat.css")
        ask(page, chat(origin, "async", server))
        page.wait_for_selector(f"{ANSWER}.writing >> text=Because of")
        page.go_back(wait_until="commit")
        assert server.journal.wait_for_disconnect()
        page.go_forward(wait_until="commit")
        messages = page.locator(ANSWER)  # none, where the browser has not kept the page
        assert messages.count() == 0 or "You stopped this answer." in messages.inner_text()


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (["Because of ", close()], "The answer broke off before it was complete."),
        (error(429), "The model is busy. Try again later."),
        ([role(), refusal("I can't say."), finish(), done()], "The model refused to answer."),
    ],
    ids=["cut", "429", "refusal"],
)
def test_what_goes_wrong_is_shown_as_an_error(page: Any, origin: str, script: Any, text: str) -> None:
    with ScriptedServer(script, ["Because of Rayleigh.", finish(), done()]) as server:
        ask(page, chat(origin, "sync", server))
        page.wait_for_selector(f"{ENDED} [role=alert] >> text={text}")
        assert page.text_content("#status") == ""
        page.get_by_role("button", name="Try again").click()
        page.wait_for_selector(f"{ENDED} >> text=Because of Rayleigh.")
        assert page.locator("[role=alert]").count() == 0


def test_a_back_end_that_breaks_is_an_error_too(page: Any, tmp_path: Path) -> None:
    with ScriptedServer(["Because of ", stall()]) as server:
        with serving("uvicorn", tmp_path) as origin:
            ask(page, chat(origin, "async", server))
            page.wait_for_selector(f"{ANSWER}.writing >> text=Because of")
        page.wait_for_selector(f"{ENDED} [role=alert]")
        assert "Because of" in page.inner_text(ANSWER)


def test_parts_of_an_answer(page: Any, origin: str) -> None:
    cited = {"type": "url_citation", "url_citation": {"url": "https://a.example/", "title": "A page"}}
    script = [
        *(reasoning("Let me think."), "Looking it up."),
        *(tool_call("weather", {"city": "Paris"}), delta({"annotations": [cited]}), finish("tool_calls"), done()),
    ]
    with ScriptedServer(script) as server:
        ask(page, chat(origin, "async", server))
        page.wait_for_selector(f"{ENDED} .tool")
        page.click("text=Reasoning")
        assert page.locator("details[open] div").inner_text() == "Let me think."
        assert page.inner_text(".tool summary") == "Tool: weatherrunning…"
        assert page.get_attribute(".sources a", "href") == "https://a.example/"


def test_a_token_limit_is_not_shown_as_an_end(page: Any, origin: str) -> None:
    with ScriptedServer(["Because of", finish("length"), done()]) as server:
        ask(page, chat(origin, "async", server))
        page.wait_for_selector(f"{ENDED} .note >> text=The answer was cut off: it reached the token limit.")


MARKDOWN = {
    "**a** and *b*": "<p><strong>a</strong> and <em>b</em></p>",
    "# T\n\n- x\n  - y\n- `z`": "<h2>T</h2><ul><li>x<ul><li>y</li></ul></li><li><code>z</code></li></ul>",
    "```js\n<b>1</b>\n": '<pre tabindex="0" aria-label="Code, js"><code>&lt;b&gt;1&lt;/b&gt;</code></pre>',
    "| a | b |\n|--|--|\n| 1 | 2 |": '<div class="table" tabindex="0"><table>'
    "<thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table></div>",
    "<img src=x onerror=alert(1)> [x](javascript:alert(1))": "<p>&lt;img src=x onerror=alert(1)&gt; "
    "[x](javascript:alert(1))</p>",
    "see https://a.example/b.": '<p>see <a href="https://a.example/b" target="_blank" rel="noopener noreferrer">'
    "https://a.example/b</a>.</p>",
    "3. c\n4. d\n\n> q": '<ol start="3"><li>c</li><li>d</li></ol><blockquote><p>q</p></blockquote>',
    "a\n\n\nb **c": "<p>a</p><p>b **c</p>",
}


def test_markdown(page: Any, origin: str) -> None:
    """Whatever a model writes: text never becomes HTML."""
    page.goto(f"{origin}/")
    script = """async (texts) => {
        const { element, markdown } = await import("/page/markdown.js");
        return texts.map((text) => element("div", {}, ...markdown(text)).innerHTML);
    }"""
    assert page.evaluate(script, list(MARKDOWN)) == list(MARKDOWN.values())


def test_the_page_can_be_used_by_the_keyboard_and_read_aloud(page: Any, origin: str) -> None:
    page.goto(f"{origin}/")
    assert page.evaluate("document.activeElement.id") == "question"
    assert page.get_by_label("Your question").count() == 1
    assert page.get_by_role("button", name="Send").count() == 1
    with ScriptedServer(["a", stall()]) as server:
        page.goto(chat(origin, "async", server))
        page.keyboard.type("Hello")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector(f"{ANSWER}.writing >> text=a")
        assert page.evaluate("document.activeElement.id") == "stop"
        assert page.get_by_role("status").text_content() == "The model is answering."
        page.keyboard.press("Enter")
        page.wait_for_selector(ENDED)
        assert page.evaluate("document.activeElement.id") == "question"
        assert page.get_by_role("status").text_content() == "Stopped."
