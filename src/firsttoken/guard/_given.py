"""A transport that was given to a guard, as connections; loaded only where one was given.

One of `httpx2` is used by an `httpx2` client of our own; one of `httpx` is put behind a transport of `httpx2` first.
"""

from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

from firsttoken._async.pool import ConnectionPool as AsyncConnectionPool
from firsttoken._sync.pool import ConnectionPool
from firsttoken._version import install_hint
from firsttoken.errors import ConfigurationError

try:
    import httpx2
except ImportError as error:
    raise ConfigurationError("a transport of your own needs httpx2, too", hint=install_hint("httpx2")) from error


def sync_pool(transport: Any, flavour: ModuleType) -> ConnectionPool:
    """Connections over a transport of `httpx2` or `httpx`."""
    from firsttoken._sync.httpx2 import HTTPX2Pool

    wrapped = transport if flavour is httpx2 else _Bridge(transport, flavour)
    return HTTPX2Pool(httpx2.Client(transport=wrapped, trust_env=False))


def async_pool(transport: Any, flavour: ModuleType) -> AsyncConnectionPool:
    """Connections over an async transport of `httpx2` or `httpx`."""
    from firsttoken._async.httpx2 import HTTPX2Pool

    wrapped = transport if flavour is httpx2 else _AsyncBridge(transport, flavour)
    return HTTPX2Pool(httpx2.AsyncClient(transport=wrapped, trust_env=False))


class _Converter:
    """Requests of `httpx2` to those of the flavour, its responses and errors back."""

    def __init__(self, transport: Any, flavour: ModuleType) -> None:
        self._transport = transport
        self._flavour = flavour

    def _request(self, request: httpx2.Request) -> Any:
        return self._flavour.Request(
            request.method,
            str(request.url),
            headers=request.headers.raw,
            content=request.content,
            extensions=request.extensions,
        )

    def _response(self, response: Any, stream: Any) -> httpx2.Response:
        return httpx2.Response(
            response.status_code, headers=response.headers.raw, stream=stream, extensions=response.extensions
        )

    def _error(self, error: Exception) -> Exception:
        """The exception of `httpx2` of the same name, if the flavour's own was raised; else the caller's own."""
        kind = getattr(httpx2, type(error).__name__, None)
        if not isinstance(error, self._flavour.TransportError) or kind is None:
            return error
        converted: Exception = kind(str(error))
        converted.__cause__ = error
        return converted


class _Bridge(_Converter, httpx2.BaseTransport):
    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        try:
            response = self._transport.handle_request(self._request(request))
        except Exception as error:
            raise self._error(error) from error
        return self._response(response, _Stream(response.stream, self._error))


class _AsyncBridge(_Converter, httpx2.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        try:
            response = await self._transport.handle_async_request(self._request(request))
        except Exception as error:
            raise self._error(error) from error
        return self._response(response, _AsyncStream(response.stream, self._error))


class _Stream(httpx2.SyncByteStream):
    def __init__(self, stream: Any, convert: Any) -> None:
        self._stream = stream
        self._convert = convert

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except Exception as error:
            raise self._convert(error) from error

    def close(self) -> None:
        self._stream.close()


class _AsyncStream(httpx2.AsyncByteStream):
    def __init__(self, stream: Any, convert: Any) -> None:
        self._stream = stream
        self._convert = convert

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._stream:
                yield piece
        except Exception as error:
            raise self._convert(error) from error

    async def aclose(self) -> None:
        await self._stream.aclose()
