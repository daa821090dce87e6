"""firsttoken._client.azure: a resource to the addresses of its requests."""

import pickle
from typing import Any

import pytest

from firsttoken._client.azure import AzureResource
from firsttoken.errors import ConfigurationError
from tests.support.errors import message_of

ENDPOINT = "https://res.openai.azure.com"


@pytest.mark.parametrize(
    ("endpoint", "deployment", "version", "url"),
    [
        (ENDPOINT, None, None, "/openai/v1/chat/completions"),
        (f"{ENDPOINT}/", None, "v1", "/openai/v1/chat/completions"),
        (ENDPOINT, None, "preview", "/openai/v1/chat/completions?api-version=preview"),
        (ENDPOINT, None, " preview ", "/openai/v1/chat/completions?api-version=preview"),
        (ENDPOINT, None, "latest", "/openai/v1/chat/completions?api-version=latest"),
        (ENDPOINT, None, "2024-10-21", "/openai/deployments/gpt/chat/completions?api-version=2024-10-21"),
        (ENDPOINT, "prod", "2024-10-21", "/openai/deployments/prod/chat/completions?api-version=2024-10-21"),
        (ENDPOINT, "a b/é", "2024 1", "/openai/deployments/a%20b%2F%C3%A9/chat/completions?api-version=2024%201"),
        (f"{ENDPOINT}/gate/way/?k=1", None, None, "/gate/way/openai/v1/chat/completions?k=1"),
        (f"{ENDPOINT}?k=1", "d", "2024", "/openai/deployments/d/chat/completions?api-version=2024&k=1"),
    ],
)
def test_an_address(endpoint: str, deployment: str | None, version: str | None, url: str) -> None:
    assert AzureResource(endpoint, deployment, version).endpoint_for("gpt").url == ENDPOINT + url


@pytest.mark.parametrize(
    ("deployment", "version", "shown"),
    [
        (None, None, f"{ENDPOINT}/openai/v1"),
        (None, "2024-10-21", f"{ENDPOINT}/openai/deployments"),
        ("prod", "2024-10-21", f"{ENDPOINT}/openai/deployments/prod"),
    ],
)
def test_what_is_shown_has_no_query(deployment: str | None, version: str | None, shown: str) -> None:
    assert AzureResource(f"{ENDPOINT}?k=secret", deployment, version).base_url == shown


HINT = "\nhint: pass the part before /openai, as in https://my-resource.openai.azure.com"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("ftp://x", None, None), "endpoint must be an http(s) URL: 'ftp://x'\nhint: as in https://my-resource.ope"),
        ((f"{ENDPOINT}/openai/v1/", None, None), "endpoint must not contain the path of the API: /openai/v1" + HINT),
        ((f"{ENDPOINT}/openai", None, None), "endpoint must not contain the path of the API: /openai" + HINT),
        (
            (f"{ENDPOINT}?api-version=v1", None, None),
            "endpoint must not contain an api-version\nhint: pass it as api_version=",
        ),
        (
            (f"{ENDPOINT}/openai/deployments/d/chat/completions?api-version=1", None, "1"),
            "endpoint must not contain the path of the API: /openai/deployments/d/chat/completions" + HINT,
        ),
        (
            (ENDPOINT, "d", None),
            "deployment= requires a dated api_version\nhint: pass api_version=",
        ),
        ((ENDPOINT, "..", "2024"), "the deployment must be a name, not '..'"),
        ((ENDPOINT, "", "2024"), "the deployment must be a name, not ''"),
        ((ENDPOINT, "\ud800", "2024"), "invalid deployment: '\\ud800'"),
        ((ENDPOINT, None, " "), "api_version must be a str like 2024-10-21 or v1, not ' '"),
        ((ENDPOINT, None, 2024), "api_version must be a str like 2024-10-21 or v1, not 2024"),
    ],
)
def test_what_can_not_be_used(arguments: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AzureResource(*arguments)
    assert message_of(caught.value).startswith(words)


@pytest.mark.parametrize("model", [None, "", ".", 3])
def test_a_model_that_is_no_deployment(model: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AzureResource(ENDPOINT, None, "2024-10-21").endpoint_for(model)
    assert message_of(caught.value) == f"the model, which names the deployment, must be a name, not {model!r}"


@pytest.mark.parametrize(
    ("deployment", "version", "url"),
    [
        (None, None, "/openai/v1/models"),
        ("prod", "2024-10-21", "/openai/models?api-version=2024-10-21"),
    ],
)
def test_the_address_of_the_models(deployment: str | None, version: str | None, url: str) -> None:
    assert AzureResource(ENDPOINT, deployment, version).models_endpoint.url == ENDPOINT + url


def test_a_pickle_has_no_key_of_the_query() -> None:
    resource = AzureResource(f"{ENDPOINT}?code=secret", "prod", "2024-10-21")
    copy = pickle.loads(pickle.dumps(resource))
    assert copy.endpoint_for("gpt").url == f"{ENDPOINT}/openai/deployments/prod/chat/completions?api-version=2024-10-21"
