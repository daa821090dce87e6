"""A caller's own `httpx2.AsyncClient` as a connection.

A task asks with it and hands on what comes; whoever waits for the answer has the deadlines, and cancels the task.
"""

import asyncio
from contextlib import aclosing

import httpx2

from firsttoken._async.connection import Connection
from firsttoken._async.pool import ConnectionPool
from firsttoken._client.call import Course
from firsttoken._client.httpx2 import END, ConnectionTrace, failure_of, framed, head, read_already, request_for
from firsttoken._client.prepared import PreparedRequest
from firsttoken.errors import ChatCompletionError


class HTTPX2Transport(ConnectionPool):
    """Gives connections that are requests of a caller's client; which of its connections serve them is its business."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        super().__init__(None)
        self._client = client

    def acquire_idle(self, plan: PreparedRequest) -> None:
        """None: the client has the pool."""

    def new_connection(self, course: Course) -> Connection:
        """One for the next attempt of a call."""
        return HTTPX2Connection(self._client, course)

    async def open(self, connection: Connection, plan: PreparedRequest, until_s: float) -> None:
        """Nothing: httpx2 connects when it sends."""

    def give_back(self, connection: Connection, plan: PreparedRequest) -> None:
        """Nothing: the client has it back since the body ended."""
        connection.close()


class HTTPX2Connection(Connection):
    """One request of a caller's client, and its response as bytes of HTTP/1.1."""

    def __init__(self, client: httpx2.AsyncClient, course: Course) -> None:
        super().__init__()
        self._client = client
        self._course = course
        self._response: httpx2.Response | None = None
        self._task: asyncio.Task[None] | None = None
        self._trail = ConnectionTrace()
        self._may_read = asyncio.Event()
        self._may_read.set()

    def send(self, data: bytes) -> None:
        """Have a task send the request.

        Raises:
            ConfigurationError: the client is closed, or finds the URL wrong.
        """
        request = request_for(self._client, self._course.plan, self._trace)
        self._task = asyncio.get_running_loop().create_task(self._run(request), name="firsttoken-httpx2")

    def pause(self) -> None:
        """Read no further: the receiver has enough."""
        self.is_paused = True
        self._may_read.clear()

    def resume(self) -> None:
        """Read on."""
        self.is_paused = False
        self._may_read.set()

    def close(self) -> None:
        """End the request at once; nobody is told."""
        self.receiver = None
        task, self._task = self._task, None
        if task is not None:
            try:
                task.cancel()
            except RuntimeError:
                pass  # its loop is closed

    async def _run(self, request: httpx2.Request) -> None:
        try:
            await self._ask(request)
        except asyncio.CancelledError:
            self._tell(ConnectionAbortedError("the event loop cancelled the reading"))
            raise
        except Exception as error:  # noqa: BLE001 - what it means is said to the receiver
            self._tell(failure_of(error, self._course, self._response, self._trail))

    async def _ask(self, request: httpx2.Request) -> None:
        response = self._response = await self._client.send(request, stream=True, follow_redirects=False)
        try:
            self._deliver(head(response))
            if response.is_stream_consumed:
                for piece in read_already(response):
                    self._deliver(framed(piece))
            else:
                async with aclosing(response.aiter_raw()) as pieces:
                    async for piece in pieces:
                        self._deliver(framed(piece))
                        await self._may_read.wait()
        finally:
            await response.aclose()
        self._deliver(END)

    async def _trace(self, event: str, info: object) -> None:
        self._trail.note(event)
        self.used = self._trail.reused

    def _deliver(self, data: bytes) -> None:
        if self.receiver is not None and data:
            self.receiver.on_data(data)

    def _tell(self, error: BaseException) -> None:
        receiver, self.receiver = self.receiver, None
        if receiver is None:
            return
        if isinstance(error, ChatCompletionError | ConnectionError):
            receiver.on_lost(error)
        else:
            receiver.on_exception(error)
