"""What a client was made with, checked; and the calls that it prepares."""

import math
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from msgspec.structs import replace

from firsttoken._client.keeping_secrets import conceal_arguments, warn_of_left_out, without_secrets
from firsttoken._client.prepared import PreparedRequest, Route, TokenProvider
from firsttoken._models.request import ChatCompletionRequest
from firsttoken._models.timeout import Timeout
from firsttoken._protocol.azure import AzureResource
from firsttoken._protocol.proxy import Proxy, proxy_for
from firsttoken._protocol.redaction import secrets_of_headers
from firsttoken._protocol.request import Method, check_header_value, check_headers, encode_body
from firsttoken._protocol.url import Endpoint, Origin, chat_completions_endpoint, models_endpoint
from firsttoken._schema.parsing import response_type
from firsttoken._version import __version__, install_hint
from firsttoken.errors import ConfigurationError

if TYPE_CHECKING:
    from firsttoken._client.limiter import Limiter
    from firsttoken._models.observer import Observer

OPENAI_BASE_URL = "https://api.openai.com/v1"


class ClientConfig:
    """What a client was made with, checked.

    Args: as those of `firsttoken.Client`.

    Raises:
        ConfigurationError: one of them can't be used, or the key for OpenAI's own address is missing.
    """

    def __init__(
        self,
        *,
        api_key: str | TokenProvider | None,
        base_url: str | None,
        organization: str | None,
        project: str | None,
        timeout: Timeout,
        max_retries: int,
        default_headers: Mapping[str, str] | None,
        proxy: str | None,
        http_client: "HTTPClient | None" = None,
        require_finish_reason: bool = True,
        limiter: "Limiter | None" = None,
        observer: "Observer | None" = None,
    ) -> None:
        environment = os.environ
        given_url = base_url or environment.get("OPENAI_BASE_URL") or OPENAI_BASE_URL
        self.base_url = _unquoted(given_url.strip()) if isinstance(given_url, str) else given_url  # pyright: ignore[reportUnnecessaryIsInstance]
        self.endpoint = chat_completions_endpoint(self.base_url)
        headers: dict[str, str] = {}
        key = environment.get("OPENAI_API_KEY") if api_key is None else api_key
        if key and not callable(key):
            headers["authorization"] = f"Bearer {check_header_value('api_key', _key(key))}"
        for name, given, variable in (
            ("openai-organization", organization, "OPENAI_ORG_ID"),
            ("openai-project", project, "OPENAI_PROJECT_ID"),
        ):
            value = given or environment.get(variable)
            if value:
                headers[name] = check_header_value(name, value)
        self._init_common(
            headers, key if callable(key) else None, timeout, max_retries, default_headers, proxy, http_client
        )
        self._init_watching(require_finish_reason=require_finish_reason, limiter=limiter, observer=observer)
        has_key = "authorization" in self.headers or self.token_provider is not None
        if self.endpoint.origin.host == "api.openai.com" and not has_key:
            raise ConfigurationError(
                "missing API key for api.openai.com",
                hint="set OPENAI_API_KEY or pass api_key=; for another server set OPENAI_BASE_URL or pass base_url=",
            )

    def _init_common(
        self,
        headers: dict[str, str],
        token_provider: TokenProvider | None,
        timeout: Timeout,
        max_retries: int,
        default_headers: Mapping[str, str] | None,
        proxy: str | None,
        http_client: "HTTPClient | None",
    ) -> None:
        """Check and keep what is alike for all servers."""
        self.timeout = check_timeout(timeout)
        self.max_retries = check_max_retries(max_retries)
        self.proxy = proxy if http_client is None else ""
        self.http_client = http_client
        self.token_provider = token_provider
        builtin = {"content-type": "application/json", "user-agent": _USER_AGENT}
        self.headers = builtin | headers | check_headers({} if default_headers is None else default_headers)
        self._routes: dict[tuple[Endpoint, bool], Route] = {}
        self._proxies: dict[Origin, Proxy | None] = {}

    def _init_watching(
        self, *, require_finish_reason: bool, limiter: "Limiter | None", observer: "Observer | None"
    ) -> None:
        _log_as_the_environment_says()
        self.require_finish_reason = require_finish_reason
        self.limiter = limiter
        self.observer = observer

    def __copy__(self) -> Self:
        twin = type(self).__new__(type(self))  # a pickle's way would leave the key out
        vars(twin).update(vars(self))
        return twin

    def __getstate__(self) -> dict[str, object]:
        return without_secrets(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        left_out: list[str] = state.pop("left_out")
        vars(self).update(state)
        self._restore(left_out)
        warn_of_left_out([name for name in left_out if name.removeprefix("the header ") not in self.headers])

    def _restore(self, left_out: list[str]) -> None:
        """Take from the environment what a pickle had to leave out."""
        self.endpoint = chat_completions_endpoint(self.base_url)
        key = os.environ.get("OPENAI_API_KEY")
        if key and "the header authorization" in left_out:
            self.headers["authorization"] = f"Bearer {check_header_value('OPENAI_API_KEY', key)}"

    def endpoint_for(self, model: object) -> Endpoint:  # noqa: ARG002 - Azure's depends on it
        """Where a request for a model goes."""
        return self.endpoint

    def models_endpoint(self) -> Endpoint:
        """Where the models are listed."""
        return models_endpoint(self.base_url)

    @property
    def redacted_url(self) -> str:
        """The base URL without its query, which may hold a key."""
        return self.base_url.partition("#")[0].partition("?")[0]

    @conceal_arguments
    def prepare(
        self,
        request: ChatCompletionRequest,
        *,
        streamed: bool,
        timeout: Timeout | None,
        max_retries: int | None,
        headers: Mapping[str, str] | None,
    ) -> PreparedRequest:
        """What one call will do; nothing of `request` is needed afterwards.

        Raises:
            ConfigurationError: the call can't be made.
        """
        if not isinstance(request, ChatCompletionRequest):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"a request must be a ChatCompletionRequest, not {type(request).__name__}",
                hint="make one with chat_completion_request(model, messages, …)",
            )
        extra = request.extra if isinstance(request.extra, Mapping) else {}  # pyright: ignore[reportUnnecessaryIsInstance]
        if not streamed and (request.stream or extra.get("stream")):
            where = "request.stream" if request.stream else 'request.extra["stream"]'
            raise ConfigurationError(
                f"chat_completion waits for the complete response, but {where} is True",
                hint="use chat_completion_stream(request), or leave stream out",
            )
        route = self._route(self.endpoint_for(extra.get("model", request.model)), headers, streamed=streamed)
        longest_s = max_wait_s(os.environ)
        return PreparedRequest(
            request=request,
            route=route,
            token_provider=None if "authorization" in route.headers else self.token_provider,
            body=encode_body(request, stream=streamed),
            streamed=streamed,
            expected_choices=_check_n(extra.get("n", request.n)),
            require_finish_reason=self.require_finish_reason,
            timeout=limited_timeout(self.timeout if timeout is None else check_timeout(timeout), longest_s),
            max_retries=self.max_retries if max_retries is None else check_max_retries(max_retries),
            max_retry_delay_s=math.inf if longest_s is None else longest_s / 10,
            response_type=response_type(request.response_format),
            limiter=self.limiter,
            observer=_logged(observer_or_default(self.observer)),
        )

    @conceal_arguments
    def prepare_models(
        self, *, timeout: Timeout | None, max_retries: int | None, headers: Mapping[str, str] | None
    ) -> PreparedRequest:
        """What a call that lists the models will do. It costs nothing: limiter and observer are not told of it.

        Raises:
            ConfigurationError: the call can't be made.
        """
        route = self._route(self.models_endpoint(), headers, streamed=False, method="GET")
        return PreparedRequest(
            request=ChatCompletionRequest(model="", messages=()),
            route=route,
            token_provider=None if "authorization" in route.headers else self.token_provider,
            body=b"",
            streamed=False,
            expected_choices=1,
            require_finish_reason=False,
            timeout=limited_timeout(
                self.timeout if timeout is None else check_timeout(timeout), max_wait_s(os.environ)
            ),
            max_retries=self.max_retries if max_retries is None else check_max_retries(max_retries),
        )

    def _route(
        self, endpoint: Endpoint, headers: Mapping[str, str] | None, *, streamed: bool, method: Method = "POST"
    ) -> Route:
        """Where a call goes; made once, unless the call has headers of its own, or a caller's own client may have."""
        key = endpoint, streamed
        is_shared = not headers and self.http_client is None
        route = self._routes.get(key) if is_shared else None
        if route is None:
            given = {} if headers is None else check_headers(headers)
            route = Route(
                endpoint,
                self._proxy(endpoint.origin),
                _ACCEPT[streamed] | self.headers | given,
                {} if self.http_client is None else self.http_client.headers,
                method,
            )
            if is_shared and len(self._routes) < MAX_ROUTES:
                self._routes[key] = route
        return route

    def _proxy(self, origin: Origin) -> Proxy | None:
        if origin not in self._proxies:
            self._proxies[origin] = proxy_for(origin, self.proxy, os.environ)
        return self._proxies[origin]


MAX_ROUTES = 64
"""How many routes are kept: Azure has one for each deployment."""

_ACCEPT = {
    True: {"accept": "text/event-stream", "accept-encoding": "identity"},
    False: {"accept": "application/json", "accept-encoding": "gzip, deflate"},
}
_USER_AGENT = f"firsttoken/{__version__} python/{sys.version_info.major}.{sys.version_info.minor}"


def check_timeout(timeout: Timeout) -> Timeout:
    """The timeout, if it is one.

    Raises:
        ConfigurationError: it is something else.
    """
    if not isinstance(timeout, Timeout):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            f"timeout must be a Timeout, not {type(timeout).__name__}", hint="as in Timeout(idle_s=30)"
        )
    return timeout


MAX_WAIT_VARIABLE = "FIRSTTOKEN_MAX_WAIT_S"
"""The longest wait of any client for an answer to begin or to go on, in seconds: for code under test."""


def max_wait_s(environment: Mapping[str, str]) -> float | None:
    """What `FIRSTTOKEN_MAX_WAIT_S` says; None where it is not set.

    Raises:
        ConfigurationError: it is not a number above 0.
    """
    value = environment.get(MAX_WAIT_VARIABLE)
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise ConfigurationError(f"{MAX_WAIT_VARIABLE} must be a number of seconds above 0: {value!r}")
    return seconds


def limited_timeout(timeout: Timeout, longest_s: float | None) -> Timeout:
    """The timeout, cut to `FIRSTTOKEN_MAX_WAIT_S`, but for `connect_s` and `total_s`: they bound no silence."""
    if longest_s is None:
        return timeout
    waits_s = {
        name: getattr(timeout, name) for name in timeout.__struct_fields__ if name not in {"connect_s", "total_s"}
    }
    return replace(timeout, **{name: min(wait_s or longest_s, longest_s) for name, wait_s in waits_s.items()})


def _check_n(n: object) -> int:
    """How many choices a request asks for; 1 where it does not say."""
    if n is None:
        return 1
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise ConfigurationError(f"n must be an int of 1 or more: {n!r}")
    return n


def check_max_retries(max_retries: int) -> int:
    """The number of retries, if it is one.

    Raises:
        ConfigurationError: it is no int, or below 0.
    """
    if not isinstance(max_retries, int) or isinstance(max_retries, bool) or max_retries < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"max_retries must be an int of 0 or more: {max_retries!r}")
    return max_retries


def check_max_idle(max_idle: int) -> int:
    """The number of idle connections, if it is one.

    Raises:
        ConfigurationError: it is not an int, or below 0.
    """
    if not isinstance(max_idle, int) or isinstance(max_idle, bool) or max_idle < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"max_idle_connections must be an int of 0 or more: {max_idle!r}")
    return max_idle


def _unquoted(text: str) -> str:
    """Without the quotes around it, which `docker --env-file` leaves."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _key(key: str) -> str:
    """A key as it is meant: without quotes around it, and without `Bearer`; one with blanks is refused."""
    if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        return key
    key = _unquoted(key)
    return key[7:] if key[:7].lower() == "bearer " else key


def check_ssl_context(ssl_context: object) -> None:
    """Check what was given for TLS.

    Raises:
        ConfigurationError: it is not a context.
    """
    if ssl_context is None or hasattr(ssl_context, "wrap_bio"):
        return
    is_path = isinstance(ssl_context, str) or hasattr(ssl_context, "__fspath__")
    hint = (
        "ssl.create_default_context(cafile=…) trusts the certificates of a file, and so does SSL_CERT_FILE"
        if is_path
        else "ssl.create_default_context(); to check no certificate, set its check_hostname = False and "
        "verify_mode = ssl.CERT_NONE"
    )
    kind: type[object] = type(ssl_context)
    raise ConfigurationError(f"ssl_context must be an ssl.SSLContext, not {kind.__name__}", hint=hint)


_default_observer: "Observer | None" = None


def set_default_observer(observer: "Observer | None") -> None:
    """Have the calls of every client without an observer of its own observed: those that begin from now on."""
    global _default_observer
    _default_observer = observer


def observer_or_default(observer: "Observer | None") -> "Observer | None":
    """The observer that a client was given, else the one for all clients."""
    return _default_observer if observer is None else observer


def _logged(observer: "Observer | None") -> "Observer | None":
    """The observer, which also logs where somebody reads the log.

    Nothing is imported for that: whoever wants a log has imported `logging`, or set `FIRSTTOKEN_LOG`.
    """
    if "logging" not in sys.modules:
        return observer
    from firsttoken._client.logs import LOGGER, LoggingObserver

    return LoggingObserver(observer) if LOGGER.isEnabledFor(30) and LOGGER.hasHandlers() else observer


def _log_as_the_environment_says() -> None:
    level = os.environ.get("FIRSTTOKEN_LOG")
    if level:
        from firsttoken._client.logs import log_to_stderr

        log_to_stderr(level)


class HTTPClient(Protocol):
    """What a plan needs to know of a caller's own client."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Those that it adds to each request."""
        ...


def check_http_client(http_client: object, wanted: Literal["Client", "AsyncClient"], **excluded: object) -> None:
    """Check a caller's own client.

    Args:
        http_client: what was given.
        wanted: which of httpx2's classes it must be of.
        excluded: the settings that only our own connections have, None where they were not given.

    Raises:
        ConfigurationError: it is something else, one of `excluded` was given too, or httpx2 is not installed.
    """
    try:
        import httpx2
    except ImportError as error:
        raise ConfigurationError(
            "http_client takes a client of httpx2, which is not installed", hint=install_hint("httpx2")
        ) from error
    if not isinstance(http_client, getattr(httpx2, wanted)):
        kind = type(http_client)
        other = "Client" if wanted == "AsyncClient" else "AsyncClient"
        raise ConfigurationError(
            f"http_client must be an httpx2.{wanted}, not {kind.__module__}.{kind.__qualname__}",
            hint=f"firsttoken.{other} takes an httpx2.{other}"
            if isinstance(http_client, getattr(httpx2, other))
            else f"httpx2 is the successor of httpx: httpx2.{wanted}() takes the same arguments"
            if kind.__module__.partition(".")[0] == "httpx"
            else f"as in http_client=httpx2.{wanted}()",
        )
    for name, value in excluded.items():
        if value is not None:
            raise ConfigurationError(
                f"{name} is of firsttoken's own connections, and http_client brings others",
                hint=f"give {name} to the httpx2 client" if name == "proxy" else "give verify= to the httpx2 client",
            )


class AzureConfig(ClientConfig):
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
        require_finish_reason: bool = True,
        limiter: "Limiter | None" = None,
        observer: "Observer | None" = None,
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
        self._init_common(keys, token_provider, timeout, max_retries, default_headers, proxy, http_client)
        self._init_watching(require_finish_reason=require_finish_reason, limiter=limiter, observer=observer)
        if not secrets_of_headers(self.headers) and token_provider is None and http_client is None:
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
