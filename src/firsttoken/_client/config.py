"""The checked configuration of a client, and the calls that it prepares; copies and pickles of a client.

Keys are kept out of pickles, and out of the frames of an error's traceback.
"""

import copy
import math
import os
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from firsttoken._client.prepared import PreparedRequest, Route, TokenProvider
from firsttoken._client.settings import CommonSettings, check_count, check_timeout, limited_timeout, max_wait_s
from firsttoken._models.request import ChatCompletionRequest, Timeout
from firsttoken._protocol.proxy import Proxy, proxy_for
from firsttoken._protocol.redaction import holds_secret, public_query
from firsttoken._protocol.request import Method, check_header_value, check_headers, encode_body
from firsttoken._protocol.retry import without_traceback
from firsttoken._protocol.url import Endpoint, Origin, chat_completions_endpoint, models_endpoint
from firsttoken._version import __version__
from firsttoken.errors import ConfigurationError

if TYPE_CHECKING:
    from firsttoken._models.observer import Observer
    from firsttoken._schema.parsing import ResponseType

OPENAI_BASE_URL = "https://api.openai.com/v1"


_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")


def conceal_arguments(function: Callable[_Args, _Result]) -> Callable[_Args, _Result]:
    """Raise a function's `ConfigurationError` without its frames: crash reporters show their variables."""

    @wraps(function)
    def call(*args: _Args.args, **kwargs: _Args.kwargs) -> _Result:
        try:
            return function(*args, **kwargs)
        except ConfigurationError as error:
            failure = without_traceback(error)
        del args, kwargs
        try:
            raise failure
        finally:
            del failure  # its traceback refers to this frame

    return call


class ClientConfig:
    """The checked configuration of a client.

    Args: as those of `firsttoken.Client`, the common ones checked.

    Raises:
        ConfigurationError: an argument is invalid, or the key for OpenAI's own address is missing.
    """

    def __init__(
        self,
        api_key: str | TokenProvider | None,
        base_url: str | None,
        organization: str | None,
        project: str | None,
        common: CommonSettings,
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
        self._init_common(headers, key if callable(key) else None, common)
        has_key = "authorization" in self.headers or self.token_provider is not None
        if self.endpoint.origin.host == "api.openai.com" and not has_key:
            raise ConfigurationError(
                "missing API key for api.openai.com",
                hint="set OPENAI_API_KEY or pass api_key=; for another server set OPENAI_BASE_URL or pass base_url=",
            )

    def _init_common(
        self, headers: dict[str, str], token_provider: TokenProvider | None, common: CommonSettings
    ) -> None:
        """Set what is the same for all servers."""
        _log_as_the_environment_says()
        self.timeout = common.timeout
        self.max_retries = common.max_retries
        self.http_client = common.http_client
        self.proxy = common.proxy if common.http_client is None else ""
        self.require_finish_reason = common.require_finish_reason
        self.reasoning_tags = common.reasoning_tags
        self.limiter = common.limiter
        self.observer = common.observer
        self.token_provider = token_provider
        builtin = {"content-type": "application/json", "user-agent": _USER_AGENT}
        self.headers = builtin | headers | common.default_headers
        self._routes: dict[tuple[Endpoint, bool], Route] = {}
        self._proxies: dict[Origin, Proxy | None] = {}

    def __copy__(self) -> Self:
        twin = type(self).__new__(type(self))  # pickling would leave the key out
        vars(twin).update(vars(self))
        return twin

    def __getstate__(self) -> dict[str, object]:
        return _without_secrets(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        left_out: list[str] = state.pop("left_out")
        vars(self).update(state)
        self._restore(left_out)
        _warn_of_left_out([name for name in left_out if name.removeprefix("the header ") not in self.headers])

    def _restore(self, left_out: list[str]) -> None:
        """Restore from the environment what a pickle leaves out."""
        self.endpoint = chat_completions_endpoint(self.base_url)
        key = os.environ.get("OPENAI_API_KEY")
        if key and "the header authorization" in left_out:
            self.headers["authorization"] = f"Bearer {check_header_value('OPENAI_API_KEY', _key(key))}"

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
        """Prepare one call; `request` is not needed afterwards.

        Raises:
            ConfigurationError: the call can't be made.
        """
        if not isinstance(request, ChatCompletionRequest):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"a request must be a ChatCompletionRequest, not {type(request).__name__}",
                hint="make one with chat_completion_request(model, messages, …)",
            )
        extra = request.extra if request.extra and isinstance(request.extra, Mapping) else {}  # pyright: ignore[reportUnnecessaryIsInstance]
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
            reasoning_tags=self.reasoning_tags,
            timeout=limited_timeout(self.timeout if timeout is None else check_timeout(timeout), longest_s),
            max_retries=self.max_retries if max_retries is None else check_count("max_retries", max_retries),
            max_retry_delay_s=math.inf if longest_s is None else longest_s / 10,
            response_type=_response_type(request.response_format),
            limiter=self.limiter,
            observer=observer_of_call(self.observer),
        )

    @conceal_arguments
    def prepare_models(
        self, *, timeout: Timeout | None, max_retries: int | None, headers: Mapping[str, str] | None
    ) -> PreparedRequest:
        """Prepare a call that lists the models. It costs nothing, so the limiter and the observer don't see it.

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
            max_retries=self.max_retries if max_retries is None else check_count("max_retries", max_retries),
        )

    def _route(
        self, endpoint: Endpoint, headers: Mapping[str, str] | None, *, streamed: bool, method: Method = "POST"
    ) -> Route:
        """Where a call goes; made once, unless the call or a caller's own client has headers."""
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


def _response_type(response_format: object) -> "ResponseType | None":
    if response_format is None:
        return None
    from firsttoken._schema.parsing import response_type

    return response_type(response_format)


def _check_n(n: object) -> int:
    """How many choices a request asks for; 1 where it does not say."""
    if n is None:
        return 1
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise ConfigurationError(f"n must be an int of 1 or more: {n!r}")
    return n


def _unquoted(text: str) -> str:
    """The text without surrounding quotes, which `docker --env-file` keeps."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _key(key: str) -> str:
    """The key without surrounding quotes and without `Bearer`."""
    if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        return key
    key = _unquoted(key)
    return key[7:] if key[:7].lower() == "bearer " else key


_default_observer: "Observer | None" = None


def set_default_observer(observer: "Observer | None") -> None:
    """Observe all calls, from now on, of clients without an observer of their own."""
    global _default_observer
    _default_observer = observer


def observer_of_call(observer: "Observer | None") -> "Observer | None":
    """The client's observer, else the default one; it also logs where a log handler is set up.

    `logging` is not imported for this: who wants a log has imported it, or has set `FIRSTTOKEN_LOG`.
    """
    observer = _default_observer if observer is None else observer
    if "logging" not in sys.modules:
        return observer
    from firsttoken._client.observers import LOGGER, LoggingObserver

    return LoggingObserver(observer) if LOGGER.isEnabledFor(30) and LOGGER.hasHandlers() else observer


def _log_as_the_environment_says() -> None:
    level = os.environ.get("FIRSTTOKEN_LOG")
    if level:
        from firsttoken._client.observers import log_to_stderr

        log_to_stderr(level)


def _without_secrets(state: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a client's configuration for a pickle, and under `left_out` what is not among them."""
    left_out: list[str] = []
    headers = {name: value for name, value in state["headers"].items() if not holds_secret(name)}
    left_out += [f"the header {name}" for name in state["headers"] if name not in headers]
    base_url, proxy = _without_query(state["base_url"]), _without_user(state["proxy"])
    left_out += ["the query of the URL"] if base_url != state["base_url"] else []
    left_out += ["the user of the proxy"] if proxy != state["proxy"] else []
    changed = {"headers": headers, "base_url": base_url, "proxy": proxy, "left_out": left_out}
    kept = {name: value for name, value in state.items() if name != "endpoint"}  # which has the query too
    return {**kept, **changed, "_routes": {}, "_proxies": {}}


def _without_query(url: str) -> str:
    before, mark, query = url.partition("?")
    public = public_query(query)
    return before + mark + public if public else before


def _without_user(proxy: str | None) -> str | None:
    if not proxy or "@" not in proxy:
        return proxy
    scheme, separator, rest = proxy.rpartition("://")
    return scheme + separator + rest.rpartition("@")[2]


def _warn_of_left_out(left_out: list[str]) -> None:
    """Log what an unpickled client lacks."""
    if left_out:
        import logging  # here, since it is slow to load

        logging.getLogger("firsttoken").warning(
            "left out of the pickle of a client, since it is secret: %s", ", ".join(left_out)
        )


class CopyableClient:
    """Copies and pickles of both clients: the same settings, with connections of their own.

    A pickle contains no secret: the key comes from the environment where it is unpickled.
    """

    _config: ClientConfig
    _connection_settings: tuple[Any, Any, int]

    def _init(self, config: ClientConfig, ssl_context: Any, http_client: Any, max_idle: int) -> None:
        raise NotImplementedError

    def __copy__(self) -> Self:
        return made_with(type(self), copy.copy(self._config), self._connection_settings)

    def __deepcopy__(self, memo: object) -> Self:
        return self.__copy__()

    def __reduce__(self) -> tuple[object, ...]:
        import pickle  # here, since it is slow to load

        ssl_context, http_client, max_idle = self._connection_settings
        for name, value in (("ssl_context", ssl_context), ("http_client", http_client)):
            if value is not None:
                raise pickle.PicklingError(f"a client with {name}= can't be pickled: make one in each process")
        return made_with, (type(self), self._config, (None, None, max_idle))


_Client = TypeVar("_Client", bound=CopyableClient)


def made_with(kind: type[_Client], config: ClientConfig, settings: tuple[Any, Any, int]) -> _Client:
    """A client from its configuration and the settings of its connections, which were checked."""
    client = kind.__new__(kind)
    client._init(config, *settings)
    return client
