"""Behind nginx, an upstream that dies is an error, never an end.

Between nginx and what is behind it, a body has a length, is chunked or, as with the HTTP/1.0 that nginx speaks by
default, ends when the connection does. In the last case nginx can't tell an end from a cut, and ends what it sends on
properly: then it is the answer's own end, a finish reason or `[DONE]`, that tells them apart.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from firsttoken import ChatCompletionStream, Timeout
from firsttoken.errors import ChatCompletionError, InternalServerError, StreamTruncatedError
from tests.support.clients import REQUEST, MakeClient, drain, failure_of
from tests.support.nginx import UNBUFFERED, NginxConfig, behind_nginx, nginx
from tests.support.server import EVENT_STREAM, WAIT_S, Peer, Server, chunk, event, respond_sequentially
from tests.support.services import free_port
from tests.support.tls import client_context

Serve = Callable[[Peer], None]

CUT = "the connection was closed before the end of the response"
TIMEOUT = Timeout(first_chunk_s=WAIT_S, idle_s=WAIT_S)
SOON = "proxy_read_timeout 300ms;"


def closes(peer: Peer) -> None:
    peer.socket.close()


def closes_in_a_chunk(peer: Peer) -> None:
    peer.send(b"50\r\ndata: {")
    peer.socket.close()


def resets(peer: Peer) -> None:
    peer.reset()


def stalls(peer: Peer) -> None:
    peer.wait_for_disconnect()


DEATHS = [closes, closes_in_a_chunk, resets, stalls]


def begin_until_close(peer: Peer) -> None:
    """Send the head of a stream that ends when the connection does."""
    peer.send_head(200, EVENT_STREAM | {"connection": "close"})


def read(stream: ChatCompletionStream, seen: threading.Event) -> tuple[list[str], ChatCompletionError | None]:
    """Read a stream to its end, and say when its first chunk is there."""
    try:
        first = next(stream).text
    except ChatCompletionError as failure:
        return [], failure
    seen.set()
    texts, failure = drain(stream)
    return [first, *texts], failure


def dies_after_a_chunk(die: Serve, seen: threading.Event | None) -> Callable[[Peer], None]:
    """A server that dies in the middle of a stream, once its first chunk was seen."""

    def serve(peer: Peer) -> None:
        peer.begin_stream()
        peer.send_event(chunk("Hel"))
        assert seen is None or seen.wait(WAIT_S), "the first chunk has not arrived"
        die(peer)

    return respond_sequentially(serve)


def check_cut(texts: list[str], failure: ChatCompletionError | None, *, message: str = CUT) -> None:
    """What came is there, and then there is an error that holds it."""
    assert texts == ["Hel"]
    assert isinstance(failure, StreamTruncatedError)
    assert str(failure).startswith(message)
    assert failure.partial is not None
    assert failure.partial.text == "Hel"


@pytest.mark.parametrize("die", DEATHS)
def test_an_upstream_that_dies_behind_tls(make_client: MakeClient, tmp_path: Path, die: Serve) -> None:
    seen = threading.Event()
    directives = UNBUFFERED + (SOON if die is stalls else "")
    with (
        Server(dies_after_a_chunk(die, seen)) as server,
        behind_nginx(server, tmp_path, directives, tls=True) as base_url,
    ):
        client = make_client(base_url, ssl_context=client_context(), timeout=TIMEOUT)
        texts, failure = read(client.chat_completion_stream(REQUEST), seen)
    check_cut(texts, failure)


@pytest.mark.parametrize("die", DEATHS)
def test_an_upstream_that_dies(make_client: MakeClient, tmp_path: Path, nginx_config: NginxConfig, die: Serve) -> None:
    seen = None if nginx_config.is_buffered else threading.Event()
    with (
        Server(dies_after_a_chunk(die, seen)) as server,
        behind_nginx(server, tmp_path, nginx_config.directives + (SOON if die is stalls else "")) as base_url,
    ):
        client = make_client(base_url, default_headers={"accept-encoding": nginx_config.coding}, timeout=TIMEOUT)
        texts, failure = read(client.chat_completion_stream(REQUEST), seen or threading.Event())
    if nginx_config.is_buffered and not texts:  # nginx had not passed it on yet, and then threw it away
        assert isinstance(failure, StreamTruncatedError)
        assert str(failure).startswith(CUT)
        assert failure.partial is None
    else:
        check_cut(texts, failure)


def test_a_cut_that_nginx_can_not_see(make_client: MakeClient, tmp_path: Path, nginx_config: NginxConfig) -> None:
    """It takes the cut for the end, and ends its own body: only the answer itself says that it is not complete."""

    def serve(peer: Peer) -> None:
        begin_until_close(peer)
        peer.send(event(chunk("Hel")))
        peer.socket.close()

    with (
        Server(respond_sequentially(serve)) as server,
        behind_nginx(server, tmp_path, nginx_config.directives) as base_url,
    ):
        client = make_client(base_url, default_headers={"accept-encoding": nginx_config.coding}, timeout=TIMEOUT)
        stream = client.chat_completion_stream(REQUEST)
        texts, failure = drain(stream)
    message = "stream truncated after 1 chunk: no [DONE] and no finish_reason for choice 0"
    check_cut(texts, failure, message=message)
    assert stream.response is not None
    assert stream.response.headers["transfer-encoding"] == "chunked"


def test_what_nginx_holds_back_is_lost_with_the_upstream(make_client: MakeClient, tmp_path: Path) -> None:
    """The reason to set `proxy_buffering off`: the error is there all the same, but not the text before it."""

    def serve(peer: Peer) -> None:
        begin_until_close(peer)
        peer.send(event(chunk("Hel")))
        peer.wait_for_disconnect()

    with Server(respond_sequentially(serve)) as server, behind_nginx(server, tmp_path, SOON) as base_url:
        texts, failure = drain(make_client(base_url, timeout=TIMEOUT).chat_completion_stream(REQUEST))
    assert texts == []
    assert isinstance(failure, StreamTruncatedError)
    assert str(failure).startswith(CUT)
    assert failure.partial is None


@pytest.mark.parametrize(("die", "status"), [(None, 502), (closes, 502), (resets, 502), (stalls, 504)])
def test_an_upstream_that_never_answers(
    make_client: MakeClient, tmp_path: Path, die: Serve | None, status: int
) -> None:
    with Server(respond_sequentially(die or stalls)) as server:
        upstream = f"http://127.0.0.1:{server.port if die else free_port()}"
        with nginx(tmp_path, upstream, SOON) as address:
            failure = failure_of(make_client(f"{address}/v1").chat_completion_stream(REQUEST))
    assert isinstance(failure, InternalServerError)
    assert (failure.status, failure.in_stream, failure.partial, failure.retryable) == (status, False, None, True)
    assert str(failure).startswith(f"the server answered {status} ")
    assert f"<title>{status} " in str(failure)


def test_an_upstream_that_comes_back_is_asked_again(make_client: MakeClient, tmp_path: Path) -> None:
    answers: list[Serve] = [resets, lambda peer: peer.stream("Hel", "lo")]
    with Server(respond_sequentially(*answers)) as server, behind_nginx(server, tmp_path) as base_url:
        assert drain(make_client(base_url, max_retries=1).chat_completion_stream(REQUEST)) == (["Hel", "lo", ""], None)
    assert len(server.requests) == 2
