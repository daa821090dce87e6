"""The sync client."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self, overload

from firsttoken._client.config import ClientConfig, check_http_client
from firsttoken._client.stream import STOP
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._models.request import ChatCompletionRequest
from firsttoken._models.timeout import Timeout
from firsttoken._sync.driver import Call
from firsttoken._sync.pool import ConnectionPool
from firsttoken._sync.stream import ChatCompletionStream

if TYPE_CHECKING:
    import ssl

    import httpx2

OnChunk = Callable[[ChatCompletionChunk], object]
TokenProvider = Callable[[], str]


class Client:
    """A client for `POST /chat/completions`.

    May be shared between threads, and used again in a forked child. A context manager: leaving it closes the idle
    connections.

    Args:
        api_key: the key, or a function that gives one, called for each attempt to send a request; None takes
            `OPENAI_API_KEY`. Only OpenAI's own address needs one.
        base_url: of the API; None takes `OPENAI_BASE_URL`, else OpenAI's. Most servers want it to end in /v1.
        organization: None takes `OPENAI_ORG_ID`.
        project: None takes `OPENAI_PROJECT_ID`.
        timeout: the deadlines of each call.
        max_retries: how often a call that failed is repeated, while nothing of it was handed out.
        default_headers: sent with each call.
        ssl_context: for https; None trusts what the system trusts, and the certificates in `SSL_CERT_FILE`.
        proxy: the URL of an http proxy, "" for none; None takes what the environment says.
        http_client: an `httpx2.Client` of your own, to ask with instead of firsttoken's own connections. It is
            never closed. It needs the extra `httpx2`, and excludes `ssl_context` and `proxy`.

    Raises:
        ConfigurationError: one of them can't be used, or there is no key for OpenAI's own address.
    """

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
    ) -> None:
        if http_client is not None:
            check_http_client(http_client, "Client", ssl_context=ssl_context, proxy=proxy)
        settings = ClientConfig(
            api_key=api_key,
            base_url=base_url,
            organization=organization,
            project=project,
            timeout=timeout,
            max_retries=max_retries,
            default_headers=default_headers,
            proxy=proxy,
            http_client=http_client,
        )
        self._begin(settings, ssl_context, http_client)

    @classmethod
    def azure(
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
    ) -> Self:
        """Make a client of Azure OpenAI.

        Args:
            endpoint: of the resource, as in https://my-resource.openai.azure.com; None takes `AZURE_OPENAI_ENDPOINT`.
            deployment: which one to ask, where `api_version` is a date; None takes the model that a request names.
            api_version: a date, as in "2024-10-21", for `/openai/deployments/…`; "v1" or "preview" for `/openai/v1`,
                where the model that a request names is the deployment. None takes `OPENAI_API_VERSION`, else "v1".
            api_key: the resource's key; None takes a token from `AZURE_OPENAI_AD_TOKEN`, else `AZURE_OPENAI_API_KEY`.
            token_provider: in place of a key: a function that gives a token, as `azure.identity` makes them. It is
                called for each attempt to send a request. What it raises propagates.
            timeout: as for the class; so are those that follow.
            max_retries: how often a call that failed is repeated.
            default_headers: sent with each call.
            ssl_context: for https.
            proxy: the URL of an http proxy, "" for none.
            http_client: an `httpx2.Client` of your own.

        Raises:
            ConfigurationError: one of them can't be used, or there is no endpoint or no key.
        """
        from firsttoken._client.config import AzureConfig

        if http_client is not None:
            check_http_client(http_client, "Client", ssl_context=ssl_context, proxy=proxy)
        settings = AzureConfig(
            endpoint=endpoint,
            deployment=deployment,
            api_version=api_version,
            api_key=api_key,
            token_provider=token_provider,
            timeout=timeout,
            max_retries=max_retries,
            default_headers=default_headers,
            proxy=proxy,
            http_client=http_client,
        )
        client = cls.__new__(cls)
        client._begin(settings, ssl_context, http_client)
        return client

    def _begin(
        self, settings: ClientConfig, ssl_context: "ssl.SSLContext | None", http_client: "httpx2.Client | None"
    ) -> None:
        self._settings = settings
        self._transport = ConnectionPool(ssl_context) if http_client is None else _transport_of(http_client)

    def __repr__(self) -> str:
        return f"Client(base_url={self._settings.redacted_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections. Streams that are open go on, and the client can be used again."""
        self._transport.close()

    def chat_completion(
        self,
        request: ChatCompletionRequest,
        *,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ChatCompletion:
        """Ask, and wait for the whole answer.

        Args:
            request: what to ask.
            timeout: for this call; `first_chunk_s` bounds the whole response.
            max_retries: for this call.
            headers: for this call, over the client's own.

        Raises:
            ChatCompletionError: there is no answer; which kind says why.
            ConfigurationError: the call can't be made, or `request.stream` is True.
        """
        plan = self._settings.plan(request, streamed=False, timeout=timeout, max_retries=max_retries, headers=headers)
        call = Call(self._transport, plan)
        try:
            return call.course.dressed(call.wait_for_completion())
        finally:
            call.close()

    @overload
    def chat_completion_stream(
        self,
        request: ChatCompletionRequest,
        on_chunk: None = None,
        *,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ChatCompletionStream: ...

    @overload
    def chat_completion_stream(
        self,
        request: ChatCompletionRequest,
        on_chunk: OnChunk,
        *,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ChatCompletion: ...

    def chat_completion_stream(
        self,
        request: ChatCompletionRequest,
        on_chunk: OnChunk | None = None,
        *,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ChatCompletionStream | ChatCompletion:
        """Ask, and get the answer while it is written; it is streamed whether or not `request.stream` is set.

        Args:
            request: what to ask.
            on_chunk: called with each chunk. If it returns `STOP`, the stream ends early. What it raises propagates,
                after the connection is closed.
            timeout: for this call.
            max_retries: for this call.
            headers: for this call, over the client's own.

        Returns:
            Without `on_chunk` the stream, which sends nothing before it is iterated over or entered. With it, when
            the answer has ended, the completion of the chunks that `on_chunk` was called with.

        Raises:
            ChatCompletionError: with `on_chunk`: the answer failed; `partial` holds what came. Without, the stream
                raises it.
            ConfigurationError: the call can't be made.
        """
        plan = self._settings.plan(request, streamed=True, timeout=timeout, max_retries=max_retries, headers=headers)
        stream = ChatCompletionStream(self._transport, plan)
        if on_chunk is None:
            return stream
        with stream:
            for chunk in stream:
                if on_chunk(chunk) is STOP:
                    break
        return stream.completion


def _transport_of(http_client: "httpx2.Client") -> ConnectionPool:
    from firsttoken._sync.httpx2 import HTTPX2Transport

    return HTTPX2Transport(http_client)


Client.__module__ = "firsttoken"  # the door, for reprs, tracebacks and pickles
