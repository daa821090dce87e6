"""The configuration of a client for Azure OpenAI."""

import os

from firsttoken._client.config import ClientConfig
from firsttoken._client.prepared import TokenProvider
from firsttoken._client.settings import CommonSettings
from firsttoken._protocol.azure import AzureResource
from firsttoken._protocol.redaction import secrets_of_headers
from firsttoken._protocol.request import check_header_value
from firsttoken._protocol.url import Endpoint
from firsttoken.errors import ConfigurationError


class AzureConfig(ClientConfig):
    """The checked configuration of a client for Azure OpenAI. OpenAI's own environment variables are ignored.

    Args: as those of `firsttoken.Client.azure`, the common ones checked.

    Raises:
        ConfigurationError: an argument is invalid, or the endpoint or the key is missing.
    """

    def __init__(
        self,
        endpoint: str | None,
        deployment: str | None,
        api_version: str | None,
        api_key: str | None,
        token_provider: TokenProvider | None,
        common: CommonSettings,
    ) -> None:
        environment = os.environ
        endpoint = environment.get("AZURE_OPENAI_ENDPOINT") if endpoint is None else endpoint
        if not endpoint:
            raise ConfigurationError(
                "missing endpoint of Azure OpenAI",
                hint="set AZURE_OPENAI_ENDPOINT or pass endpoint=, as in https://my-resource.openai.azure.com",
            )
        if api_version is None:
            api_version = environment.get("OPENAI_API_VERSION") or None
        self._resource = AzureResource(endpoint, deployment, api_version)
        self.base_url = self._resource.base_url
        keys = _key_headers(api_key, token_provider)
        self._init_common(keys, token_provider, common)
        if not secrets_of_headers(self.headers) and token_provider is None and common.http_client is None:
            raise ConfigurationError(
                "missing API key for Azure OpenAI",
                hint="set AZURE_OPENAI_API_KEY, or pass api_key= or token_provider=; OPENAI_API_KEY is not sent there",
            )

    def _restore(self, left_out: list[str]) -> None:
        if {"the header authorization", "the header api-key"}.intersection(left_out):
            self.headers |= _key_headers(None, None)

    def endpoint_for(self, model: object) -> Endpoint:
        """Where a request for a model goes."""
        return self._resource.endpoint_for(model)

    def models_endpoint(self) -> Endpoint:
        """Where the models of the resource are listed."""
        return self._resource.models_endpoint


def _key_headers(api_key: str | None, token_provider: TokenProvider | None) -> dict[str, str]:
    """The header with the given key, else the one from the environment, where a token takes precedence over a key."""
    if token_provider is not None:
        if api_key is not None:
            raise ConfigurationError("api_key and token_provider are mutually exclusive", hint="pass only one")
        if not callable(token_provider):
            raise ConfigurationError(
                f"token_provider must be a function that returns a token, not {type(token_provider).__name__}",
                hint="for example azure.identity.get_bearer_token_provider(…)",
            )
        return {}
    if api_key is None:
        token = os.environ.get("AZURE_OPENAI_AD_TOKEN")
        if token:
            return {"authorization": f"Bearer {check_header_value('AZURE_OPENAI_AD_TOKEN', token)}"}
    key = os.environ.get("AZURE_OPENAI_API_KEY") if api_key is None else api_key
    return {"api-key": check_header_value("api_key", key)} if key else {}
