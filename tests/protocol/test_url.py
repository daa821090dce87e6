"""firsttoken._protocol.url: base URLs to endpoints."""

import sys
from typing import Any

import pytest

from firsttoken._protocol.url import Origin, ascii_host, chat_completions_endpoint, models_endpoint, split_url
from firsttoken.errors import ConfigurationError
from tests.support.errors import message_of


@pytest.mark.parametrize(
    ("base_url", "url", "address"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions", "api.openai.com:443"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1/chat/completions", "api.openai.com:443"),
        ("HTTP://LocalHost:8080", "http://localhost:8080/chat/completions", "localhost:8080"),
        ("http://x:80/", "http://x/chat/completions", "x:80"),
        ("https://x:80/", "https://x:80/chat/completions", "x:80"),
        ("http://[::1]:11434/v1", "http://[::1]:11434/v1/chat/completions", "[::1]:11434"),
        ("https://[::1]", "https://[::1]/chat/completions", "[::1]:443"),
        ("https://x/v1?api-version=1&b=%20", "https://x/v1/chat/completions?api-version=1&b=%20", "x:443"),
        ("https://bücher.example/v1", "https://xn--bcher-kva.example/v1/chat/completions", "xn--bcher-kva.example:443"),
        ("http://my_host/v1", "http://my_host/v1/chat/completions", "my_host:80"),
    ],
)
def test_an_endpoint(base_url: str, url: str, address: str) -> None:
    endpoint = chat_completions_endpoint(base_url)
    assert endpoint.url == url
    assert endpoint.origin.address == address
    assert endpoint.url.partition("://")[2] == endpoint.origin.authority + endpoint.target


@pytest.mark.parametrize(
    ("base_url", "target"),
    [
        ("https://x", "/models"),
        ("https://x/v1/", "/v1/models"),
        ("https://x/v1/chat/completions", "/v1/models"),
        ("https://x/v1?api-version=1", "/v1/models?api-version=1"),
    ],
)
def test_where_the_models_are_listed(base_url: str, target: str) -> None:
    assert models_endpoint(base_url).target == target


def test_an_origin_without_brackets() -> None:
    assert split_url("http://[fe80::1]:5/a?b", "x") == (Origin("http", "fe80::1", 5), "/a", "b")


HTTP_HINT = "\nhint: as in https://api.openai.com/v1"
USER = "base_url must not contain a user or password\nhint: use api_key= or default_headers="


@pytest.mark.parametrize(
    ("base_url", "message"),
    [
        ("", "base_url must be an http(s) URL: ''" + HTTP_HINT),
        ("api.openai.com/v1", "base_url must be an http(s) URL: 'api.openai.com/v1'" + HTTP_HINT),
        ("localhost:8080/v1", "base_url must be an http(s) URL: 'localhost:8080/v1'" + HTTP_HINT),
        ("ftp://x/?key=sk-1", "base_url must be an http(s) URL: 'ftp://x/'" + HTTP_HINT),
        ("https:///v1", "base_url must be an http(s) URL: 'https:///v1'" + HTTP_HINT),
        ("https://x:port/v1?key=sk-1", "base_url: invalid URL: 'https://x:port/v1'"),
        ("https://x:99999/v1", "base_url: invalid URL: 'https://x:99999/v1'"),
        ("https://[::1/v1", "base_url: invalid URL: 'https://[::1/v1'"),
        ("http://x:0/v1?key=sk-1", "base_url: the port must not be 0: 'http://x:0/v1'"),
        (5, "base_url must be a str, not int" + HTTP_HINT),
        (b"https://x/v1", "base_url must be a str, not bytes" + HTTP_HINT),
        ("https://me:sk-1@[::1/v1", "base_url: invalid URL: …"),
        ("https://me:sk-1@x/v1", USER),
        ("https://me:sk-1@x:port/v1", USER),
        ("https://sk-1@x/v1", USER),
        ("https://x/a b", "base_url: invalid character, which must be percent-encoded: 'https://x/a b'"),
        ("https://x/é?key=sk-1", "base_url: invalid character, which must be percent-encoded: 'https://x/é'"),
        ("https://x/?a=\x7f", "base_url: invalid character, which must be percent-encoded: 'https://x/'"),
        ("https://a b/v1", "base_url: invalid host: 'a b'"),
        ("https://a\0b/v1", "base_url: invalid host: 'a\\x00b'"),
        ("https://é..x/v1", "base_url: invalid host: 'é..x'"),
        ("https://" + "é" * 70 + "/v1", "base_url: invalid host: '" + "é" * 70 + "'"),
    ],
)
def test_what_is_no_base_url(base_url: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        chat_completions_endpoint(base_url)
    assert message_of(caught.value) == message
    assert "sk-1" not in message_of(caught.value) + str(caught.value.__cause__)


@pytest.mark.parametrize("smuggled", ["https://x/\r\nhost: evil", "https://x\r\n.evil/", "https://x/?a=\r\nb: c"])
def test_a_line_break_never_gets_into_a_head(smuggled: str) -> None:
    try:
        endpoint = chat_completions_endpoint(smuggled)
    except ConfigurationError:
        return
    assert endpoint.url.isprintable()
    assert " " not in endpoint.url


@pytest.mark.parametrize("has_idna", [True, False])
@pytest.mark.parametrize("host", ["bücher.example", "BÜCHER.example", "bu\u0308cher.example", "例え.テスト"])
def test_a_host_that_idna_2003_and_2008_agree_on(host: str, has_idna: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_idna:
        monkeypatch.setitem(sys.modules, "idna", None)
    assert ascii_host(host, "x") in ("xn--bcher-kva.example", "xn--r8jz45g.xn--zckzah")


@pytest.mark.parametrize(
    ("host", "encoded"), [("faß.de", "xn--fa-hia.de"), ("βόλος.com", "xn--nxasmm1c.com"), ("ﬁ.com", "fi.com")]
)
def test_a_host_that_needs_idna_2008(host: str, encoded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ascii_host(host, "base_url") == encoded
    monkeypatch.setitem(sys.modules, "idna", None)
    with pytest.raises(ConfigurationError) as caught:
        ascii_host(host, "base_url")
    assert message_of(caught.value) == (
        f"base_url: the host {host!r} needs IDNA 2008\nhint: write it in ASCII (xn--…) or install the package idna"
    )
