"""The back ends of the how-to page, each behind a server: they relay, and stop the model when the browser leaves."""

import http.client
import json
import os
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from firsttoken.testing import ScriptedServer, close, reply, stall
from tests.support.services import Service, free_port
from tests.support.web import events_of

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "relay-to-a-browser.md"
APPS: dict[str, str] = dict(re.findall(r"^```py\n# (\w+)\.py\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
STOPPED_WITHIN_S = 0.5
QUESTION = {"text": "Hello"}
CHAT = {"messages": [{"role": "user", "parts": [{"type": "text", "text": "Hello"}]}]}


@contextmanager
def serving(name: str, server: ScriptedServer, folder: Path) -> Generator[int]:
    """A back end of the page; gives its port."""
    framework = re.sub("_app$|^use_chat_app$", "", name) or "fastapi"
    for package in (framework, "uvicorn"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed (uv sync --group web)")
    (folder / f"{name}.py").write_text(APPS[name])
    port = free_port()
    runner = {True: ["flask", "--app", name, "run"], False: ["uvicorn", f"{name}:app"]}[name == "flask_app"]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), "NO_PROXY": "*", "OPENAI_BASE_URL": server.base_url}
    with Service([sys.executable, "-m", *runner, "--port", str(port)], env=env, folder=folder) as service:
        service.wait_until_listening(port, 30)
        yield port


@contextmanager
def posted(name: str, port: int) -> Generator[http.client.HTTPResponse]:
    """The response to a question; leaving closes the connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(
        "POST",
        "/api/chat",
        json.dumps(CHAT if name == "use_chat_app" else QUESTION),
        {"content-type": "application/json"},
    )
    try:
        with connection.getresponse() as response:
            yield response
    finally:
        connection.close()


def text_of(events: list[Any]) -> str:
    """The text, in either format."""
    chunks = [event["choices"][0]["delta"] for event in events if event.get("choices")]
    return "".join(event.get("delta", "") for event in events) + "".join(delta.get("content", "") for delta in chunks)


@pytest.mark.parametrize("name", APPS)
def test_it_relays_and_stops(name: str, tmp_path: Path) -> None:
    with (
        ScriptedServer(reply("Hello you"), ["Hel", close()], ["Hel", stall()]) as server,
        serving(name, server, tmp_path) as port,
    ):
        with posted(name, port) as response:
            events = events_of(response.read())
        assert (response.status // 100, response.headers["content-type"]) == (2, "text/event-stream")
        assert response.headers["cache-control"] == "no-cache, no-transform"
        assert (text_of(events[:-1]), events[-1]) == ("Hello you", "[DONE]")

        with posted(name, port) as response:
            events = events_of(response.read())
        assert "The answer broke off before it was complete." in json.dumps(events[-2:])
        assert "finish" not in [event.get("type") for event in events[:-1]]

        before = server.journal.connections_closed_by_client
        with posted(name, port) as response:
            while b"Hel" not in response.readline():
                pass
        assert server.journal.wait_for_disconnect(before + 1, timeout_s=8 if name == "flask_app" else STOPPED_WITHIN_S)


def test_the_page_has_every_framework() -> None:
    assert {"fastapi_app", "starlette_app", "litestar_app", "django_app", "flask_app", "use_chat_app"} == set(APPS)
