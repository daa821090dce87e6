"""The addresses of Azure OpenAI.

Sources: Azure's page "API version lifecycle" (`/openai/v1`, where the model in the body names the deployment, and only
previews need a version) and its REST reference (a path for each deployment, and a dated version).
"""

from urllib.parse import quote

from firsttoken._protocol.redaction import public_query
from firsttoken._protocol.url import Endpoint, split_url
from firsttoken.errors import ConfigurationError

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
