"""What a client of Azure OpenAI was made with; loaded only by `Client.azure` and `AsyncClient.azure`."""

import os
from collections.abc import Mapping

from firsttoken._core.azure import AzureResource
from firsttoken._core.redaction import secrets_of_headers
from firsttoken._core.request import check_header_value
from firsttoken._core.url import Endpoint
from firsttoken._plan import TokenProvider
from firsttoken._settings import HTTPClient, Settings
from firsttoken._types.timeout import Timeout
from firsttoken.errors import ConfigurationError


class AzureSettings(Settings):
    """What a client of Azure OpenAI was made with, checked. Of the variables for OpenAI itself none is looked at.

    Args: as those of `firsttoken.Client.azure`.

    Raises:
        ConfigurationError: one of them can't be used, or endpoint or key are missing.
    """

    def __init__(
        self,
        *,
        endpoint: str | None,
        deployment: str | None,
        api_version: str | None,
        api_key: str | None,
        token_provider: TokenProvider | None,
        timeout: Timeout,
        max_retries: int,
        default_headers: Mapping[str, str] | None,
        proxy: str | None,
        http_client: HTTPClient | None,
    ) -> None:
        environment = os.environ
        endpoint = environment.get("AZURE_OPENAI_ENDPOINT") if endpoint is None else endpoint
        if not endpoint:
            raise ConfigurationError(
                "there is no endpoint of Azure OpenAI",
                hint="set AZURE_OPENAI_ENDPOINT or pass endpoint=, as in https://my-resource.openai.azure.com",
            )
        if api_version is None:
            api_version = environment.get("OPENAI_API_VERSION") or None
        self._resource = AzureResource(endpoint, deployment, api_version)
        self.base_url = self._resource.base_url
        keys = _key_headers(api_key, token_provider)
        self._keep(keys, token_provider, timeout, max_retries, default_headers, proxy, http_client)
        if not secrets_of_headers(self.headers) and token_provider is None and http_client is None:
            raise ConfigurationError(
                "there is no key for Azure OpenAI",
                hint="set AZURE_OPENAI_API_KEY, or pass api_key= or token_provider=; OPENAI_API_KEY is not sent there",
            )

    def endpoint_of(self, model: object) -> Endpoint:
        """Where a request for a model goes."""
        return self._resource.endpoint_of(model)


def _key_headers(api_key: str | None, token_provider: TokenProvider | None) -> dict[str, str]:
    """The header with the key that was given, else with that of the environment, where a token goes before a key."""
    if token_provider is not None:
        if api_key is not None:
            raise ConfigurationError("api_key and token_provider exclude each other", hint="give the one to be used")
        if not callable(token_provider):
            raise ConfigurationError(
                f"token_provider must be a function that gives a token, not {type(token_provider).__name__}",
                hint="as azure.identity.get_bearer_token_provider makes one",
            )
        return {}
    if api_key is None:
        token = os.environ.get("AZURE_OPENAI_AD_TOKEN")
        if token:
            return {"authorization": f"Bearer {check_header_value('AZURE_OPENAI_AD_TOKEN', token)}"}
    key = os.environ.get("AZURE_OPENAI_API_KEY") if api_key is None else api_key
    return {"api-key": check_header_value("api_key", key)} if key else {}
