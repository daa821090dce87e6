"""One call: its request, as the methods of both clients take it, and what it sends, where to, with which limits."""

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from firsttoken._models.request import ChatCompletionRequest, Messages, Timeout, chat_completion_request
from firsttoken._protocol.proxy import Proxy
from firsttoken._protocol.redaction import secrets_of_headers, secrets_of_query
from firsttoken._protocol.request import Method, check_header_value, encode_head
from firsttoken._protocol.url import Endpoint
from firsttoken.errors import ConfigurationError

if TYPE_CHECKING:
    from firsttoken._client.limiter import Limiter
    from firsttoken._models.observer import Observer
    from firsttoken._schema.parsing import ResponseType

MIN_SECRET_LENGTH = 8
"""Shorter keys are placeholders for servers that need none; masking "test" would only garble messages."""


def long_enough(words: Iterable[str]) -> tuple[str, ...]:
    """The words that are long enough to be secrets, each once."""
    return tuple(dict.fromkeys(word for word in words if len(word) >= MIN_SECRET_LENGTH))


TokenProvider = Callable[[], object]
"""Returns the token for one request, or an awaitable of it."""


def bearer(token: object) -> str:
    """The value of the header `authorization`, from what a token provider returned.

    Raises:
        ConfigurationError: it is not a token. The message does not contain it.
    """
    if not isinstance(token, str) or not token:
        raise ConfigurationError(
            f"the token provider must return a str, not {'an empty one' if token == '' else type(token).__name__}",
            hint="an async token provider needs AsyncClient" if hasattr(token, "__await__") else None,
        )
    return f"Bearer {check_header_value('the token', token)}"


class Route:
    """Where requests go, and with which headers; made once for all equal requests of a client.

    Args:
        endpoint: of the server.
        proxy: that the requests go through.
        headers: of the requests, names in lower case.
        client_headers: those that a caller's own client adds.
        method: of the requests; a GET has no body.

    Attributes:
        address: the server's, for messages.
        route_address: the server's and the proxy's, for messages.
        head: of a request, up to the value of `content-length`.
        secrets: texts that no error may contain.
        pool_key: connections with the same key are interchangeable.
    """

    __slots__ = (
        "address",
        "endpoint",
        "head",
        "headers",
        "method",
        "pool_key",
        "proxy",
        "route_address",
        "secrets",
        "target",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        proxy: Proxy | None,
        headers: Mapping[str, str],
        client_headers: Mapping[str, str],
        method: Method = "POST",
    ) -> None:
        self.endpoint = endpoint
        self.proxy = proxy
        self.method: Method = method
        origin, self.target = endpoint
        self.headers = dict(headers)
        if method == "GET":
            self.headers.pop("content-type", None)
        self.address = self.route_address = origin.address
        if proxy is not None:
            self.route_address += f" through the proxy {proxy.origin.address}"
            if origin.scheme == "http":
                self.target = endpoint.url
                if proxy.authorization:
                    self.headers["proxy-authorization"] = proxy.authorization
        self.head = encode_head(self.target, origin.authority, self.headers, method)
        words = secrets_of_headers(self.headers) + secrets_of_headers(client_headers)
        words += secrets_of_query(endpoint.target.partition("?")[2])
        if proxy is not None:
            words += proxy.secrets
        self.secrets = long_enough(words)
        self.pool_key: tuple[object, ...] = (origin, proxy)

    def with_headers(self, headers: Mapping[str, str]) -> "Route":
        """This route with other headers, whose keys count as secrets too."""
        route = copy.copy(self)
        route.headers = dict(headers)
        route.secrets = long_enough((*self.secrets, *secrets_of_headers(headers)))
        route.head = encode_head(self.target, self.endpoint.origin.authority, route.headers, self.method)
        return route

    def with_token(self, token: object) -> "Route":
        """This route with a token of the provider.

        Raises:
            ConfigurationError: it is not a token.
        """
        return self.with_headers(self.headers | {"authorization": bearer(token)})


class PreparedRequest:
    """One call: where it goes, what it sends, and its limits."""

    __slots__ = (
        *("body", "expected_choices", "limiter", "max_retries", "max_retry_delay_s", "observer", "request"),
        *("reasoning_tags", "require_finish_reason", "response_type", "route", "streamed", "timeout", "token_provider"),
    )

    def __init__(
        self,
        *,
        request: ChatCompletionRequest,
        route: Route,
        body: bytes,
        streamed: bool,
        expected_choices: int,
        require_finish_reason: bool,
        timeout: Timeout,
        max_retries: int,
        max_retry_delay_s: float = math.inf,
        token_provider: TokenProvider | None = None,
        response_type: "ResponseType | None" = None,
        reasoning_tags: tuple[str, str] | None = None,
        limiter: "Limiter | None" = None,
        observer: "Observer | None" = None,
    ) -> None:
        self.request = request
        self.route = route
        self.body = body
        self.streamed = streamed
        self.expected_choices = expected_choices
        self.require_finish_reason = require_finish_reason
        self.reasoning_tags = reasoning_tags
        self.timeout = timeout
        self.max_retries = max_retries
        self.max_retry_delay_s = max_retry_delay_s
        self.token_provider = token_provider
        self.response_type = response_type
        self.limiter = limiter
        self.observer = observer

    @property
    def wire_bytes(self) -> bytes:
        """The request as it is sent."""
        if self.route.method == "GET":
            return self.route.head
        return b"%b%d\r\n\r\n%b" % (self.route.head, len(self.body), self.body)

    @property
    def url(self) -> str:
        """Where the request goes, without a query, which may hold a key."""
        return self.route.endpoint.url.partition("?")[0]

    @property
    def method(self) -> Method:
        """POST for a completion, GET for the list of models."""
        return self.route.method

    @property
    def address(self) -> str:
        """The server's, for messages."""
        return self.route.address

    @property
    def route_address(self) -> str:
        """The server's and that of a proxy, for messages."""
        return self.route.route_address

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that no error may contain."""
        return self.route.secrets

    @property
    def needs_token(self) -> bool:
        """Whether each attempt needs a token of the provider."""
        return self.token_provider is not None

    @property
    def needs_permit(self) -> bool:
        """Whether each attempt needs a permit of the limiter."""
        return self.limiter is not None

    def with_route(self, route: Route) -> "PreparedRequest":
        """This call by another route."""
        prepared = copy.copy(self)
        prepared.route = route
        return prepared

    def with_token(self, token: object) -> "PreparedRequest":
        """This call with a token of the provider.

        Raises:
            ConfigurationError: it is not a token.
        """
        return self.with_route(self.route.with_token(token))


_EXAMPLE = 'as in client.chat_completion("gpt-5-mini", "Why is the sky blue?")'


def as_request(request: object, messages: object, fields: Mapping[str, object]) -> ChatCompletionRequest:
    """The request of a call.

    Raises:
        ConfigurationError: both a request and fields were given, or no messages, or an unknown field.
    """
    if isinstance(request, ChatCompletionRequest):
        given = ["messages"] * (messages is not None) + list(fields)
        if given:
            raise ConfigurationError(
                f"{', '.join(given)} can't be combined with a request",
                hint="put it into the request" if len(given) == 1 else "put them into the request",
            )
        return request
    fields = dict(fields)
    model = fields.pop("model", None) if request is None else request
    if model is None:
        raise ConfigurationError("neither a request nor a model was given", hint=_EXAMPLE)
    if not isinstance(model, str):
        raise ConfigurationError(
            f"expected a ChatCompletionRequest or the name of a model, not {type(model).__name__}",
            hint=_EXAMPLE,
        )
    if messages is None:
        raise ConfigurationError(
            f"no messages for the model {model!r}",
            hint=_EXAMPLE,
        )
    return chat_completion_request(model, cast("Messages", messages), **cast("dict[str, Any]", fields))


def callback_in(request: object, second: object, on_chunk: object) -> tuple[object, object]:
    """The messages and the callback of a call: after a request, the second argument is the callback."""
    if isinstance(request, ChatCompletionRequest) and callable(second):
        if on_chunk is not None:
            raise ConfigurationError("on_chunk was given twice", hint="pass it as the second argument or as on_chunk=")
        return None, second
    return second, on_chunk


def check_is_sync(on_chunk: object) -> None:
    """Check that the callback of the sync client is not an async function.

    Raises:
        ConfigurationError: it is one.
    """
    import inspect  # here, so that only calls with a callback load it

    called = getattr(on_chunk, "func", on_chunk)
    if inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(getattr(called, "__call__", None)):  # noqa: B004
        raise ConfigurationError(
            "on_chunk is an async function, which the sync client can't await",
            hint="use AsyncClient, or pass a plain function",
        )
