"""TLS with an authority of our own: who is trusted, what is said to those who are not, and that nobody waits."""

import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firsttoken import Client
from firsttoken.errors import APIConnectionError, ConfigurationError
from tests.support.clients import KEY, OVER_SOCKETS, REQUEST, MakeClient, drain, failure_of
from tests.support.errors import message_of
from tests.support.server import WAIT_S, Peer, Server, completion, respond_sequentially
from tests.support.tls import authority, client_context, server_context

pytestmark = OVER_SOCKETS


def hello(peer: Peer) -> None:
    peer.stream("Hel", "lo")


@pytest.fixture
def certificate_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "authority.pem"
    authority().cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path


@pytest.mark.usefixtures("certificate_file")
def test_ssl_cert_file_names_whom_to_trust(make_client: MakeClient) -> None:
    with Server(respond_sequentially(*[hello] * 4), tls=server_context()) as server:
        client = make_client(server)
        for _ in range(4):
            assert drain(client.chat_completion_stream(REQUEST)) == (["Hel", "lo", ""], None)
        client.close()
        assert server.was_left()
    assert server.connections == 1
    assert server.requests[0].headers["host"] == f"localhost:{server.port}"


def test_a_context_of_the_callers_own(make_client: MakeClient) -> None:
    with Server(respond_sequentially(hello), tls=server_context()) as server:
        client = make_client(server, ssl_context=client_context())
        assert drain(client.chat_completion_stream(REQUEST)) == (["Hel", "lo", ""], None)


def test_an_address_can_be_certified_too(make_client: MakeClient) -> None:
    with Server(respond_sequentially(hello), tls=server_context("127.0.0.1")) as server:
        client = make_client(f"https://127.0.0.1:{server.port}/v1", ssl_context=client_context())
        assert drain(client.chat_completion_stream(REQUEST))[1] is None


def refusal(client: Client, server: Server) -> APIConnectionError:
    """The failure of a call that must not have sent anything, nor tried again."""
    failure = failure_of(client.chat_completion_stream(REQUEST))
    assert server.was_left()
    assert isinstance(failure, APIConnectionError)
    assert not failure.retryable
    assert isinstance(failure.__cause__, ssl.SSLCertVerificationError)
    assert server.requests == []
    assert server.connections == 1
    assert message_of(failure).startswith(f"no connection to localhost:{server.port}: ")
    return failure


def test_an_authority_that_nobody_knows(make_client: MakeClient) -> None:
    with Server(respond_sequentially(), tls=server_context()) as server:
        failure = refusal(make_client(server, max_retries=2), server)
    assert "unable to get local issuer certificate\nhint: the certificate is not trusted; SSL_CERT_FILE" in message_of(
        failure
    )


@pytest.mark.usefixtures("certificate_file")
def test_a_certificate_for_another_name(make_client: MakeClient) -> None:
    with Server(respond_sequentially(), tls=server_context("example.org")) as server:
        failure = refusal(make_client(server, max_retries=2), server)
    assert "Hostname mismatch, certificate is not valid for 'localhost'." in message_of(failure)
    assert "hint: the certificate is for another name; is the host of base_url the server's own?" in message_of(failure)


@pytest.mark.usefixtures("certificate_file")
def test_a_certificate_that_has_expired(make_client: MakeClient) -> None:
    context = server_context("localhost", not_after=datetime(2020, 1, 2, tzinfo=UTC))
    with Server(respond_sequentially(), tls=context) as server:
        failure = refusal(make_client(server, max_retries=2), server)
    assert "certificate has expired\nhint: the certificate has expired; is this machine's clock right?" in message_of(
        failure
    )


def test_a_server_without_tls(make_client: MakeClient) -> None:
    def serve(peer: Peer) -> None:
        peer.socket.recv(1)
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.wait_for_disconnect()

    with Server(serve) as server:
        failure = failure_of(make_client(f"https://127.0.0.1:{server.port}/v1").chat_completion_stream(REQUEST))
        assert server.was_left()
    assert isinstance(failure, APIConnectionError)
    assert message_of(failure).startswith(f"no connection to 127.0.0.1:{server.port}: ")
    assert message_of(failure).endswith(
        "\nhint: the server does not speak TLS there; does base_url begin with https:// by mistake?"
    )


def test_a_server_with_tls_where_none_is_expected(make_client: MakeClient) -> None:
    with Server(respond_sequentially(), tls=server_context()) as server:
        failure = failure_of(make_client(f"http://127.0.0.1:{server.port}/v1").chat_completion_stream(REQUEST))
    assert isinstance(failure, APIConnectionError | ValueError)
    assert KEY not in message_of(failure)
    assert server.requests == []


@pytest.mark.parametrize("content", [None, "no certificate"])
@pytest.mark.parametrize("style", ["whole", "stream"])
def test_ssl_cert_file_that_can_not_be_read(
    make_client: MakeClient, certificate_file: Path, content: str | None, style: str
) -> None:
    certificate_file.unlink()
    if content is not None:
        certificate_file.write_text(content)
    with Server(respond_sequentially(), tls=server_context()) as server:
        client = make_client(server, max_retries=2)
        with pytest.raises(ConfigurationError) as caught:
            client.chat_completion(REQUEST) if style == "whole" else next(client.chat_completion_stream(REQUEST))
    assert message_of(caught.value).startswith(f"SSL_CERT_FILE can't be read: {str(certificate_file)!r} (")


def test_a_stream_that_can_not_be_made_has_failed(make_client: MakeClient, certificate_file: Path) -> None:
    certificate_file.unlink()
    with Server(respond_sequentially(), tls=server_context()) as server:
        stream = make_client(server).chat_completion_stream(REQUEST)
        with pytest.raises(ConfigurationError), stream:
            pytest.fail("there is no stream")
    assert stream.state == "failed"
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE can't be read"):
        stream.final_completion()


@pytest.mark.usefixtures("certificate_file")
def test_one_stalled_handshake_does_not_stop_the_others(make_client: MakeClient) -> None:
    begun = threading.Event()
    context = server_context()

    def serve(peer: Peer) -> None:
        if server.connections == 1:
            peer.socket.recv(1)
            begun.set()
            peer.wait_for_disconnect()
        else:
            with context.wrap_socket(peer.socket, server_side=True) as secured:
                Peer(secured, server).read_request()
                Peer(secured, server).answer_json(200, completion(), {"connection": "close"})

    with Server(serve) as server, ThreadPoolExecutor(21) as pool:
        client = make_client(f"https://localhost:{server.port}/v1")
        waiting = client.chat_completion_stream(REQUEST)
        stuck = pool.submit(drain, waiting)
        assert begun.wait(WAIT_S)
        answers = [pool.submit(client.chat_completion, REQUEST) for _ in range(20)]
        assert [answer.result(5).text for answer in answers] == ["Hello"] * 20
        assert not stuck.done()
        waiting.close()
        assert stuck.result(WAIT_S) == ([], None)


def test_what_is_not_tls_in_the_middle_of_a_stream(make_client: MakeClient) -> None:
    """Bytes that TLS did not protect never reach the parser."""

    def serve(peer: Peer) -> None:
        peer.read_request()
        peer.begin_stream()
        peer.send_event({"choices": [{"index": 0, "delta": {"content": "Hel"}}]})
        with socket.socket(fileno=peer.socket.detach()) as sock:
            sock.settimeout(WAIT_S)
            sock.sendall(b"data: {}\n\n" * 10)
            sock.recv(65536)

    with Server(serve, tls=server_context()) as server:
        texts, failure = drain(make_client(server, ssl_context=client_context()).chat_completion_stream(REQUEST))
    assert texts == ["Hel"]
    assert isinstance(failure, APIConnectionError)
    assert message_of(failure).startswith(f"lost the connection to localhost:{server.port}: ")
    assert failure.partial is not None
    assert failure.partial.text == "Hel"
