"""A caller's own `httpx2.AsyncClient` as a connection.

A task sends with it and passes on what comes; whoever waits for the answer has the deadlines, and cancels the task.
"""

import asyncio
from contextlib import aclosing

import httpx2

from firsttoken._async.connection import Connection
from firsttoken._async.pool import ConnectionPool
from firsttoken._client.call import Machine
from firsttoken._client.httpx2 import (
    END,
    ConnectionTrace,
    buffered_body,
    encode_chunk,
    encode_head,
    map_exception,
    request_for,
    sent_secrets,
)
from firsttoken._client.prepared import PreparedRequest
from firsttoken.errors import ChatCompletionError


class HTTPX2Pool(ConnectionPool):
    """Makes a connection for each request of a caller's client, which has a connection pool of its own."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        super().__init__(None)
        self._client = client

    def acquire(self, request: PreparedRequest, machine: Machine) -> Connection:
        """A connection for one request: the client has the pool."""
        return HTTPX2Connection(self._client, machine)

    async def open(self, connection: Connection, request: PreparedRequest, deadline: float) -> None:
        """Do nothing: httpx2 connects when it sends."""

    def release(self, connection: Connection, request: PreparedRequest) -> None:
        """Do nothing: the client has had its connection back since the body ended."""
        connection.close()


class HTTPX2Connection(Connection):
    """One request of a caller's client, and its response as bytes of HTTP/1.1."""

    def __init__(self, client: httpx2.AsyncClient, machine: Machine) -> None:
        super().__init__()
        self._client = client
        self._machine = machine
        self._response: httpx2.Response | None = None
        self._task: asyncio.Task[None] | None = None
        self._connection_trace = ConnectionTrace()
        self._may_read = asyncio.Event()
        self._may_read.set()

    def send(self, data: bytes) -> None:
        """Have a task send the request.

        Raises:
            ConfigurationError: the client is closed, or rejects the URL.
        """
        request = request_for(self._client, self._machine.settings, self._trace)
        self._task = asyncio.get_running_loop().create_task(self._run(request), name="firsttoken-httpx2")

    def is_untaken(self, *, at_eof: bool) -> bool | None:
        """Return None: httpx2 does not tell."""

    def pause(self) -> None:
        """Pause reading: the listener has enough."""
        self.is_paused = True
        self._may_read.clear()

    def resume(self) -> None:
        """Resume reading."""
        self.is_paused = False
        self._may_read.set()

    def close(self) -> None:
        """End the request at once; the listener is not notified."""
        self.listener = None
        task, self._task = self._task, None
        if task is not None:
            try:
                task.cancel()
            except RuntimeError:
                pass  # its loop is closed

    async def _run(self, request: httpx2.Request) -> None:
        try:
            await self._send_request(request)
        except asyncio.CancelledError:
            self._notify(ConnectionAbortedError("the event loop cancelled the reading"))
            raise
        except Exception as error:  # noqa: BLE001 - the listener receives it as an outcome
            self._notify(map_exception(error, self._machine, self._response, self._connection_trace))

    async def _send_request(self, request: httpx2.Request) -> None:
        response = self._response = await self._client.send(request, stream=True, follow_redirects=False)
        self._machine.client_secrets = sent_secrets(response)
        try:
            self._deliver(encode_head(response))
            if response.is_stream_consumed:
                for piece in buffered_body(response):
                    self._deliver(encode_chunk(piece))
            else:
                async with aclosing(response.aiter_raw()) as pieces:
                    async for piece in pieces:
                        self._deliver(encode_chunk(piece))
                        await self._may_read.wait()
        finally:
            await response.aclose()
        self._deliver(END)

    async def _trace(self, event: str, info: object) -> None:
        self._connection_trace.on_event(event)
        self.is_reused = self._connection_trace.is_reused

    def _deliver(self, data: bytes) -> None:
        if self.listener is not None and data:
            self.listener.on_data(data)

    def _notify(self, error: BaseException) -> None:
        listener, self.listener = self.listener, None
        if listener is None:
            return
        if isinstance(error, ChatCompletionError | ConnectionError):
            listener.on_connection_lost(error)
        else:
            listener.on_exception(error)
