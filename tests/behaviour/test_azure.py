"""Azure OpenAI, as both clients speak to it: where requests go, with which key, and what comes back."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from firsttoken import AsyncClient, Client, chat_completion_request
from firsttoken.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ChatCompletionError,
    ConfigurationError,
    NotFoundError,
    RateLimitError,
)
from firsttoken.events import FinishedEvent, TextEvent
from tests.support.clients import KEY, REQUEST, drain
from tests.support.errors import message_of
from tests.support.server import Peer, Server, chunk, completion, respond_sequentially
from tests.support.sync_adapter import BlockingAsyncClient

AzureOf = Callable[..., Client]


@pytest.fixture(params=[Client, BlockingAsyncClient], ids=["sync", "async"])
def azure_of(request: pytest.FixtureRequest) -> Iterator[AzureOf]:
    """Makes clients of Azure whose endpoint is a server here; without retries, unless a test asks for them."""
    with ExitStack() as stack:

        def make(server: Server | None = None, **options: Any) -> Client:
            if server is not None:
                options["endpoint"] = f"http://127.0.0.1:{server.port}"
            return stack.enter_context(request.param.azure(**({"max_retries": 0} | options)))

        yield make


def answer(peer: Peer) -> None:
    peer.answer_json(200, completion())


# --- where to, and with which key -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({}, "/openai/v1/models"),
        ({"api_version": "2024-10-21"}, "/openai/models?api-version=2024-10-21"),
        ({"api_version": "2024-10-21", "deployment": "mine"}, "/openai/models?api-version=2024-10-21"),
    ],
)
def test_the_path_of_the_models(azure_of: AzureOf, options: dict[str, Any], target: str) -> None:
    answers = respond_sequentially(lambda peer: peer.answer_json(200, {"data": [{"id": "gpt"}]}))
    with Server(answers) as server:
        assert azure_of(server, api_key=KEY, **options).models() == ["gpt"]
    (request,) = server.requests
    assert request.line == f"GET {target} HTTP/1.1"
    assert request.headers["api-key"] == KEY


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({}, "/openai/v1/chat/completions"),
        ({"api_version": "preview"}, "/openai/v1/chat/completions?api-version=preview"),
        (
            {"api_version": "2024-10-21"},
            "/openai/deployments/test-model/chat/completions?api-version=2024-10-21",
        ),
        (
            {"api_version": "2024-10-21", "deployment": "my own"},
            "/openai/deployments/my%20own/chat/completions?api-version=2024-10-21",
        ),
    ],
    ids=["v1", "preview", "model", "deployment"],
)
def test_the_path_and_the_key(azure_of: AzureOf, options: dict[str, Any], target: str) -> None:
    with Server(respond_sequentially(answer)) as server:
        assert azure_of(server, api_key=KEY, **options).chat_completion(REQUEST).text == "Hello"
    (request,) = server.requests
    assert request.line == f"POST {target} HTTP/1.1"
    assert request.headers["api-key"] == KEY
    assert "authorization" not in request.headers
    assert request.json["model"] == "test-model"


def test_each_request_names_its_deployment(azure_of: AzureOf) -> None:
    with Server(respond_sequentially(answer, answer)) as server:
        client = azure_of(server, api_key=KEY, api_version="2024-10-21")
        client.chat_completion(chat_completion_request("a", "Hi"))
        client.chat_completion(chat_completion_request("b", "Hi", extra={"model": "c"}))
    assert [request.line.split("/")[3] for request in server.requests] == ["a", "c"]
    assert server.connections == 1


def test_the_environment_fills_what_was_not_given(azure_of: AzureOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai-itself")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-openai-itself")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    with Server(respond_sequentially(answer, answer)) as server:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", f"http://127.0.0.1:{server.port}/")
        azure_of().chat_completion(REQUEST)
        monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "token-of-the-environment")
        azure_of(api_version="v1").chat_completion(REQUEST)
    first, second = server.requests
    assert first.line.split()[1] == "/openai/deployments/test-model/chat/completions?api-version=2024-10-21"
    assert first.headers["api-key"] == KEY
    assert second.line.split()[1] == "/openai/v1/chat/completions"
    assert second.headers["authorization"] == "Bearer token-of-the-environment"
    assert "api-key" not in second.headers
    assert "of-openai-itself" not in repr(server.requests)


def test_a_key_of_openai_alone_is_none_for_azure(azure_of: AzureOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ConfigurationError) as caught:
        azure_of(endpoint="https://res.openai.azure.com")
    assert message_of(caught.value) == (
        "missing API key for Azure OpenAI\n"
        "hint: set AZURE_OPENAI_API_KEY, or pass api_key= or token_provider=; OPENAI_API_KEY is not sent there"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"api_key": KEY}, "missing endpoint of Azure OpenAI\nhint: set AZURE_OPENAI_ENDPOINT or pass endpoint="),
        (
            {"endpoint": "https://x", "api_key": KEY, "token_provider": lambda: "t"},
            "api_key and token_provider are mutually exclusive",
        ),
        (
            {"endpoint": "https://x", "token_provider": "token"},
            "token_provider must be a function that returns a token",
        ),
        ({"endpoint": "https://x", "api_key": "two\nlines"}, "the value of api_key has a line break"),
        ({"endpoint": "https://x", "api_key": KEY, "http_client": 3}, "http_client must be an httpx2."),
    ],
)
def test_what_can_not_be_used(azure_of: AzureOf, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        azure_of(**options)
    assert message_of(caught.value).startswith(words)


def test_a_gateways_own_key_is_enough(azure_of: AzureOf) -> None:
    with Server(respond_sequentially(answer)) as server:
        azure_of(server, default_headers={"Ocp-Apim-Subscription-Key": KEY}).chat_completion(REQUEST)
    assert server.requests[0].headers["ocp-apim-subscription-key"] == KEY


@pytest.mark.parametrize("kind", [Client, AsyncClient], ids=["sync", "async"])
def test_a_repr_shows_no_key(kind: Any) -> None:
    client = kind.azure("https://res.openai.azure.com?k=secret", api_key=KEY, deployment="d", api_version="2024-10-21")
    assert repr(client) == f"{kind.__name__}(base_url='https://res.openai.azure.com/openai/deployments/d')"


# --- content filters ------------------------------------------------------------------------------------------------

SAFE = {"hate": {"filtered": False, "severity": "safe"}}
PROMPT = {
    "choices": [],
    "created": 0,
    "id": "",
    "model": "",
    "object": "",
    "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": SAFE}],
}


def filtered(peer: Peer) -> None:
    """The default filter: results beside each piece, the prompt's first of all."""
    peer.begin_stream()
    peer.send_event(PROMPT)
    for content in ("Hel", "lo"):
        choice = chunk(content)["choices"][0]
        peer.send_event(chunk(choices=[{**choice, "content_filter_results": SAFE}]))
    peer.send_event(chunk(finish="content_filter"))
    peer.end_stream()


def filtered_later(peer: Peer) -> None:
    """The asynchronous filter: results come behind the text, in chunks without a delta."""
    peer.begin_stream()
    peer.send_event(PROMPT)
    peer.send_event(chunk("Hello"))
    offsets = {"check_offset": 44, "start_offset": 44, "end_offset": 198}
    later = {"index": 0, "finish_reason": None, "content_filter_results": SAFE, "content_filter_offsets": offsets}
    peer.send_event({"id": "", "object": "", "created": 0, "model": "", "choices": [later]})
    peer.send_event(chunk(finish="stop"))
    peer.send_event({"id": "", "object": "", "created": 0, "model": "", "choices": [{**later, "delta": {}}]})
    peer.end_stream()


def test_what_the_filter_says_is_kept(azure_of: AzureOf) -> None:
    with Server(respond_sequentially(filtered)) as server:
        stream = azure_of(server, api_key=KEY).chat_completion_stream(REQUEST)
        chunks = list(stream)
    assert chunks[0].choices == []
    assert chunks[0].extra == {"prompt_filter_results": PROMPT["prompt_filter_results"]}
    assert [piece.choices[0].extra for piece in chunks[1:3]] == [{"content_filter_results": SAFE}] * 2
    completion = stream.final_completion()
    assert (completion.id, completion.model, completion.text) == ("chatcmpl-1", "test-model", "Hello")
    assert completion.choices[0].finish_reason == "content_filter"
    assert completion.choices[0].extra == {"content_filter_results": SAFE}
    assert completion.extra == {"prompt_filter_results": PROMPT["prompt_filter_results"]}


def test_results_that_come_behind_the_text_are_kept(azure_of: AzureOf) -> None:
    with Server(respond_sequentially(filtered_later, filtered_later)) as server:
        client = azure_of(server, api_key=KEY)
        stream = client.chat_completion_stream(REQUEST)
        chunks = list(stream)
        events = list(client.chat_completion_stream(REQUEST).iter_events())
    offsets = {"check_offset": 44, "start_offset": 44, "end_offset": 198}
    for piece in (chunks[2], chunks[4]):
        assert piece.text == ""
        assert piece.choices[0].extra == {"content_filter_results": SAFE, "content_filter_offsets": offsets}
    assert stream.completion.text == "Hello"
    assert stream.completion.choices[0].finish_reason == "stop"
    assert stream.completion.choices[0].extra["content_filter_offsets"] == offsets
    assert events == [
        TextEvent(choice_index=0, delta="Hello"),
        FinishedEvent(choice_index=0, finish_reason="stop"),
    ]


# --- errors ---------------------------------------------------------------------------------------------------------

POLICY = {
    "error": {
        "message": "The response was filtered.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": SAFE},
    }
}
ERRORS: dict[str, tuple[int, Any, dict[str, str], type[ChatCompletionError], str]] = {
    "content filter": (400, POLICY, {}, BadRequestError, "400 Bad Request: The response was filtered."),
    "flat": (
        401,
        {"statusCode": 401, "message": "Unauthorized. Access token is missing."},
        {},
        AuthenticationError,
        "401 Unauthorized: Unauthorized. Access token is missing.",
    ),
    "no deployment": (
        404,
        {"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}},
        {},
        NotFoundError,
        "404 Not Found: The API deployment does not exist.",
    ),
    "too many": (
        429,
        {"error": {"code": "429", "message": "Please retry after 86400 seconds."}},
        {"retry-after": "86400"},
        RateLimitError,
        "429 Too Many Requests: Please retry after 86400 seconds.",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_read(azure_of: AzureOf, name: str) -> None:
    status, body, headers, kind, words = ERRORS[name]

    def refuse(peer: Peer) -> None:
        peer.answer_json(status, body, {"apim-request-id": "req-1"} | headers)

    with Server(respond_sequentially(refuse)) as server:
        _, failure = drain(azure_of(server, api_key=KEY, max_retries=2).chat_completion_stream(REQUEST))
    assert isinstance(failure, APIStatusError)
    assert type(failure) is kind
    where = f" to POST http://127.0.0.1:{server.port}/openai/v1/chat/completions"  # said of a 404
    assert message_of(failure).splitlines()[0].replace(where, "") == f"the server answered {words}"
    assert failure.body == body
    assert failure.code == body.get("error", {}).get("code")
    assert failure.retry_after_s == (86400 if name == "too many" else None)
    assert failure.request_id == "req-1"
    assert len(server.requests) == 1
