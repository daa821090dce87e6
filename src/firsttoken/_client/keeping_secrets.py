"""Keeps keys out of the frames of an error's traceback, and out of pickles."""

import copy
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from firsttoken._protocol.redaction import holds_secret, public_query
from firsttoken._protocol.server_error import without_traceback
from firsttoken.errors import ConfigurationError

if TYPE_CHECKING:
    from firsttoken._client.config import ClientConfig

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


def without_secrets(state: Mapping[str, Any]) -> dict[str, Any]:
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


def warn_of_left_out(left_out: list[str]) -> None:
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

    _config: "ClientConfig"
    _connection_settings: tuple[Any, Any, int]

    def _init(self, config: "ClientConfig", ssl_context: Any, http_client: Any, max_idle: int) -> None:
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


def made_with(kind: type[_Client], config: "ClientConfig", settings: tuple[Any, Any, int]) -> _Client:
    """A client from its configuration and the settings of its connections, which were checked."""
    client = kind.__new__(kind)
    client._init(config, *settings)
    return client
