"""Azure OpenAI: the configuration of a client, and the addresses of its requests.

Sources: Azure's page "API version lifecycle" (`/openai/v1`, where the model in the body names the deployment, and only
previews need a version) and its REST reference (a path for each deployment, and a dated version).
"""

import os
from urllib.parse import quote

from firsttoken._client.config import ClientConfig
from firsttoken._client.prepared import TokenProvider
from firsttoken._client.settings import CommonSettings
from firsttoken._protocol.redaction import public_query, secrets_of_headers
from firsttoken._protocol.request import check_header_value
from firsttoken._protocol.url import Endpoint, split_url
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


_V1_VERSIONS = ("v1", "latest", "preview")
_HINT = "as in https://my-resource.openai.azure.com"


class AzureResource:
    """An Azure OpenAI resource, and which of its paths are used.

    Args:
        endpoint: the resource's URL, without `/openai`; a query is kept.
        deployment: whose path it is; None takes the model that a request names.
        api_version: None or "v1" for `/openai/v1`, as with "latest" and "preview"; else that of the deployments' paths.

    Raises:
        ConfigurationError: one of them is invalid, or they can't be combined.
    """

    def __init__(self, endpoint: str, deployment: str | None, api_version: str | None) -> None:
        self._origin, path, query = split_url(endpoint, "endpoint", _HINT)
        path = path.rstrip("/")
        if path.endswith(("/openai", "/openai/v1", "/chat/completions")) or "/openai/deployments" in path:
            raise ConfigurationError(
                f"endpoint must not contain the path of the API: {path}", hint=f"pass the part before /openai, {_HINT}"
            )
        version = "v1" if api_version is None else _checked_version(api_version)
        self._is_v1 = version in _V1_VERSIONS
        if self._is_v1 and deployment is not None:
            raise ConfigurationError(
                "deployment= requires a dated api_version",
                hint="pass api_version= or set OPENAI_API_VERSION; or omit deployment and use it as the model",
            )
        self._path = f"{path}/openai/{'v1' if self._is_v1 else 'deployments'}"
        self._deployment = None if deployment is None else _segment(deployment, "deployment")
        if "api-version=" in query:
            raise ConfigurationError("endpoint must not contain an api-version", hint="pass it as api_version=")
        own_query = "" if version == "v1" else f"api-version={quote(version, safe='')}"
        self._query = "&".join(filter(None, (own_query, query)))

    @property
    def base_url(self) -> str:
        """What precedes `/chat/completions`, if it is the same for all requests."""
        path = self._path if self._deployment is None else f"{self._path}/{self._deployment}"
        return f"{self._origin.scheme}://{self._origin.authority}{path}"

    def __getstate__(self) -> dict[str, object]:
        """The state without the caller's query: a pickle must not contain a key."""
        return {**vars(self), "_query": public_query(self._query)}

    def endpoint_for(self, model: object) -> Endpoint:
        """Where a request for a model goes.

        Raises:
            ConfigurationError: the model names the deployment, and is not a valid name.
        """
        path = self._path
        if not self._is_v1:
            path += "/" + (self._deployment or _segment(model, "model, which names the deployment,"))
        path += "/chat/completions"
        return Endpoint(self._origin, f"{path}?{self._query}" if self._query else path)

    @property
    def models_endpoint(self) -> Endpoint:
        """Where the models of the resource are listed."""
        path = f"{self._path.removesuffix('/deployments')}/models"
        return Endpoint(self._origin, f"{path}?{self._query}" if self._query else path)


def _checked_version(api_version: object) -> str:
    if not isinstance(api_version, str) or not api_version.strip():
        raise ConfigurationError(f"api_version must be a str like 2024-10-21 or v1, not {api_version!r}")
    return api_version.strip()


def _segment(name: object, what: str) -> str:
    """A name as a segment of a path."""
    if not isinstance(name, str) or not name.strip("."):  # "." and ".." would change the path
        raise ConfigurationError(f"the {what} must be a name, not {name!r}")
    try:
        return quote(name, safe="")
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"invalid {what}: {name!r}") from error
