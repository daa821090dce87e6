"""Behind nginx and HAProxy: text in time, keep-alives through a silence, and the model stops with the browser."""

import http.client
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firsttoken.testing import Gate, ScriptedServer, done, finish, pause, role, stall
from tests.support.nginx import nginx
from tests.support.services import Service, free_port, program
from tests.support.web import events_of
from tests.support.web_app import serving

STOPPED_WITHIN_S = 0.5


def documented() -> str:
    """The settings of the how-to page, without the time limit."""
    return "proxy_http_version 1.1; proxy_set_header Connection '';"


@contextmanager
def haproxy(folder: Path, origin: str, silence_s: float) -> Generator[str]:
    """HAProxy in front of an origin."""
    port, limit = free_port(), f"{int(silence_s * 1000)}ms"
    (folder / "haproxy.cfg").write_text(
        f"defaults\n  mode http\n  option abortonclose\n  timeout connect 5s\n  timeout client {limit}\n"
        f"  timeout server {limit}\nfrontend web\n  bind 127.0.0.1:{port}\n  default_backend app\n"
        f"backend app\n  server one {origin.removeprefix('http://')}\n"
    )
    with Service([program("haproxy"), "-db", "-f", folder / "haproxy.cfg"], env={}, folder=folder) as service:
        service.wait_until_listening(port, 10)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def behind(proxy: str, folder: Path, origin: str, silence_s: float) -> Generator[str]:
    """An origin behind a proxy that allows so much silence."""
    if proxy == "haproxy":
        with haproxy(folder, origin, silence_s) as address:
            yield address
    else:
        with nginx(folder, origin, f"{documented()} proxy_read_timeout {int(silence_s * 1000)}ms;") as address:
            yield address


@contextmanager
def asked(address: str, server: ScriptedServer, query: str) -> Generator[http.client.HTTPResponse]:
    """The response to a question; leaving closes the connection."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    try:
        connection.request("POST", f"/api/async/{server.port}?{query}", b"{}")
        with connection.getresponse() as response:
            yield response
    finally:
        connection.close()


def outcome_of_silence(
    folder: Path, proxy: str, *, silence_s: float, allowed_s: float, keepalive_s: str
) -> list[object]:
    script = [role(), pause(silence_s), "Because.", finish(), done()]
    with (
        ScriptedServer(script) as server,
        serving("uvicorn", folder) as origin,
        behind(proxy, folder, origin, allowed_s) as address,
        asked(address, server, f"keepalive_s={keepalive_s}") as response,
    ):
        try:
            return [event if isinstance(event, str) else event["type"] for event in events_of(response.read())]
        except http.client.IncompleteRead as cut:
            return [event["type"] for event in events_of(cut.partial)]


@pytest.mark.parametrize("proxy", ["nginx", "haproxy"])
def test_keep_alives_keep_a_silent_answer_open(tmp_path: Path, proxy: str) -> None:
    """The model thinks for longer than the proxy allows; without keep-alives it cuts the answer off."""
    times = {"silence_s": 1.5, "allowed_s": 0.6}
    assert outcome_of_silence(tmp_path, proxy, keepalive_s="0.2", **times)[-2:] == ["finish", "[DONE]"]
    assert outcome_of_silence(tmp_path, proxy, keepalive_s="none", **times) == ["start", "start-step"]


@pytest.mark.slow
def test_a_model_that_thinks_for_12_s_behind_nginx_that_allows_5_s(tmp_path: Path) -> None:
    started_at = time.monotonic()
    types = outcome_of_silence(tmp_path, "nginx", silence_s=12, allowed_s=5, keepalive_s="2")
    assert types[-2:] == ["finish", "[DONE]"]
    assert time.monotonic() - started_at > 12


@pytest.mark.parametrize("proxy", ["nginx", "haproxy"])
def test_text_arrives_in_time_and_leaving_reaches_the_model(tmp_path: Path, proxy: str) -> None:
    gate = Gate()
    with (
        ScriptedServer(["Hel", gate, "lo", stall()]) as server,
        serving("uvicorn", tmp_path) as origin,
        behind(proxy, tmp_path, origin, 10) as address,
    ):
        with asked(address, server, "") as response:
            while b'"delta":"Hel"' not in response.readline():
                pass
            gate.open()
            while b'"delta":"lo"' not in response.readline():
                pass
        assert server.journal.wait_for_disconnect(timeout_s=STOPPED_WITHIN_S)
