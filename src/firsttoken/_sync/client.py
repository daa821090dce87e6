"""The sync client."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from firsttoken._client.config import ClientConfig, conceal_arguments, made_with
from firsttoken._client.settings import CommonSettings
from firsttoken._client.sockets import MAX_IDLE
from firsttoken._models.request import Timeout
from firsttoken._sync.calls import Calls
from firsttoken._sync.pool import ConnectionPool

if TYPE_CHECKING:
    import ssl

    import httpx2

    from firsttoken._client.limiter import Limiter
    from firsttoken._models.observer import Observer

TokenProvider = Callable[[], str]


class Client(Calls):
    """A client for `POST /chat/completions`.

    May be shared between threads, and used again in a forked child. A context manager: leaving it closes the idle
    connections.

    Args:
        api_key: the key, or a function that returns one, called for each attempt to send a request; None takes
            `OPENAI_API_KEY`. Only OpenAI's own address needs one.
        base_url: of the API; None takes `OPENAI_BASE_URL`, else OpenAI's. Most servers want it to end in /v1.
        organization: None takes `OPENAI_ORG_ID`.
        project: None takes `OPENAI_PROJECT_ID`.
        timeout: the deadlines of each call.
        max_retries: how often a call that failed is repeated, while nothing of it was yielded.
        default_headers: sent with each call.
        ssl_context: for https; None trusts what the system trusts, and the certificates in `SSL_CERT_FILE`.
        proxy: the URL of an http proxy, "" for none; None takes what the environment says.
        http_client: an `httpx2.Client` of your own, to send with instead of firsttoken's own connections. It is
            never closed. It needs the extra `httpx2`, and excludes `ssl_context` and `proxy`.
        max_idle_connections: how many idle connections are kept for each server. They are closed after 60 s.
        require_finish_reason: whether `[DONE]` completes an answer only after a finish reason. False is for servers
            that never send one.
        reasoning_tags: the tags between which the model writes its reasoning into the content, as in
            `("<think>", "</think>")`: what is between them becomes `reasoning_content`. None changes nothing.
        limiter: bounds how many requests run at once and start in a minute; may be shared with other clients.
        observer: sees each call; see `firsttoken.types.Observer`.

    Raises:
        ConfigurationError: an argument is invalid, or the key for OpenAI's own address is missing.
    """

    @conceal_arguments
    def __init__(
        self,
        api_key: str | TokenProvider | None = None,
        base_url: str | None = None,
        *,
        organization: str | None = None,
        project: str | None = None,
        timeout: Timeout = Timeout(),  # noqa: B008 - it is frozen
        max_retries: int = 2,
        default_headers: Mapping[str, str] | None = None,
        ssl_context: "ssl.SSLContext | None" = None,
        proxy: str | None = None,
        http_client: "httpx2.Client | None" = None,
        max_idle_connections: int = MAX_IDLE,
        require_finish_reason: bool = True,
        reasoning_tags: tuple[str, str] | None = None,
        limiter: "Limiter | None" = None,
        observer: "Observer | None" = None,
    ) -> None:
        common = CommonSettings(
            "Client",
            timeout=timeout,
            max_retries=max_retries,
            default_headers=default_headers,
            ssl_context=ssl_context,
            proxy=proxy,
            http_client=http_client,
            max_idle_connections=max_idle_connections,
            require_finish_reason=require_finish_reason,
            reasoning_tags=reasoning_tags,
            limiter=limiter,
            observer=observer,
        )
        config = ClientConfig(api_key, base_url, organization, project, common)
        self._init(config, ssl_context, http_client, max_idle_connections)

    @classmethod
    @conceal_arguments
    def azure(  # noqa: D417 - the others are those of the class
        cls,
        endpoint: str | None = None,
        *,
        deployment: str | None = None,
        api_version: str | None = None,
        api_key: str | None = None,
        token_provider: TokenProvider | None = None,
        timeout: Timeout = Timeout(),  # noqa: B008 - it is frozen
        max_retries: int = 2,
        default_headers: Mapping[str, str] | None = None,
        ssl_context: "ssl.SSLContext | None" = None,
        proxy: str | None = None,
        http_client: "httpx2.Client | None" = None,
        max_idle_connections: int = MAX_IDLE,
        require_finish_reason: bool = True,
        reasoning_tags: tuple[str, str] | None = None,
        limiter: "Limiter | None" = None,
        observer: "Observer | None" = None,
    ) -> Self:
        """Make a client of Azure OpenAI.

        Args:
            endpoint: of the resource, as in https://my-resource.openai.azure.com; None takes `AZURE_OPENAI_ENDPOINT`.
            deployment: where the requests go, if `api_version` is a date; None takes the model that a request names.
            api_version: a date, as in "2024-10-21", for `/openai/deployments/…`; "v1" or "preview" for `/openai/v1`,
                where the model that a request names is the deployment. None takes `OPENAI_API_VERSION`, else "v1".
            api_key: the resource's key; None takes a token from `AZURE_OPENAI_AD_TOKEN`, else `AZURE_OPENAI_API_KEY`.
            token_provider: in place of a key: a function that returns a token, as `azure.identity` makes them. It is
                called for each attempt to send a request. What it raises propagates.

        The others are as for the class.

        Raises:
            ConfigurationError: an argument is invalid, or the endpoint or the key is missing.
        """
        from firsttoken._client.azure import AzureConfig

        common = CommonSettings(
            "Client",
            timeout=timeout,
            max_retries=max_retries,
            default_headers=default_headers,
            ssl_context=ssl_context,
            proxy=proxy,
            http_client=http_client,
            max_idle_connections=max_idle_connections,
            require_finish_reason=require_finish_reason,
            reasoning_tags=reasoning_tags,
            limiter=limiter,
            observer=observer,
        )
        config = AzureConfig(endpoint, deployment, api_version, api_key, token_provider, common)
        return made_with(cls, config, (ssl_context, http_client, max_idle_connections))

    def _init(
        self,
        config: ClientConfig,
        ssl_context: "ssl.SSLContext | None",
        http_client: "httpx2.Client | None",
        max_idle: int,
    ) -> None:
        self._config = config
        self._connection_settings = ssl_context, http_client, max_idle
        self._pool = ConnectionPool(ssl_context, max_idle) if http_client is None else _pool_of(http_client)

    @property
    def observer(self) -> "Observer | None":
        """The observer of the calls that begin from now on; it may be set."""
        return self._config.observer

    @observer.setter
    def observer(self, observer: "Observer | None") -> None:
        self._config.observer = observer

    def __repr__(self) -> str:
        return f"Client(base_url={self._config.redacted_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections. Streams that are open go on, and the client can be used again."""
        self._pool.close()


def _pool_of(http_client: "httpx2.Client") -> ConnectionPool:
    from firsttoken._sync.httpx2 import HTTPX2Pool

    return HTTPX2Pool(http_client)


Client.__module__ = "firsttoken"  # the public module, for reprs, tracebacks and pickles
