"""Proxies: CONNECT for https, absolute URIs for http, whom the environment exempts, and who sees the password."""

import base64
import pickle
import socket
import threading

import pytest

from firsttoken.errors import APIConnectionError, APIStatusError, ChatCompletionError, ResponseFormatError
from tests.support.clients import KEY, OVER_SOCKETS, REQUEST, MakeClient, drain, failure_of
from tests.support.errors import message_of
from tests.support.server import Peer, Server, completion, respond_sequentially
from tests.support.tls import client_context, server_context

PASSWORD = "geheim-geheim-geheim"
CREDENTIALS = base64.b64encode(f"user:{PASSWORD}".encode()).decode()

pytestmark = OVER_SOCKETS  # a client of the caller's own has proxies of its own


def hello(peer: Peer) -> None:
    peer.stream("Hel", "lo")


def tunnel_to(server: Server) -> "Server":
    """A proxy that makes every tunnel one to this server."""

    def serve(peer: Peer) -> None:
        request = peer.read_request()
        if request is None:
            return
        with socket.create_connection(("127.0.0.1", server.port)) as other:
            peer.send(b"HTTP/1.1 200 Connection established\r\nproxy-agent: test\r\n\r\n")
            there = threading.Thread(target=pump, args=(peer.socket, other), daemon=True)
            there.start()
            pump(other, peer.socket)
            there.join(10)

    return Server(serve)


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for sock in (source, sink):
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def shown(failure: ChatCompletionError) -> str:
    return "\n".join([message_of(failure), repr(failure), repr(vars(failure)), repr(pickle.dumps(failure))])


def test_https_goes_through_a_tunnel(make_client: MakeClient) -> None:
    with (
        Server(respond_sequentially(hello, hello), tls=server_context("api.test")) as server,
        tunnel_to(server) as proxy,
    ):
        client = make_client(
            f"https://api.test:{server.port}/v1",
            proxy=f"http://user:{PASSWORD}@127.0.0.1:{proxy.port}",
            ssl_context=client_context(),
        )
        for _ in range(2):
            assert drain(client.chat_completion_stream(REQUEST)) == (["Hel", "lo", ""], None)
        client.close()
        assert server.was_left()
    (asked,) = proxy.requests
    assert asked.line == f"CONNECT api.test:{server.port} HTTP/1.1"
    assert asked.headers["host"] == f"api.test:{server.port}"
    assert asked.headers["proxy-authorization"] == f"Basic {CREDENTIALS}"
    assert "authorization" not in asked.headers
    assert server.connections == 1
    assert "proxy-authorization" not in server.requests[0].headers
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_http_goes_by_absolute_uri(make_client: MakeClient) -> None:
    with Server(respond_sequentially(hello, hello)) as proxy:
        client = make_client("http://api.test:8080/v1", proxy=f"http://user:{PASSWORD}@127.0.0.1:{proxy.port}")
        for _ in range(2):
            assert drain(client.chat_completion_stream(REQUEST)) == (["Hel", "lo", ""], None)
    assert proxy.connections == 1
    assert proxy.requests[0].line == "POST http://api.test:8080/v1/chat/completions HTTP/1.1"
    assert proxy.requests[0].headers["host"] == "api.test:8080"
    assert proxy.requests[0].headers["proxy-authorization"] == f"Basic {CREDENTIALS}"


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_the_environment_names_the_proxy(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with Server(respond_sequentially(hello)) as proxy:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        assert drain(make_client("http://api.test/v1").chat_completion_stream(REQUEST))[1] is None
    assert proxy.requests[0].line == "POST http://api.test/v1/chat/completions HTTP/1.1"


@pytest.mark.parametrize("exempt", ["127.0.0.1", "*", "127.0.0.0/8", "example.org, 127.0.0.1"])
def test_no_proxy_exempts(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, exempt: str) -> None:
    with Server(respond_sequentially(hello)) as server:
        monkeypatch.setenv("http_proxy", "http://proxy.invalid:1")
        monkeypatch.setenv("NO_PROXY", exempt)
        assert drain(make_client(server).chat_completion_stream(REQUEST))[1] is None
    assert server.requests[0].line == "POST /v1/chat/completions HTTP/1.1"


def test_an_empty_proxy_is_none(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(respond_sequentially(lambda peer: peer.answer_json(200, completion()))) as server:
        monkeypatch.setenv("http_proxy", "http://proxy.invalid:1")
        assert make_client(server, proxy="").chat_completion(REQUEST).text == "Hello"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_password(make_client: MakeClient, scheme: str) -> None:
    def answer(peer: Peer) -> None:
        peer.answer(407, f"not {CREDENTIALS}, {PASSWORD}".encode(), {"proxy-authenticate": "Basic"})

    with Server(respond_sequentially(answer)) as proxy:
        settings = {"proxy": f"http://user:{PASSWORD}@127.0.0.1:{proxy.port}", "max_retries": 2}
        failure = failure_of(make_client(f"{scheme}://api.test/v1", **settings).chat_completion_stream(REQUEST))
    assert isinstance(failure, APIStatusError)
    assert failure.status == 407
    refusal = f"the proxy 127.0.0.1:{proxy.port} refused CONNECT: 407 Proxy Authentication Required"
    through = f"api.test:80 through the proxy 127.0.0.1:{proxy.port} answered 407 Proxy Authentication Required"
    assert message_of(failure).startswith(refusal if scheme == "https" else through)
    assert message_of(failure).endswith(
        "hint: the proxy requires a user and a password: http://user:password@host:port"
    )
    assert PASSWORD not in shown(failure)
    assert CREDENTIALS not in shown(failure)
    assert len(proxy.requests) == 1


def test_a_proxy_that_speaks_no_http(make_client: MakeClient) -> None:
    def answer(peer: Peer) -> None:
        peer.send(f"no HTTP, {CREDENTIALS} {PASSWORD}\r\n\r\n".encode())
        peer.wait_for_disconnect()

    with Server(respond_sequentially(answer)) as proxy:
        client = make_client("https://api.test/v1", proxy=f"http://user:{PASSWORD}@127.0.0.1:{proxy.port}")
        failure = failure_of(client.chat_completion_stream(REQUEST))
        assert proxy.was_left()
    assert isinstance(failure, ResponseFormatError)
    assert PASSWORD not in shown(failure)
    assert CREDENTIALS not in shown(failure)


def test_a_proxy_that_hangs_up(make_client: MakeClient) -> None:
    with Server(lambda peer: (peer.read_request(), None)[1]) as proxy:
        client = make_client("https://api.test/v1", proxy=f"http://user:{PASSWORD}@127.0.0.1:{proxy.port}")
        failure = failure_of(client.chat_completion_stream(REQUEST))
    assert isinstance(failure, APIConnectionError)
    assert message_of(failure) == (
        f"no connection to api.test:443 through the proxy 127.0.0.1:{proxy.port}: "
        f"the proxy 127.0.0.1:{proxy.port} closed the connection"
    )


def test_a_proxy_that_is_busy_is_asked_again(make_client: MakeClient) -> None:
    def busy(peer: Peer) -> None:
        peer.answer(503, b"", {"retry-after-ms": "0"})
        peer.wait_for_disconnect()

    with Server(respond_sequentially(busy, busy)) as proxy:
        client = make_client("https://api.test/v1", proxy=f"http://127.0.0.1:{proxy.port}", max_retries=1)
        failure = failure_of(client.chat_completion_stream(REQUEST))
    assert isinstance(failure, APIStatusError)
    assert failure.status == 503
    assert len(proxy.requests) == 2
