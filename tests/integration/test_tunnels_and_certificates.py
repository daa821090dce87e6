"""https as a user has it: the authority and the proxy come from the environment, straight and through a real proxy."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support.server import Peer, Server, respond_sequentially
from tests.support.services import free_port
from tests.support.subprocess_client import STYLES, Outcome, ask
from tests.support.tinyproxy import PASSWORD, USER, Tinyproxy, tinyproxy
from tests.support.tls import authority, server_context

pytestmark = pytest.mark.parametrize("style", STYLES)


def hello(peer: Peer) -> None:
    peer.stream("Hel", "lo")


HELLO = Outcome(["Hel", "lo", ""], "", "", retryable=False)


@pytest.fixture
def trust(tmp_path: Path) -> dict[str, str]:
    """The variable that names the authority of the tests."""
    path = tmp_path / "authority.pem"
    authority().cert_pem.write_to_path(str(path))
    return {"SSL_CERT_FILE": str(path)}


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Tinyproxy]:
    with tinyproxy(tmp_path) as running:
        yield running


def url(proxy: Tinyproxy, credentials: str = "") -> str:
    return f"http://{credentials}127.0.0.1:{proxy.port}"


def test_a_private_authority(style: str, trust: dict[str, str]) -> None:
    with Server(respond_sequentially(hello), tls=server_context()) as server:
        assert ask(style, server.base_url, **trust) == HELLO


def test_https_goes_through_the_proxy(style: str, trust: dict[str, str], proxy: Tinyproxy) -> None:
    with Server(respond_sequentially(hello), tls=server_context()) as server:
        assert ask(style, server.base_url, **trust, HTTPS_PROXY=url(proxy), NO_PROXY="example.org") == HELLO
    assert proxy.asked_for() == [f"localhost:{server.port}"]


def test_no_proxy_exempts(style: str, trust: dict[str, str], proxy: Tinyproxy) -> None:
    with Server(respond_sequentially(hello), tls=server_context()) as server:
        assert ask(style, server.base_url, **trust, HTTPS_PROXY=url(proxy), NO_PROXY="example.org,localhost") == HELLO
    assert proxy.asked_for() == []


def test_a_proxy_that_wants_a_password(style: str, trust: dict[str, str], tmp_path: Path) -> None:
    with (
        tinyproxy(tmp_path, password=True) as proxy,
        Server(respond_sequentially(hello), tls=server_context()) as server,
    ):
        known = ask(style, server.base_url, **trust, HTTPS_PROXY=url(proxy, f"{USER}:{PASSWORD}@"))
        nobody = ask(style, server.base_url, **trust, HTTPS_PROXY=url(proxy))
        wrong = ask(style, server.base_url, **trust, HTTPS_PROXY=url(proxy, f"{USER}:falsch-falsch@"))
    assert known == HELLO
    assert (nobody.kind, wrong.kind) == ("APIStatusError", "APIStatusError")
    refused = f"the proxy 127.0.0.1:{proxy.port} refused CONNECT: 40"
    assert nobody.message.startswith(f"{refused}7 Proxy Authentication Required")
    assert nobody.message.endswith("\nhint: the proxy requires a user and a password: http://user:password@host:port")
    assert wrong.message.startswith(refused)
    assert "falsch" not in wrong.message
    assert not nobody.retryable


def test_a_server_that_the_proxy_can_not_reach(style: str, trust: dict[str, str], proxy: Tinyproxy) -> None:
    """It is the proxy that says no, so the error is of no server's class; its status says that it may go better."""
    outcome = ask(style, f"https://localhost:{free_port()}/v1", **trust, HTTPS_PROXY=url(proxy))
    assert (outcome.texts, outcome.kind, outcome.retryable) == ([], "APIStatusError", True)
    assert outcome.message.startswith(f"the proxy 127.0.0.1:{proxy.port} refused CONNECT: 50")
    assert len(proxy.asked_for()) == 2


def self_signed() -> ssl.SSLContext:
    """A server whose certificate vouches for itself."""
    own = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with own.private_key_pem.tempfile() as key, own.cert_pem.tempfile() as certificate:
        context.load_cert_chain(certificate, key)
    return context


def of_another_authority() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    return context


REFUSED: dict[str, tuple[Any, str]] = {
    "another authority's": (
        of_another_authority,
        "unable to get local issuer certificate\nhint: the certificate is not trusted; SSL_CERT_FILE",
    ),
    "self-signed": (self_signed, "self-signed certificate\nhint: the certificate is not trusted; SSL_CERT_FILE"),
    "another name's": (
        lambda: server_context("example.org"),
        "Hostname mismatch, certificate is not valid for 'localhost'.\nhint: the certificate is for another name",
    ),
    "expired": (
        lambda: server_context("localhost", not_after=datetime(2020, 1, 2, tzinfo=UTC)),
        "certificate has expired\nhint: the certificate has expired; is this machine's clock right?",
    ),
}


@pytest.mark.parametrize("certificate", REFUSED)
def test_a_certificate_that_is_refused(style: str, trust: dict[str, str], certificate: str) -> None:
    context, message = REFUSED[certificate]
    with Server(respond_sequentially(), tls=context()) as server:
        outcome = ask(style, server.base_url, **trust)
    assert (outcome.texts, outcome.kind, outcome.retryable) == ([], "APIConnectionError", False)
    assert outcome.message.startswith(f"no connection to localhost:{server.port}: ")
    assert message in outcome.message
    assert (server.requests, server.connections) == ([], 1)


def test_a_certificate_is_looked_at_through_the_proxy_too(style: str, trust: dict[str, str], proxy: Tinyproxy) -> None:
    context, message = REFUSED["another name's"]
    with Server(respond_sequentially(), tls=context()) as server:
        outcome = ask(style, server.base_url, **trust, HTTPS_PROXY=url(proxy))
    assert (outcome.texts, outcome.kind, outcome.retryable) == ([], "APIConnectionError", False)
    through = f"no connection to localhost:{server.port} through the proxy 127.0.0.1:{proxy.port}: "
    assert outcome.message.startswith(through)
    assert message in outcome.message
    assert (server.requests, server.connections) == ([], 1)
    assert proxy.asked_for() == [f"localhost:{server.port}"]


def test_without_the_variable_nobody_is_trusted(style: str) -> None:
    with Server(respond_sequentially(), tls=server_context()) as server:
        outcome = ask(style, server.base_url)
    assert outcome.kind == "APIConnectionError"
    assert "hint: the certificate is not trusted; SSL_CERT_FILE" in outcome.message
    assert server.requests == []
