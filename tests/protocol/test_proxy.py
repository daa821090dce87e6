"""firsttoken._protocol.proxy: the environment's rules, and CONNECT."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from firsttoken._protocol.proxy import Proxy, connect_head, is_bypassed, proxy_for
from firsttoken._protocol.url import Origin
from firsttoken.errors import ConfigurationError
from tests.support.errors import message_of

HTTPS, HTTP = Origin("https", "api.test", 443), Origin("http", "api.test", 80)


def address_of(proxy: Proxy | None) -> str | None:
    return None if proxy is None else proxy.origin.address


@pytest.mark.parametrize(
    ("origin", "environment", "address"),
    [
        (HTTPS, {}, None),
        (HTTPS, {"HTTPS_PROXY": "http://p:1"}, "p:1"),
        (HTTPS, {"https_proxy": "http://p:1"}, "p:1"),
        (HTTPS, {"https_proxy": "http://p:1", "HTTPS_PROXY": "http://q:2"}, "p:1"),
        (HTTPS, {"HTTP_PROXY": "http://p:1", "http_proxy": "http://p:1"}, None),
        (HTTP, {"HTTP_PROXY": "http://p:1"}, "p:1"),
        (HTTP, {"HTTPS_PROXY": "http://p:1"}, None),
        (HTTPS, {"ALL_PROXY": "http://p:1"}, "p:1"),
        (HTTP, {"all_proxy": "http://p:1", "ALL_PROXY": "http://q:2"}, "p:1"),
        (HTTPS, {"all_proxy": "http://p:1", "HTTPS_PROXY": "http://q:2"}, "q:2"),
        (HTTPS, {"HTTPS_PROXY": " ", "ALL_PROXY": "http://q:2"}, "q:2"),
        (HTTPS, {"HTTPS_PROXY": "p:1"}, "p:1"),
        (HTTPS, {"HTTPS_PROXY": "p"}, "p:80"),
        (HTTPS, {"HTTPS_PROXY": "http://[::1]:3128/"}, "[::1]:3128"),
        (HTTP, {"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, None),
        (HTTP, {"http_proxy": "http://p:1", "REQUEST_METHOD": "GET"}, "p:1"),
        (HTTPS, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api.test"}, None),
        (HTTPS, {"HTTPS_PROXY": "http://p:1", "no_proxy": "api.test"}, None),
        (HTTPS, {"HTTPS_PROXY": "http://p:1", "no_proxy": "x", "NO_PROXY": "api.test"}, "p:1"),
        (HTTPS, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": ""}, "p:1"),
    ],
)
def test_the_proxy_of_the_environment(origin: Origin, environment: dict[str, str], address: str | None) -> None:
    assert address_of(proxy_for(origin, None, environment)) == address


def test_the_callers_choice_goes_before_the_environment() -> None:
    environment = {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}
    assert address_of(proxy_for(HTTPS, "http://q:2", environment)) == "q:2"
    assert proxy_for(HTTPS, "", environment) is None


@pytest.mark.parametrize(
    ("url", "user"),
    [("http://me:pw@p", "me:pw"), ("http://me@p", "me:"), ("http://m%40e:p%3Aw@p", "m@e:p:w"), ("http://é:ü@p", "é:ü")],
)
def test_a_user_and_a_password(url: str, user: str) -> None:
    proxy = proxy_for(HTTPS, url, {})
    assert proxy is not None
    assert proxy.authorization == "Basic " + b64encode(user.encode()).decode()
    assert repr(proxy) == "Proxy(p:80)"
    name, _, password = user.partition(":")
    assert proxy.secrets == (proxy.authorization.removeprefix("Basic "), name, password)


@pytest.mark.parametrize("url", ["http://\udcff:%ff@p", "http://%FF:\udcff@p"])
def test_a_user_that_is_not_utf8_goes_out_as_it_is(url: str) -> None:
    proxy = proxy_for(HTTPS, url, {})
    assert proxy is not None
    assert proxy.authorization == "Basic " + b64encode(b"\xff:\xff").decode()


@pytest.mark.parametrize("url", ["http://\ud800@p", "http://me:\ud800secret@p"])
def test_a_user_that_can_not_be_encoded_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        proxy_for(HTTPS, url, {})
    assert str(caught.value) == "proxy: invalid character in the user or password of the proxy"


class WindowsEnvironment(Mapping[str, str]):
    """Names have no case, and are upper case where they are listed: as `os.environ` is on Windows."""

    def __init__(self, **variables: str) -> None:
        self._variables = {name.upper(): value for name, value in variables.items()}

    def __getitem__(self, name: str) -> str:
        return self._variables[name.upper()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def test_a_header_of_a_cgi_request_sets_no_proxy_on_windows() -> None:
    """The server sets HTTP_PROXY for a request's header `Proxy`: CVE-2016-5385, "httpoxy"."""
    given = "http://evil.test:1"
    assert proxy_for(HTTP, None, WindowsEnvironment(HTTP_PROXY=given, REQUEST_METHOD="GET")) is None
    assert address_of(proxy_for(HTTP, None, WindowsEnvironment(http_proxy="http://p:1"))) == "p:1"
    under_cgi = WindowsEnvironment(https_proxy="http://p:1", REQUEST_METHOD="GET")
    assert address_of(proxy_for(HTTPS, None, under_cgi)) == "p:1"


def test_the_host_of_a_proxy_is_encoded_as_that_of_a_base_url() -> None:
    assert address_of(proxy_for(HTTPS, "http://faß.de:1", {})) == "xn--fa-hia.de:1"


def test_a_password_that_the_environment_could_not_decode() -> None:
    proxy = proxy_for(HTTPS, None, {"HTTPS_PROXY": "http://me:\udcff@p"})
    assert proxy is not None
    assert proxy.authorization == "Basic " + b64encode(b"me:\xff").decode()
    assert proxy.secrets[1:] == ("me", "\udcff")
    assert Proxy(proxy.origin, "").secrets == ("", "", "")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "https://me:secret@p",
            (
                "HTTPS_PROXY: the proxy must be an http:// URL\n"
                'hint: proxy="" connects directly; http_client= takes a client that speaks SOCKS or TLS to a proxy'
            ),
        ),
        (
            "socks5://me:secret@p",
            (
                "HTTPS_PROXY: the proxy must be an http:// URL\n"
                'hint: proxy="" connects directly; http_client= takes a client that speaks SOCKS or TLS to a proxy'
            ),
        ),
        (
            "http://",
            (
                "HTTPS_PROXY: the proxy must be an http:// URL\n"
                'hint: proxy="" connects directly; http_client= takes a client that speaks SOCKS or TLS to a proxy'
            ),
        ),
        ("http://me:secret", "HTTPS_PROXY: invalid host or port in the URL of the proxy"),
        ("http://me:secret@p:99999", "HTTPS_PROXY: invalid host or port in the URL of the proxy"),
        ("http://me:secret@[::1", "HTTPS_PROXY: invalid host or port in the URL of the proxy"),
    ],
)
def test_what_is_no_proxy_is_refused_without_showing_it(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        proxy_for(HTTPS, None, {"HTTPS_PROXY": url})
    assert message_of(caught.value) == message
    assert caught.value.__cause__ is None


def test_a_proxy_that_is_no_text_or_has_no_port() -> None:
    wrong: list[tuple[Any, str]] = [
        (5, "proxy must be a str, not int\nhint: as in http://127.0.0.1:3128"),
        ("http://me:secret@p:0", "proxy: the port of the proxy must not be 0"),
    ]
    for given, message in wrong:
        with pytest.raises(ConfigurationError) as caught:
            proxy_for(HTTPS, given, {})
        assert message_of(caught.value) == message


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("api.test", "*"),
        ("api.test", "api.test"),
        ("api.test", "API.Test"),
        ("API.test.", "api.test"),
        ("api.test", "other, api.test"),
        ("api.test", "other api.test"),
        ("api.test", "test"),
        ("api.test", ".test"),
        ("api.test", "*.test"),
        ("api.test", "api.test:443"),
        ("api.test", "api.test."),
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.2.3", "10.0.0.0/8"),
        ("10.1.2.3", "10.9.9.9/8"),
        ("::1", "::1"),
        ("::1", "[::1]"),
        ("::1", "[::1]:443"),
        ("fd00::5", "fd00::/8"),
    ],
)
def test_no_proxy_names_it(host: str, no_proxy: str) -> None:
    assert is_bypassed(Origin("https", host, 443), no_proxy)


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("api.test", ""),
        ("api.test", " , "),
        ("api.test", "pi.test"),
        ("api.test", "api.tes"),
        ("api.test", "x.api.test"),
        ("api.test", "api.test:80"),
        ("api.test", "10.0.0.0/8"),
        ("api.test", "."),
        ("10.1.2.3", "10.0.0.0/16"),
        ("10.1.2.3", "fd00::/8"),
        ("10.1.2.3", "10.0.0.0/99"),
        ("::1", "[::1]:80"),
        ("fd00::5", "fe00::/8"),
    ],
)
def test_no_proxy_does_not_name_it(host: str, no_proxy: str) -> None:
    assert not is_bypassed(Origin("https", host, 443), no_proxy)


def test_the_words_of_connect() -> None:
    proxy = Proxy(Origin("http", "p", 80), "")
    assert connect_head(HTTPS, proxy) == b"CONNECT api.test:443 HTTP/1.1\r\nhost: api.test:443\r\n\r\n"
    assert connect_head(Origin("https", "::1", 8443), proxy._replace(authorization="Basic eA==")) == (
        b"CONNECT [::1]:8443 HTTP/1.1\r\nhost: [::1]:8443\r\nproxy-authorization: Basic eA==\r\n\r\n"
    )
