"""firsttoken's promise under other people's clients: the complete answer, or an error that holds what arrived.

    client = openai.OpenAI(http_client=openai.DefaultHttpx2Client(transport=GuardTransport()))

Transports for `httpx2` and for `httpx`. They guard `POST …/chat/completions` with `"stream": true`: such a request goes
over firsttoken's own connections, and what comes back is written anew, event by event, so that the client reads what
firsttoken has understood. `[DONE]` is written for a complete answer only. An error of the server that comes first
becomes the HTTP response of its status, a later one an error event; everything else is raised from the body, where no
framework retries. All other requests pass through the stock transport, byte for byte.
"""

import functools
import threading
from collections.abc import AsyncIterator, Iterator
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from firsttoken._async.pool import ConnectionPool as AsyncConnectionPool
from firsttoken._async.stream import AsyncChatCompletionStream
from firsttoken._client.config import observer_of_call
from firsttoken._client.prepared import PreparedRequest
from firsttoken._client.settings import check_timeout
from firsttoken._models.chunk import ChatCompletionChunk
from firsttoken._models.completion import ChatCompletion
from firsttoken._models.request import Timeout
from firsttoken._sync.pool import ConnectionPool
from firsttoken._sync.stream import ChatCompletionStream
from firsttoken.errors import APIStatusError, ChatCompletionError
from firsttoken.guard._guarded import (
    StreamBrokenError,
    StreamLostError,
    StreamTimeoutError,
    broken,
    error_event,
    error_response,
    event,
    flavour_of,
    guarded_request,
    is_event_stream,
    proxy_of,
    response_headers,
)

if TYPE_CHECKING:
    import ssl

    import httpx2

    from firsttoken._models.observer import Observer

    _Transport = httpx2.BaseTransport
    _AsyncTransport = httpx2.AsyncBaseTransport
else:
    _Transport = _AsyncTransport = object  # httpx2 need not be installed under httpx

__all__ = [
    "AsyncGuardTransport",
    "GuardTransport",
    "StreamBrokenError",
    "StreamLostError",
    "StreamTimeoutError",
    "partial_of",
]

_STREAM = "firsttoken.stream"
"""The request's extension that holds the stream, for `partial_of`."""

_DONE = b"data: [DONE]\n\n"
_DEFAULT_TIMEOUT = Timeout()


def partial_of(error: BaseException) -> ChatCompletion | None:
    """What had arrived of the answer, from whatever a framework raised; None where nothing had, or nothing was guarded.

    It is looked for in the error, in its causes and contexts, and in the `request` that any of them carries.
    """
    seen: set[int] = set()
    errors: list[BaseException | None] = [error]
    while errors:
        link = errors.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        partial = getattr(link, "partial", None) or _partial_of_request(link)
        if isinstance(partial, ChatCompletion):
            return partial
        errors += [link.__cause__, link.__context__]
    return None


def _partial_of_request(error: BaseException) -> ChatCompletion | None:
    try:
        extensions: Any = getattr(getattr(error, "request", None), "extensions", None)
    except RuntimeError:  # httpx raises it where an error has no request
        return None
    stream: object = extensions.get(_STREAM) if isinstance(extensions, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(stream, ChatCompletionStream | AsyncChatCompletionStream) or not stream.timing.chunks:
        return None
    return stream.completion


class _Guard:
    """What both transports keep.

    Args: as those of `GuardTransport`.
    """

    def __init__(
        self,
        transport: Any,
        timeout: Timeout,
        proxy: str | None,
        ssl_context: "ssl.SSLContext | None",
        observer: "Observer | None",
        require_finish_reason: bool,
    ) -> None:
        self._timeout = check_timeout(timeout)
        self._proxy = proxy
        self._ssl_context = ssl_context
        self._observer = observer
        self._require_finish_reason = require_finish_reason
        self._lock = threading.Lock()
        self._transport = transport
        self._stock: dict[str, Any] = {}  # by the URL of their proxy

    def _guarded(self, request: Any) -> PreparedRequest | None:
        return guarded_request(
            request,
            timeout=self._timeout,
            proxy=self._proxy,
            observer=observer_of_call(self._observer),
            require_finish_reason=self._require_finish_reason,
        )

    def _transports(self) -> list[Any]:
        """Those that requests went over which are not guarded, or that was given."""
        with self._lock:
            return [*self._stock.values()] if self._transport is None else [self._transport]

    def _transport_for(self, request: Any, name: str) -> Any:
        """What a request that is not guarded goes over: the transport that was given, or a stock one."""
        if self._transport is not None:
            return self._transport
        flavour, proxy = flavour_of(request), proxy_of(request, self._proxy)
        with self._lock:
            stock = self._stock.get(proxy)
            if stock is None:
                verify = True if self._ssl_context is None else self._ssl_context
                stock = self._stock[proxy] = getattr(flavour, name)(verify=verify, proxy=proxy or None)
            return stock


class _Body:
    """The body that a client reads in place of the server's: what both are written of."""

    def __init__(self, stream: "ChatCompletionStream | AsyncChatCompletionStream", flavour: ModuleType) -> None:
        self._flavour = flavour
        self._stream: Any = stream
        self._first: ChatCompletionChunk | None = None
        self._error: ChatCompletionError | None = None

    def _events(self, chunk: ChatCompletionChunk) -> bytes:
        """The events of a chunk, and of those that one read has brought with it."""
        chunks, pending = [chunk], self._stream._pending
        while pending:
            try:
                chunks.append(pending.popleft())
            except IndexError:
                break  # another thread has just closed the stream
        is_events = is_event_stream(self._stream.response)
        return b"".join([event(chunk, is_event_stream=is_events) for chunk in chunks])

    def _end(self, error: ChatCompletionError | None) -> bytes:
        """The last bytes of the body; b"" where the client has closed it.

        Raises:
            StreamBrokenError, StreamTimeoutError, StreamLostError: the answer is not complete.
        """
        if isinstance(error, APIStatusError):
            return error_event(error)
        if error is not None:
            raise broken(error, self._flavour) from error
        return _DONE if self._stream.state == "complete" else b""


class _SyncBody(_Body):
    def begin(self) -> None:
        try:
            self._first = next(self._stream, None)
        except ChatCompletionError as error:
            self._error = error
            raise

    def __iter__(self) -> Iterator[bytes]:
        error = self._error
        if self._first is not None:
            yield self._events(self._first)
        try:
            for chunk in self._stream if error is None else ():
                yield self._events(chunk)
        except ChatCompletionError as caught:
            error = caught
        yield self._end(error)

    def close(self) -> None:
        self._stream.close()


class _AsyncBody(_Body):
    async def begin(self) -> None:
        try:
            self._first = await anext(self._stream, None)
        except ChatCompletionError as error:
            self._error = error
            raise

    async def __aiter__(self) -> AsyncIterator[bytes]:
        error = self._error
        if self._first is not None:
            yield self._events(self._first)
        try:
            if error is None:
                async for chunk in self._stream:
                    yield self._events(chunk)
        except ChatCompletionError as caught:
            error = caught
        yield self._end(error)

    async def aclose(self) -> None:
        await self._stream.aclose()


@functools.cache
def _body_class(kind: type[_Body], flavour: ModuleType, name: str) -> Any:
    """A body that is a stream of the client's flavour, too, which checks its type."""
    return type(kind.__name__, (kind, getattr(flavour, name)), {})


class GuardTransport(_Guard, _Transport):
    """A transport for `httpx2.Client` and `httpx.Client` that guards streamed chat completions.

    Args:
        transport: a transport of your own (SOCKS, HTTP/2, mocks) that all requests go over, the guarded ones by one
            request in a thread each; None for firsttoken's own connections, and a stock transport for all other
            requests.
        timeout: the deadlines; those that the client sets for a request hold where they are shorter.
        proxy: the proxy; "" for none, None for the environment's.
        ssl_context: None for the system's trust store.
        observer: sees the guarded calls, as in `Client(observer=…)`.
        require_finish_reason: whether `[DONE]` alone does not end an answer, as in `Client(require_finish_reason=…)`.
    """

    def __init__(
        self,
        transport: "httpx2.BaseTransport | None" = None,
        *,
        timeout: Timeout = _DEFAULT_TIMEOUT,
        proxy: str | None = None,
        ssl_context: "ssl.SSLContext | None" = None,
        observer: "Observer | None" = None,
        require_finish_reason: bool = True,
    ) -> None:
        super().__init__(transport, timeout, proxy, ssl_context, observer, require_finish_reason)
        self._pool: ConnectionPool | None = None if transport is not None else ConnectionPool(ssl_context)

    def handle_request(self, request: "httpx2.Request") -> "httpx2.Response":
        """Send a request; a guarded one comes back when its first chunk, or its error, is there."""
        request.read()
        flavour = flavour_of(request)
        guarded = self._guarded(request)
        if guarded is None:
            passed: httpx2.Response = self._transport_for(request, "HTTPTransport").handle_request(request)
            return passed
        stream = ChatCompletionStream(self._own_pool(flavour), guarded)
        request.extensions[_STREAM] = stream
        body = _body_class(_SyncBody, flavour, "SyncByteStream")(stream, flavour)
        try:
            body.begin()
        except ChatCompletionError as error:
            refused: httpx2.Response | None = error_response(error, request, flavour)
            if refused is not None:
                return refused
        headers = response_headers(stream.response)
        response: httpx2.Response = flavour.Response(200, headers=headers, stream=body, request=request)
        return response

    def close(self) -> None:
        """Close the idle connections, and the transport that was given."""
        if self._pool is not None:
            self._pool.close()
        for transport in self._transports():
            transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()

    def _own_pool(self, flavour: ModuleType) -> ConnectionPool:
        with self._lock:
            if self._pool is None:
                from firsttoken.guard._given import sync_pool

                self._pool = sync_pool(self._transport, flavour)
            return self._pool


class AsyncGuardTransport(_Guard, _AsyncTransport):
    """A transport for `httpx2.AsyncClient` and `httpx.AsyncClient` that guards streamed chat completions.

    Args: as those of `GuardTransport`.
    """

    def __init__(
        self,
        transport: "httpx2.AsyncBaseTransport | None" = None,
        *,
        timeout: Timeout = _DEFAULT_TIMEOUT,
        proxy: str | None = None,
        ssl_context: "ssl.SSLContext | None" = None,
        observer: "Observer | None" = None,
        require_finish_reason: bool = True,
    ) -> None:
        super().__init__(transport, timeout, proxy, ssl_context, observer, require_finish_reason)
        self._pool: AsyncConnectionPool | None = None if transport is not None else AsyncConnectionPool(ssl_context)

    async def handle_async_request(self, request: "httpx2.Request") -> "httpx2.Response":
        """Send a request; a guarded one comes back when its first chunk, or its error, is there."""
        await request.aread()
        flavour = flavour_of(request)
        guarded = self._guarded(request)
        if guarded is None:
            other = self._transport_for(request, "AsyncHTTPTransport")
            passed: httpx2.Response = await other.handle_async_request(request)
            return passed
        stream = AsyncChatCompletionStream(self._own_pool(flavour), guarded)
        request.extensions[_STREAM] = stream
        body = _body_class(_AsyncBody, flavour, "AsyncByteStream")(stream, flavour)
        try:
            await body.begin()
        except ChatCompletionError as error:
            refused: httpx2.Response | None = error_response(error, request, flavour)
            if refused is not None:
                return refused
        headers = response_headers(stream.response)
        response: httpx2.Response = flavour.Response(200, headers=headers, stream=body, request=request)
        return response

    async def aclose(self) -> None:
        """Close the idle connections, and the transport that was given."""
        if self._pool is not None:
            self._pool.close()
        for transport in self._transports():
            await transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    def _own_pool(self, flavour: ModuleType) -> AsyncConnectionPool:
        with self._lock:
            if self._pool is None:
                from firsttoken.guard._given import async_pool

                self._pool = async_pool(self._transport, flavour)
            return self._pool
