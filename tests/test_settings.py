"""firsttoken._client.config: what a client is made with, and what one call sends."""

import json
from typing import Any

import pytest

from firsttoken import AsyncClient, Client, Timeout, chat_completion_request
from firsttoken._client.config import ClientConfig
from firsttoken._client.prepared import PreparedRequest
from firsttoken._client.settings import CommonSettings
from firsttoken._version import __version__
from firsttoken.errors import ConfigurationError
from tests.support.errors import message_of

KEY = "sk-0123456789abcdef"
REQUEST = chat_completion_request("m", "Hi")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable that the settings look at is set."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


def made(**given: Any) -> ClientConfig:
    arguments: dict[str, Any] = dict.fromkeys(("api_key", "base_url", "organization", "project"))
    common: dict[str, Any] = dict.fromkeys(
        ("default_headers", "ssl_context", "proxy", "http_client", "limiter", "observer", "reasoning_tags")
    )
    common |= {"timeout": Timeout(), "max_retries": 2, "max_idle_connections": 100, "require_finish_reason": True}
    for name, value in given.items():
        (common if name in common else arguments)[name] = value
    return ClientConfig(**arguments, common=CommonSettings("Client", **common))


def planned(settings: ClientConfig, request: Any = REQUEST, *, streamed: bool = True, **given: Any) -> PreparedRequest:
    arguments: dict[str, Any] = {"timeout": None, "max_retries": None, "headers": None} | given
    return settings.prepare(request, streamed=streamed, **arguments)


def head_and_body(plan: PreparedRequest) -> tuple[str, dict[str, str], Any]:
    head, _, body = plan.wire_bytes.partition(b"\r\n\r\n")
    line, *fields = head.decode("ascii").split("\r\n")
    return line, dict(field.split(": ", 1) for field in fields), json.loads(body)


def test_openai_is_the_server_by_default() -> None:
    line, headers, body = head_and_body(planned(made(api_key=KEY)))
    assert line == "POST /v1/chat/completions HTTP/1.1"
    python = headers.pop("user-agent").removeprefix(f"firsttoken/{__version__} ")
    assert python.startswith("python/3.")
    assert headers.pop("content-length") == str(len(json.dumps(body, separators=(",", ":"))))
    assert headers == {
        "host": "api.openai.com",
        "accept": "text/event-stream",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "authorization": f"Bearer {KEY}",
    }
    assert body["stream"] is True


def test_the_blocking_call_accepts_json_and_codings() -> None:
    _, headers, body = head_and_body(planned(made(api_key=KEY), streamed=False))
    assert (headers["accept"], headers["accept-encoding"]) == ("application/json", "gzip, deflate")
    assert "stream" not in body


def test_the_environment_fills_what_was_not_given(bare_environment: pytest.MonkeyPatch) -> None:
    for name, value in {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": "http://host:1/v2",
        "OPENAI_ORG_ID": "org",
        "OPENAI_PROJECT_ID": "proj",
    }.items():
        bare_environment.setenv(name, value)
    settings = made()
    assert settings.endpoint.url == "http://host:1/v2/chat/completions"
    _, headers, _ = head_and_body(planned(settings))
    assert headers["authorization"] == f"Bearer {KEY}"
    assert (headers["openai-organization"], headers["openai-project"]) == ("org", "proj")
    given = made(api_key="other", base_url="http://x", organization="o", project="p")
    _, headers, _ = head_and_body(planned(given))
    assert headers["authorization"] == "Bearer other"
    assert (headers["openai-organization"], headers["openai-project"], headers["host"]) == ("o", "p", "x")


def test_empty_variables_are_as_good_as_none(bare_environment: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID"):
        bare_environment.setenv(name, "")
    with pytest.raises(ConfigurationError, match="missing API key"):
        made()
    assert "openai-organization" not in made(api_key=KEY).headers


def test_a_key_is_needed_for_openai_alone() -> None:
    for api_key in (None, ""):
        with pytest.raises(ConfigurationError) as caught:
            made(api_key=api_key)
        assert message_of(caught.value) == (
            "missing API key for api.openai.com\nhint: set OPENAI_API_KEY or pass api_key=; "
            "for another server set OPENAI_BASE_URL or pass base_url="
        )
    assert "authorization" not in made(base_url="http://localhost:8080/v1").headers
    assert made(default_headers={"Authorization": "Bearer own"}).headers["authorization"] == "Bearer own"


def test_an_empty_key_keeps_the_one_of_the_environment_away(bare_environment: pytest.MonkeyPatch) -> None:
    bare_environment.setenv("OPENAI_API_KEY", KEY)
    assert "authorization" not in made(api_key="", base_url="http://x").headers


def test_headers_of_the_call_go_before_those_of_the_client_and_these_before_ours() -> None:
    settings = made(api_key=KEY, default_headers={"User-Agent": "mine", "X-A": "1", "Accept": "x/y"})
    _, headers, _ = head_and_body(planned(settings, headers={"x-a": "2", "Authorization": "Bearer other"}))
    assert (headers["user-agent"], headers["x-a"], headers["accept"]) == ("mine", "2", "x/y")
    assert headers["authorization"] == "Bearer other"
    _, headers, _ = head_and_body(planned(settings))
    assert headers["x-a"] == "1"


@pytest.mark.parametrize(
    "given",
    [
        {"api_key": f"{KEY}\r\nx: y"},
        {"api_key": f"{KEY}\n"},
        {"api_key": KEY, "organization": f"{KEY}\n"},
        {"default_headers": {"authorization": f"Bearer {KEY}\n"}},
    ],
)
def test_a_key_with_a_line_break_is_refused_without_showing_it(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(**given)
    assert "hint: was it copied with a new line at its end?" in message_of(caught.value)
    assert KEY not in message_of(caught.value)


def test_a_key_is_in_no_repr() -> None:
    settings = made(api_key=KEY)
    plan = planned(settings)
    assert KEY not in repr(settings) + repr(plan) + str(settings) + str(plan)


@pytest.mark.parametrize("url", ["http://x/v1?key=0123456789", "http://x/v1#0123456789", "http://x/v1"])
def test_the_query_of_the_base_url_is_in_no_repr(url: str) -> None:
    assert repr(Client(base_url=url)) == "Client(base_url='http://x/v1')"
    assert repr(AsyncClient(base_url=url)) == "AsyncClient(base_url='http://x/v1')"


@pytest.mark.parametrize(
    ("given", "secrets"),
    [
        ({"api_key": KEY}, (KEY,)),
        ({"api_key": "test"}, ()),
        ({}, ()),
        ({"default_headers": {"api-key": KEY}}, (KEY,)),
        ({"default_headers": {"X-API-Key": KEY}}, (KEY,)),
        ({"default_headers": {"X-Own-Token": KEY, "x-plain": "no-secret-at-all"}}, (KEY,)),
        ({"default_headers": {"X-Goog-Api-Key": KEY, "x-secret-id": "another-one"}}, (KEY, "another-one")),
        ({"default_headers": {"Ocp-Subscription-KEY": KEY}}, (KEY,)),
        ({"default_headers": {"Cookie": "session=0123456789; a=b; id=abcdefghij=="}}, ("0123456789", "abcdefghij==")),
        ({"default_headers": {"Authorization": "Negotiate-X YWJjZGVmZw=="}}, ("YWJjZGVmZw==",)),
        ({"base_url": "http://x?key=0123456789&a=b&sig=a%2Bbcdefgh"}, ("0123456789", "a%2Bbcdefgh", "a+bcdefgh")),
        ({"base_url": "http://x?0123456789"}, ("0123456789",)),
        ({"base_url": "http://x?api-version=2024-10-21-preview"}, ()),
        ({"proxy": "http://me:password1@p"}, ("bWU6cGFzc3dvcmQx", "password1")),
    ],
)
def test_what_no_error_may_show(given: dict[str, Any], secrets: tuple[str, ...]) -> None:
    found = planned(made(**({"base_url": "http://x"} | given))).secrets
    assert set(found) == set(secrets)
    assert len(found) == len(secrets)


def test_a_call_has_the_clients_limits_unless_it_names_its_own() -> None:
    settings = made(api_key=KEY, timeout=Timeout(idle_s=1), max_retries=5)
    plan = planned(settings)
    assert (plan.timeout, plan.max_retries, plan.expected_choices) == (Timeout(idle_s=1), 5, 1)
    own = planned(settings, chat_completion_request("m", "Hi", n=3), timeout=Timeout(idle_s=2), max_retries=0)
    assert (own.timeout, own.max_retries, own.expected_choices) == (Timeout(idle_s=2), 0, 3)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"n": 3}, 3),
        ({"extra": {"n": 2}}, 2),
        ({"n": 3, "extra": {"n": 2}}, 2),
        ({"n": 3, "extra": {"n": None}}, 1),
        ({"n": 3, "extra": None}, 3),
    ],
)
def test_as_many_choices_are_waited_for_as_are_asked_for(fields: dict[str, Any], wanted: int) -> None:
    plan = planned(made(api_key=KEY), chat_completion_request("m", "Hi", **fields))
    assert plan.expected_choices == wanted
    assert (json.loads(plan.body).get("n") or 1) == wanted


@pytest.mark.parametrize("n", ["2", 0, -1, 1.0, True, [1]])
def test_what_is_no_number_of_choices(n: Any) -> None:
    fields: list[dict[str, Any]] = [{"n": n}, {"extra": {"n": n}}]
    for given in fields:
        with pytest.raises(ConfigurationError) as caught:
            planned(made(api_key=KEY), chat_completion_request("m", "Hi", **given))
        assert message_of(caught.value) == f"n must be an int of 1 or more: {n!r}"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"base_url": 5}, "base_url must be a str, not int\nhint: as in https://api.openai.com/v1"),
        ({"proxy": 5}, "proxy must be a str, not int\nhint: as in http://127.0.0.1:3128"),
        (
            {"default_headers": [("a", "b")]},
            'headers must be a mapping of names to values, not list\nhint: as in {"x-name": "value"}',
        ),
        ({"default_headers": {1: "b"}}, "the name of a header must be a str, not int"),
        ({"api_key": 5}, "the value of api_key must be a str, not int"),
    ],
)
def test_arguments_of_the_wrong_type(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        planned(made(**({"api_key": KEY} | given)))
    assert message_of(caught.value) == message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"timeout": 30}, "timeout must be a Timeout, not int\nhint: as in Timeout(idle_s=30)"),
        ({"max_retries": -1}, "max_retries must be an int of 0 or more: -1"),
        ({"max_retries": "2"}, "max_retries must be an int of 0 or more: '2'"),
        ({"max_retries": True}, "max_retries must be an int of 0 or more: True"),
    ],
)
def test_limits_are_checked(given: dict[str, Any], message: str) -> None:
    settings = made(api_key=KEY)
    for call in (lambda: made(api_key=KEY, **given), lambda: planned(settings, **given)):
        with pytest.raises(ConfigurationError) as caught:
            call()
        assert message_of(caught.value) == message


def test_the_wrong_method_for_a_request() -> None:
    request = chat_completion_request("m", "Hi", stream=True)
    with pytest.raises(ConfigurationError) as caught:
        planned(made(api_key=KEY), request, streamed=False)
    assert message_of(caught.value) == (
        "chat_completion waits for the complete response, but request.stream is True\n"
        "hint: use chat_completion_stream(request), or leave stream out"
    )
    assert planned(made(api_key=KEY), request).streamed


def test_the_wrong_method_for_a_field_of_the_servers_own() -> None:
    request = chat_completion_request("m", "Hi", extra={"stream": True})
    with pytest.raises(ConfigurationError) as caught:
        planned(made(api_key=KEY), request, streamed=False)
    assert message_of(caught.value).startswith(
        'chat_completion waits for the complete response, but request.extra["stream"] is'
    )
    request = chat_completion_request("m", "Hi", extra={"stream": False})
    assert json.loads(planned(made(api_key=KEY), request).body)["stream"] is True


def test_what_is_no_request() -> None:
    with pytest.raises(ConfigurationError) as caught:
        planned(made(api_key=KEY), {"model": "m"})
    assert message_of(caught.value) == (
        "a request must be a ChatCompletionRequest, not dict\n"
        "hint: make one with chat_completion_request(model, messages, …)"
    )


def test_a_proxy_for_plain_http_gets_the_absolute_uri_and_its_password() -> None:
    plan = planned(made(base_url="http://x:1/v1", proxy="http://me:pw@p"))
    line, headers, _ = head_and_body(plan)
    assert line == "POST http://x:1/v1/chat/completions HTTP/1.1"
    assert (headers["host"], headers["proxy-authorization"]) == ("x:1", "Basic bWU6cHc=")


def test_a_proxy_for_https_sees_nothing_of_the_request(bare_environment: pytest.MonkeyPatch) -> None:
    bare_environment.setenv("HTTPS_PROXY", "http://me:pw@p")
    plan = planned(made(api_key=KEY))
    line, headers, _ = head_and_body(plan)
    assert plan.route.proxy is not None
    assert line == "POST /v1/chat/completions HTTP/1.1"
    assert "proxy-authorization" not in headers


def test_connections_are_alike_by_origin_and_proxy() -> None:
    one = planned(made(base_url="http://x/v1"))
    assert one.route.pool_key == planned(made(base_url="http://x/v2", api_key=KEY)).route.pool_key
    assert one.route.pool_key != planned(made(base_url="http://x:81/v1")).route.pool_key
    assert one.route.pool_key != planned(made(base_url="http://x/v1", proxy="http://p")).route.pool_key
