"""The answer to CONNECT."""

import pytest

from firsttoken._protocol.proxy import Proxy, Tunnel
from firsttoken._protocol.url import Origin
from firsttoken.errors import APIStatusError, ResponseFormatError

ORIGIN = Origin("https", "api.test", 443)
PROXY = Proxy(Origin("http", "127.0.0.1", 8080), "Basic eA==")


def test_a_yes_opens_it_however_it_is_cut() -> None:
    tunnel = Tunnel(ORIGIN, PROXY)
    assert tunnel.request.startswith(b"CONNECT api.test:443 HTTP/1.1\r\n")
    for byte in b"HTTP/1.1 200 Connection established\r\nx: y\r\n\r\n":
        assert not tunnel.is_open
        tunnel.receive_data(bytes([byte]))
    assert tunnel.is_open


def test_a_no_is_its_status() -> None:
    with pytest.raises(
        APIStatusError,
        match=r"the proxy 127.0.0.1:8080 refused CONNECT: 407 Proxy Authentication Required\nhint: ",
    ) as caught:
        Tunnel(ORIGIN, PROXY).receive_data(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n")
    assert caught.value.status == 407


def test_what_is_no_http_is_refused() -> None:
    with pytest.raises(ResponseFormatError, match=r"invalid HTTP/1\.1 response"):
        Tunnel(ORIGIN, PROXY).receive_data(b"SSH-2.0\r\n")


def test_an_end_without_an_answer() -> None:
    with pytest.raises(ConnectionResetError, match=r"the proxy 127.0.0.1:8080 closed the connection"):
        Tunnel(ORIGIN, PROXY).receive_data(b"")
