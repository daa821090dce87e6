"""What one call does: where it goes, what it sends, and its limits."""

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from firsttoken._models.timeout import Timeout
from firsttoken._protocol.proxy import Proxy
from firsttoken._protocol.redaction import secrets_of_headers, secrets_of_query
from firsttoken._protocol.request import check_header_value, encode_head
from firsttoken._protocol.url import Endpoint
from firsttoken._schema.parsing import ResponseType
from firsttoken.errors import ConfigurationError

if TYPE_CHECKING:
    from firsttoken._protocol.response import ResponseReader

MIN_SECRET_LENGTH = 8
"""Keys that are shorter are placeholders for servers that want none; masking "test" would only garble messages."""

TokenProvider = Callable[[], object]
"""Gives the token for one request, or something to await for it."""


def bearer(token: object) -> str:
    """The value of the header `authorization`, for what a token provider gave.

    Raises:
        ConfigurationError: it is no token. The message does not show it.
    """
    if not isinstance(token, str) or not token:
        raise ConfigurationError(
            f"the token provider must give a str, not {'an empty one' if token == '' else type(token).__name__}",
            hint="an async one is for AsyncClient" if hasattr(token, "__await__") else None,
        )
    return f"Bearer {check_header_value('the token', token)}"


class CallRecorder(Protocol):
    """Listens to a call."""

    def exchange_factory(self, plan: "PreparedRequest") -> "Callable[..., ResponseReader]":
        """What makes the exchange of the next attempt, as `ResponseReader` would."""
        ...


class Recorder(Protocol):
    """Listens to the calls of a client."""

    def begin_call(self) -> CallRecorder:
        """Listen to another call."""
        ...


class PreparedRequest:
    """One call: where it goes, what it sends, and its limits."""

    __slots__ = (
        *("response_type", "expected_choices", "endpoint", "headers", "max_retries", "message", "proxy", "recorder"),
        *("secrets", "streamed", "target", "timeout", "token_provider"),
    )

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        proxy: Proxy | None,
        headers: Mapping[str, str],
        body: bytes,
        streamed: bool,
        expected_choices: int,
        timeout: Timeout,
        max_retries: int,
        client_headers: Mapping[str, str],
        token_provider: TokenProvider | None = None,
        response_type: ResponseType | None = None,
        recorder: CallRecorder | None = None,
    ) -> None:
        self.response_type = response_type
        self.recorder = recorder
        self.endpoint = endpoint
        self.proxy = proxy
        self.streamed = streamed
        self.expected_choices = expected_choices
        self.timeout = timeout
        self.max_retries = max_retries
        self.token_provider = token_provider
        origin, target = endpoint
        sent = dict(headers)
        if proxy is not None and origin.scheme == "http":
            target = endpoint.url
            if proxy.authorization:
                sent["proxy-authorization"] = proxy.authorization
        self.headers = sent
        self.target = target
        self.message = encode_head(target, origin.authority, sent, len(body)) + body
        words = secrets_of_headers(sent) + secrets_of_headers(client_headers)
        words += secrets_of_query(endpoint.target.partition("?")[2])
        if proxy is not None:
            words += proxy.secrets
        self.secrets = tuple(dict.fromkeys(word for word in words if len(word) >= MIN_SECRET_LENGTH))

    def with_token(self, token: object) -> "PreparedRequest":
        """This call with a token of the provider.

        Raises:
            ConfigurationError: it is none.
        """
        plan = copy.copy(self)
        plan.headers = self.headers | {"authorization": bearer(token)}
        body = self.body
        plan.message = encode_head(self.target, self.endpoint.origin.authority, plan.headers, len(body)) + body
        plan.secrets = (*self.secrets, *(word for word in (str(token),) if len(word) >= MIN_SECRET_LENGTH))
        return plan

    @property
    def body(self) -> bytes:
        """What the message has behind its head."""
        return self.message.partition(b"\r\n\r\n")[2]

    @property
    def pool_key(self) -> tuple[object, ...]:
        """Connections are alike when they go to the same origin by the same way."""
        return self.endpoint.origin, self.proxy
