"""The sync client."""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack, cast, overload

from firsttoken._client.arguments import as_request, callback_in, check_is_sync
from firsttoken._client.config import ClientConfig, check_http_client, check_max_idle, check_ssl_context
from firsttoken._client.keeping_secrets import CopyableClient, conceal_arguments
from firsttoken._client.stream import STOP, Stop
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._models.request import (
    ChatCompletionRequest,
    JSONObject,
    Messages,
    RequestFields,
    StreamOptions,
    Tool,
)
from firsttoken._models.timeout import Timeout
from firsttoken._protocol.pool import MAX_IDLE
from firsttoken._sync.driver import Call
from firsttoken._sync.pool import ConnectionPool
from firsttoken._sync.stream import ChatCompletionStream

if TYPE_CHECKING:
    import ssl

    import httpx2

    from firsttoken._client.limiter import Limiter
    from firsttoken._models.observer import Observer

OnChunk = Callable[[ChatCompletionChunk], Stop | str | bytes | float | None]
"""A callback; what it returns is only compared with `STOP`, but must not be something to await."""

TokenProvider = Callable[[], str]


class Client(CopyableClient):
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
        max_retries: how often a call that failed is repeated, while nothing of it was yielded.
        default_headers: sent with each call.
        ssl_context: for https; None trusts what the system trusts, and the certificates in `SSL_CERT_FILE`.
        proxy: the URL of an http proxy, "" for none; None takes what the environment says.
        http_client: an `httpx2.Client` of your own, to send with instead of firsttoken's own connections. It is
            never closed. It needs the extra `httpx2`, and excludes `ssl_context` and `proxy`.
        max_idle_connections: how many idle connections are kept for each server. They are closed after 60 s.
        require_finish_reason: whether `[DONE]` completes an answer only after a finish reason. False is for servers
            that never send one.
        limiter: bounds how many requests run at once and start in a minute; may be shared with other clients.
        observer: is told of each call; see `firsttoken.types.Observer`.

    Raises:
        ConfigurationError: one of them can't be used, or the key for OpenAI's own address is missing.
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
        limiter: "Limiter | None" = None,
        observer: "Observer | None" = None,
    ) -> None:
        if http_client is not None:
            check_http_client(http_client, "Client", ssl_context=ssl_context, proxy=proxy)
        config = ClientConfig(
            api_key=api_key,
            base_url=base_url,
            organization=organization,
            project=project,
            timeout=timeout,
            max_retries=max_retries,
            default_headers=default_headers,
            proxy=proxy,
            http_client=http_client,
            require_finish_reason=require_finish_reason,
            limiter=limiter,
            observer=observer,
        )
        self._init(config, ssl_context, http_client, max_idle_connections)

    @classmethod
    @conceal_arguments
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
        max_idle_connections: int = MAX_IDLE,
        require_finish_reason: bool = True,
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
            token_provider: in place of a key: a function that gives a token, as `azure.identity` makes them. It is
                called for each attempt to send a request. What it raises propagates.
            timeout: as for the class; so are those that follow.
            max_retries: how often a call that failed is repeated.
            default_headers: sent with each call.
            ssl_context: for https.
            proxy: the URL of an http proxy, "" for none.
            http_client: an `httpx2.Client` of your own.
            max_idle_connections: how many idle connections are kept for each server.
            require_finish_reason: whether `[DONE]` completes an answer only after a finish reason.
            limiter: bounds how many requests run at once and start in a minute.
            observer: is told of each call.

        Raises:
            ConfigurationError: one of them can't be used, or the endpoint or the key is missing.
        """
        from firsttoken._client.config import AzureConfig

        if http_client is not None:
            check_http_client(http_client, "Client", ssl_context=ssl_context, proxy=proxy)
        config = AzureConfig(
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
            require_finish_reason=require_finish_reason,
            limiter=limiter,
            observer=observer,
        )
        client = cls.__new__(cls)
        client._init(config, ssl_context, http_client, max_idle_connections)
        return client

    def _init(
        self,
        config: ClientConfig,
        ssl_context: "ssl.SSLContext | None",
        http_client: "httpx2.Client | None",
        max_idle: int,
    ) -> None:
        check_ssl_context(ssl_context)
        self._config = config
        self._connection_settings = ssl_context, http_client, max_idle
        self._pool = (
            ConnectionPool(ssl_context, check_max_idle(max_idle)) if http_client is None else _pool_of(http_client)
        )

    @property
    def observer(self) -> "Observer | None":
        """Who is told of the calls that begin from now on; it may be set."""
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

    def models(
        self,
        *,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> list[str]:
        """List the ids of the models that the server has, in its order: `GET /models`.

        Neither the limiter nor the observer is told of it.

        Args:
            timeout: for this call; `response_s` bounds the response.
            max_retries: for this call.
            headers: for this call, over the client's own.

        Raises:
            ChatCompletionError: there is no answer; which kind says why. `NotFoundError` is a server without a list.
            ConfigurationError: the call can't be made.
        """
        call = Call(self._pool, self._config.prepare_models(timeout=timeout, max_retries=max_retries, headers=headers))
        try:
            call.wait_for_completion()
            return call.machine.models
        finally:
            call.close()

    @overload
    def chat_completion(
        self,
        request: ChatCompletionRequest,
        *,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ChatCompletion: ...
    @overload
    def chat_completion(
        self,
        model: str,
        messages: Messages,
        *,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        audio: JSONObject | None = None,
        frequency_penalty: float | None = None,
        function_call: str | JSONObject | None = None,
        functions: Sequence[JSONObject] | None = None,
        logit_bias: Mapping[str, float] | None = None,
        logprobs: bool | None = None,
        max_completion_tokens: int | None = None,
        max_tokens: int | None = None,
        metadata: Mapping[str, str] | None = None,
        modalities: Sequence[str] | None = None,
        moderation: JSONObject | None = None,
        n: int | None = None,
        parallel_tool_calls: bool | None = None,
        prediction: JSONObject | None = None,
        presence_penalty: float | None = None,
        prompt_cache_key: str | None = None,
        prompt_cache_options: JSONObject | None = None,
        prompt_cache_retention: str | None = None,
        reasoning_effort: str | None = None,
        response_format: type[object] | JSONObject | None = None,
        safety_identifier: str | None = None,
        seed: int | None = None,
        service_tier: str | None = None,
        stop: str | Sequence[str] | None = None,
        store: bool | None = None,
        stream: bool | None = None,
        stream_options: StreamOptions | JSONObject | None = None,
        temperature: float | None = None,
        tool_choice: str | JSONObject | None = None,
        tools: Sequence[Tool] | None = None,
        top_logprobs: int | None = None,
        top_p: float | None = None,
        user: str | None = None,
        verbosity: str | None = None,
        web_search_options: JSONObject | None = None,
        extra: dict[str, object] | None = None,
    ) -> ChatCompletion: ...
    def chat_completion(  # type: ignore[misc] # pyright: ignore[reportInconsistentOverload]
        self,
        request: ChatCompletionRequest | str | None = None,
        messages: Messages | None = None,
        *,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        **fields: object,
    ) -> ChatCompletion:
        """Send a request and return the completion.

        Args:
            request: what to send; or the model, followed by the messages.
            messages: where a model was given: the conversation, or a `str`, which is one user message.
            timeout: for this call; `response_s` bounds the response.
            max_retries: for this call.
            headers: for this call, over the client's own.
            **fields: where a model was given: any other field of `ChatCompletionRequest`.

        Raises:
            ChatCompletionError: there is no answer; which kind says why.
            ConfigurationError: the call can't be made, or `request.stream` is True.
        """
        try:
            prepared = self._config.prepare(
                as_request(request, messages, fields),
                streamed=False,
                timeout=timeout,
                max_retries=max_retries,
                headers=headers,
            )
        finally:
            del headers  # crash reporters show the variables of a frame
        call = Call(self._pool, prepared)
        try:
            return call.wait_for_completion()
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

    @overload
    def chat_completion_stream(
        self,
        model: str,
        messages: Messages,
        *,
        on_chunk: None = None,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        audio: JSONObject | None = None,
        frequency_penalty: float | None = None,
        function_call: str | JSONObject | None = None,
        functions: Sequence[JSONObject] | None = None,
        logit_bias: Mapping[str, float] | None = None,
        logprobs: bool | None = None,
        max_completion_tokens: int | None = None,
        max_tokens: int | None = None,
        metadata: Mapping[str, str] | None = None,
        modalities: Sequence[str] | None = None,
        moderation: JSONObject | None = None,
        n: int | None = None,
        parallel_tool_calls: bool | None = None,
        prediction: JSONObject | None = None,
        presence_penalty: float | None = None,
        prompt_cache_key: str | None = None,
        prompt_cache_options: JSONObject | None = None,
        prompt_cache_retention: str | None = None,
        reasoning_effort: str | None = None,
        response_format: type[object] | JSONObject | None = None,
        safety_identifier: str | None = None,
        seed: int | None = None,
        service_tier: str | None = None,
        stop: str | Sequence[str] | None = None,
        store: bool | None = None,
        stream: bool | None = None,
        stream_options: StreamOptions | JSONObject | None = None,
        temperature: float | None = None,
        tool_choice: str | JSONObject | None = None,
        tools: Sequence[Tool] | None = None,
        top_logprobs: int | None = None,
        top_p: float | None = None,
        user: str | None = None,
        verbosity: str | None = None,
        web_search_options: JSONObject | None = None,
        extra: dict[str, object] | None = None,
    ) -> ChatCompletionStream: ...

    @overload
    def chat_completion_stream(
        self,
        model: str,
        messages: Messages,
        *,
        on_chunk: OnChunk,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        **fields: Unpack[RequestFields],
    ) -> ChatCompletion: ...

    def chat_completion_stream(  # type: ignore[misc] # pyright: ignore[reportInconsistentOverload]
        self,
        request: ChatCompletionRequest | str | None = None,
        messages: Messages | OnChunk | None = None,
        *,
        on_chunk: OnChunk | None = None,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        **fields: object,
    ) -> ChatCompletionStream | ChatCompletion:
        """Send a request and stream the response, whether or not `request.stream` is set.

        Args:
            request: what to send; or the model, followed by the messages.
            messages: where a model was given: the conversation, or a `str`, which is one user message.
            on_chunk: called with each chunk; beside a request also the second argument. If it returns `STOP`, the
                stream ends early. What it raises propagates, after the connection is closed.
            timeout: for this call.
            max_retries: for this call.
            headers: for this call, over the client's own.
            **fields: where a model was given: any other field of `ChatCompletionRequest`.

        Returns:
            Without `on_chunk` the stream, which sends nothing before it is iterated over or entered. With it, when
            the answer has ended, the completion of the chunks that `on_chunk` was called with.

        Raises:
            ChatCompletionError: with `on_chunk`: the answer failed; `partial` holds what came. Without, the stream
                raises it.
            ConfigurationError: the call can't be made.
        """
        given, callback = callback_in(request, messages, on_chunk)
        if callback is not None:
            check_is_sync(callback)
        try:
            prepared = self._config.prepare(
                as_request(request, given, fields),
                streamed=True,
                timeout=timeout,
                max_retries=max_retries,
                headers=headers,
            )
        finally:
            del headers  # crash reporters show the variables of a frame
        stream = ChatCompletionStream(self._pool, prepared)
        if callback is None:
            return stream
        called = cast("OnChunk", callback)
        with stream:
            for chunk in stream:
                if called(chunk) is STOP:
                    break
        return stream.completion


def _pool_of(http_client: "httpx2.Client") -> ConnectionPool:
    from firsttoken._sync.httpx2 import HTTPX2Pool

    return HTTPX2Pool(http_client)


Client.__module__ = "firsttoken"  # the public module, for reprs, tracebacks and pickles
