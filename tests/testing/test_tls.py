"""TLS with an authority that nobody else knows."""

import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from firsttoken import Client, chat_completion_request
from firsttoken.errors import APIConnectionError
from firsttoken.testing import ScriptedServer, close
from tests.support import tls
from tests.support.raw_client import RawClient

REQUEST = chat_completion_request("m", "hi")


def test_a_client_that_trusts_the_authority_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer("Hello", tls=True) as server:
        assert server.base_url == f"https://localhost:{server.port}/v1"
        given = Client(server.api_key, server.base_url, ssl_context=server.client_context())
        assert given.chat_completion(REQUEST).text == "Hello"
        monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
        assert Client(server.api_key, server.base_url).chat_completion(REQUEST).text == "Hello"
        path = Path(server.ca_file)
        assert path.read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert not path.exists()


def test_a_client_that_does_not_is_not_answered() -> None:
    with ScriptedServer("Hello", tls=True) as server:
        with pytest.raises(APIConnectionError, match="certificate"):
            Client(server.api_key, server.base_url, max_retries=0).chat_completion(REQUEST)
        assert server.journal.wait_for_disconnect()
        assert server.journal.entries == []


def test_a_client_that_speaks_no_tls_is_not_answered() -> None:
    with ScriptedServer("Hello", tls=True) as server, RawClient(server) as client:
        client.send(b"POST / HTTP/1.1\r\n\r\n")
        assert b"HTTP/1.1" not in client.read_all()
        assert server.journal.wait_for_disconnect()


def test_a_handshake_that_nobody_ends_does_not_hold_up_the_end() -> None:
    with ScriptedServer(tls=True) as server:
        waiting = socket.create_connection(("127.0.0.1", server.port))
        assert server.journal.wait_until(lambda journal: journal.connections_opened == 1)
    waiting.close()


@pytest.mark.parametrize(("script", "is_clean"), [("Hello", True), (["Hel", close()], False)], ids=["end", "cut"])
def test_tls_says_whether_the_end_was_meant(script: str, *, is_clean: bool) -> None:
    """A close within TLS (close_notify) tells an end from a cut; a script's `close()` is a cut."""
    with ScriptedServer(script, tls=True) as server:
        raw = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        context = server.client_context()
        with context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False) as client:
            client.sendall(
                b'POST / HTTP/1.1\r\ncontent-length: 15\r\nconnection: close\r\n\r\n{"stream": true}'[:-1] + b"}"
            )
            try:
                while client.recv(65536):
                    pass
                ended_cleanly = True
            except ssl.SSLEOFError:
                ended_cleanly = False
    assert ended_cleanly is is_clean


def test_a_context_of_ones_own_is_taken() -> None:
    with ScriptedServer("Hello", tls=tls.server_context()) as server:
        client = Client(server.api_key, server.base_url, ssl_context=tls.client_context())
        assert client.chat_completion(REQUEST).text == "Hello"
        with pytest.raises(ValueError, match="no authority of its own: it was not made with tls=True"):
            _ = server.ca_file


def test_without_trustme_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['trustme'] = None\n"
        "from firsttoken.testing import ScriptedServer\n"
        "ScriptedServer().close()\n"
        "ScriptedServer(tls=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    message = "a server with TLS needs trustme, which is not installed"
    hint = "hint: in a clone of firsttoken: pip install '.[testing]'"
    assert done.stderr.splitlines()[-1] == f"ImportError: {message}; {hint}"
