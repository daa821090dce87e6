"""Behind nginx, streams arrive complete and in time; what its upstream does wrong is in `test_nginx_cuts`."""

import re
import threading
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from firsttoken import ChatCompletionStream, Client, Timeout, chat_completion_request
from firsttoken.errors import APIStatusError
from firsttoken.local import LocalServer
from tests.integration.test_local_model import slots_are_idle
from tests.support.clients import REQUEST, MakeClient, drain, failure_of
from tests.support.nginx import GZIP, HTTP_1_1, UNBUFFERED, NginxConfig, behind_nginx, nginx
from tests.support.server import (
    DONE,
    EVENT_STREAM,
    WAIT_S,
    Peer,
    Server,
    chunk,
    completion,
    event,
    respond_sequentially,
)
from tests.support.tls import client_context

TEXTS = [f"{number} bottles of beer, " for number in range(1000)]
TIMEOUT = Timeout(first_chunk_s=WAIT_S, idle_s=WAIT_S)


def chunked(peer: Peer) -> None:
    peer.stream(*TEXTS)


def until_close(peer: Peer) -> None:
    peer.send_head(200, EVENT_STREAM | {"connection": "close"})
    peer.send(b"".join(event(chunk(text)) for text in TEXTS) + event(chunk(finish="stop")) + DONE)
    peer.socket.close()


@pytest.mark.parametrize("serve", [chunked, until_close])
def test_streams_arrive_complete(
    make_client: MakeClient, tmp_path: Path, nginx_config: NginxConfig, serve: Callable[[Peer], None]
) -> None:
    with (
        Server(respond_sequentially(serve, serve)) as server,
        behind_nginx(server, tmp_path, nginx_config.directives) as base_url,
    ):
        client = make_client(base_url, default_headers={"accept-encoding": nginx_config.coding}, timeout=TIMEOUT)
        stream = client.chat_completion_stream(REQUEST)
        assert drain(stream) == ([*TEXTS, ""], None)
        called_back = client.chat_completion_stream(REQUEST, lambda _: None)
    assert stream.state == "complete"
    assert stream.completion.text == called_back.text == "".join(TEXTS)
    assert stream.response is not None
    assert stream.response.headers.get("content-encoding") == ("gzip" if nginx_config.coding == "gzip" else None)


def test_a_complete_answer_is_packed(make_client: MakeClient, tmp_path: Path) -> None:
    """Where nothing is written bit by bit, firsttoken asks for it."""
    answer = respond_sequentially(lambda peer: peer.answer_json(200, completion("Hello " * 1000)))
    with Server(answer) as server, behind_nginx(server, tmp_path, GZIP) as base_url:
        answered = make_client(base_url).chat_completion(REQUEST)
    assert answered.text == "Hello " * 1000
    assert answered.response is not None
    assert answered.response.headers["content-encoding"] == "gzip"


def documented() -> str:
    """The settings that the docs recommend."""
    page = Path(__file__).parents[2] / "docs" / "how-to" / "network.md"
    block = re.search(r"^```nginx\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert block is not None
    return "".join(re.findall(r"^ +(proxy_(?!pass ).+?;)", block[1], re.MULTILINE))


@pytest.mark.parametrize("coding", ["identity", "gzip"])
@pytest.mark.parametrize(
    ("directives", "wish"),
    [
        (UNBUFFERED, {}),
        (UNBUFFERED + HTTP_1_1, {}),
        (UNBUFFERED + GZIP, {}),
        (documented(), {}),
        ("", {"x-accel-buffering": "no"}),
    ],
    ids=["unbuffered", "http 1.1", "gzip", "as documented", "as the upstream wishes"],
)
def test_the_first_chunk_does_not_wait_for_the_second(
    make_client: MakeClient, tmp_path: Path, coding: str, directives: str, wish: dict[str, str]
) -> None:
    seen = threading.Event()

    def serve(peer: Peer) -> None:
        peer.begin_stream(wish)
        peer.send_event(chunk("Hel"))
        assert seen.wait(WAIT_S), "the first chunk has not arrived"
        peer.send_event(chunk("lo", "stop"))
        peer.end_stream()

    with Server(respond_sequentially(serve)) as server, behind_nginx(server, tmp_path, directives) as base_url:
        client = make_client(base_url, default_headers={"accept-encoding": coding}, timeout=TIMEOUT)
        stream = client.chat_completion_stream(REQUEST)
        assert next(stream).text == "Hel"
        seen.set()
        assert drain(stream) == (["lo"], None)


def connection_of(stream: ChatCompletionStream) -> str:
    """What nginx calls the connection that a stream came over."""
    assert stream.response is not None
    return stream.response.headers["x-connection"]


def test_streams_share_a_connection(make_client: MakeClient, tmp_path: Path, nginx_config: NginxConfig) -> None:
    def hello(peer: Peer) -> None:
        peer.stream("Hel", "lo")

    with (
        Server(respond_sequentially(*[hello] * 4)) as server,
        behind_nginx(server, tmp_path, nginx_config.directives) as base_url,
    ):
        client = make_client(base_url, default_headers={"accept-encoding": nginx_config.coding})
        streams = [client.chat_completion_stream(REQUEST) for _ in range(4)]
        assert [drain(stream) for stream in streams] == [(["Hel", "lo", ""], None)] * 4
    assert len({connection_of(stream) for stream in streams}) == 1


def test_tls_that_ends_at_nginx(make_client: MakeClient, tmp_path: Path) -> None:
    with (
        Server(respond_sequentially(chunked, until_close)) as server,
        behind_nginx(server, tmp_path, tls=True) as base_url,
    ):
        client = make_client(base_url, ssl_context=client_context(), timeout=TIMEOUT)
        streams = [client.chat_completion_stream(REQUEST) for _ in range(2)]
        assert [drain(stream) for stream in streams] == [([*TEXTS, ""], None)] * 2
    assert len({connection_of(stream) for stream in streams}) == 1


def test_stopping_reaches_the_upstream(make_client: MakeClient, tmp_path: Path, nginx_config: NginxConfig) -> None:
    def serve(peer: Peer) -> None:
        peer.begin_stream({"x-accel-buffering": "no"})
        peer.send_event(chunk("Hel"))
        peer.wait_for_disconnect()

    with (
        Server(respond_sequentially(serve)) as server,
        behind_nginx(server, tmp_path, nginx_config.directives) as base_url,
    ):
        with make_client(base_url, timeout=TIMEOUT).chat_completion_stream(REQUEST) as stream:
            assert next(stream).text == "Hel"
        assert server.was_left()
    assert stream.state == "stopped"


def test_a_request_that_is_too_long(make_client: MakeClient, tmp_path: Path) -> None:
    """nginx answers before it has read the request."""
    request = chat_completion_request("test-model", "x" * 20_000_000)
    with Server(respond_sequentially()) as server, behind_nginx(server, tmp_path) as base_url:
        failure = failure_of(make_client(base_url).chat_completion_stream(request))
    assert isinstance(failure, APIStatusError)
    assert failure.status == 413
    phrase = HTTPStatus(413).phrase  # another since Python 3.13
    assert str(failure).startswith(f"the server answered 413 {phrase}: ")
    assert server.requests == []


@pytest.mark.model
def test_the_local_model(make_client: MakeClient, local_server: LocalServer, tmp_path: Path) -> None:
    """llama.cpp asks nginx not to buffer (`X-Accel-Buffering`), so the first text comes while it still writes."""
    request = chat_completion_request(local_server.model, "Why is the sky blue?", seed=3, max_tokens=16)
    endless = chat_completion_request(local_server.model, "Count to a thousand.", max_tokens=1900)
    with Client(base_url=local_server.base_url, api_key="", proxy="") as direct:
        expected = direct.chat_completion(request).text
    upstream = urlsplit(local_server.base_url)
    with nginx(tmp_path, f"http://{upstream.netloc}") as address:
        client = make_client(f"{address}{upstream.path}", api_key="")
        assert client.chat_completion(request).text == expected
        assert client.chat_completion_stream(request, lambda _: None).text == expected
        assert client.chat_completion_stream(request).final_completion().text == expected
        with client.chat_completion_stream(endless) as stream:
            assert next(text for text in stream.iter_text() if text)
            assert not slots_are_idle(local_server)
