"""The settings that all clients share, for any server: all but its address and key. They are checked here."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec.structs import replace

from firsttoken._models.request import Timeout
from firsttoken._protocol.request import check_headers
from firsttoken._version import install_hint
from firsttoken.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

    from firsttoken._client.limiter import Limiter
    from firsttoken._models.observer import Observer


class HTTPClient(Protocol):
    """What a request needs to know of a caller's own client."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Those that it adds to each request."""
        ...


class CommonSettings:
    """The checked settings that all clients share.

    Args: as those of `firsttoken.Client`; before them, the class of httpx2 that `http_client` must be an instance of.

    Raises:
        ConfigurationError: an argument is invalid.
    """

    def __init__(
        self,
        http_client_class: Literal["Client", "AsyncClient"],
        *,
        timeout: Timeout,
        max_retries: int,
        default_headers: Mapping[str, str] | None,
        ssl_context: "ssl.SSLContext | None",
        proxy: str | None,
        http_client: HTTPClient | None,
        max_idle_connections: int,
        require_finish_reason: bool,
        reasoning_tags: tuple[str, str] | None,
        limiter: "Limiter | None",
        observer: "Observer | None",
    ) -> None:
        if http_client is not None:
            check_http_client(http_client, http_client_class, ssl_context=ssl_context, proxy=proxy)
        self.timeout = check_timeout(timeout)
        self.max_retries = check_count("max_retries", max_retries)
        self.default_headers = check_headers({} if default_headers is None else default_headers)
        self.proxy = proxy
        self.http_client = http_client
        self.require_finish_reason = require_finish_reason
        self.reasoning_tags = check_reasoning_tags(reasoning_tags)
        self.limiter = _check_limiter(limiter)
        self.observer = _check_observer(observer)
        check_ssl_context(ssl_context)
        check_count("max_idle_connections", max_idle_connections)


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


def _check_limiter(limiter: "Limiter | None") -> "Limiter | None":
    if limiter is not None:
        from firsttoken._client.limiter import Limiter

        if not isinstance(limiter, Limiter):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"limiter must be a Limiter, not {type(limiter).__name__}", hint="as in Limiter(concurrency=8)"
            )
    return limiter


def _check_observer(observer: "Observer | None") -> "Observer | None":
    if observer is not None and not callable(getattr(observer, "call_started", None)):
        raise ConfigurationError(
            f"observer must be an Observer, not {type(observer).__name__}",
            hint="as in class Mine(Observer): …, from firsttoken.types",
        )
    return observer


MAX_WAIT_VARIABLE = "FIRSTTOKEN_MAX_WAIT_S"
"""The longest wait of any client for an answer to begin or to go on, in seconds: for code under test."""


def max_wait_s(environment: Mapping[str, str]) -> float | None:
    """The value of `FIRSTTOKEN_MAX_WAIT_S`; None where it is not set.

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
    """The timeout, cut to `FIRSTTOKEN_MAX_WAIT_S`, except `connect_s` and `total_s`, which don't bound a silence."""
    if longest_s is None:
        return timeout
    waits_s = {
        name: getattr(timeout, name) for name in timeout.__struct_fields__ if name not in {"connect_s", "total_s"}
    }
    return replace(timeout, **{name: min(wait_s or longest_s, longest_s) for name, wait_s in waits_s.items()})


def check_count(name: str, count: int) -> int:
    """The value of an argument that counts something.

    Raises:
        ConfigurationError: it is not an int, or below 0.
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"{name} must be an int of 0 or more: {count!r}")
    return count


def check_reasoning_tags(tags: object) -> tuple[str, str] | None:
    """The opening and the closing tag of reasoning, if they differ.

    Raises:
        ConfigurationError: they are not two different texts, or one is blank.
    """
    if tags is None:
        return None
    match tags:
        case (str() as opening, str() as closing) if opening.strip() and closing.strip() and opening != closing:
            return opening, closing
        case _:
            raise ConfigurationError(
                f"reasoning_tags must be two different texts, not {tags!r:.80}",
                hint='as in reasoning_tags=("<think>", "</think>")',
            )


def check_ssl_context(ssl_context: "ssl.SSLContext | None") -> None:
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


def check_http_client(http_client: object, wanted: Literal["Client", "AsyncClient"], **excluded: object) -> None:
    """Check a caller's own client.

    Args:
        http_client: what was given.
        wanted: which of httpx2's classes it must be of.
        excluded: settings that apply only to our own connections; None where not given.

    Raises:
        ConfigurationError: it has another type, one of `excluded` was given too, or httpx2 is not installed.
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
                f"{name} can't be combined with http_client",
                hint=f"pass {name} to the httpx2 client" if name == "proxy" else "pass verify= to the httpx2 client",
            )
