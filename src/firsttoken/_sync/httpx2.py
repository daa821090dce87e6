"""A caller's own `httpx2.Client` as a connection.

httpx2 fixes the timeout of a read when it sends the request, and nothing ends a read early. Hence it runs in a thread
of its own, which takes one step for each `recv`: a wait here can end at any time, and no deadline is late.
"""

import contextvars
import queue
import socket
import threading
from collections.abc import Iterator, Mapping

import httpx2

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
from firsttoken._client.sockets import AbortedError, DeadlineError, clock, current_process
from firsttoken._sync.connection import MAX_WAIT_S, Connection, shut_down
from firsttoken._sync.pool import ConnectionPool

_SOCKET_EVENTS = (".connect_tcp.complete", ".connect_unix_socket.complete", ".start_tls.complete")


class HTTPX2Pool(ConnectionPool):
    """Makes a connection for each request of a caller's client, which has a connection pool of its own."""

    def __init__(self, client: httpx2.Client) -> None:
        super().__init__(None)
        self._client = client

    def acquire(self, request: PreparedRequest, machine: Machine) -> Connection:
        """A connection for one request: the client has the pool."""
        return HTTPX2Connection(self._client, machine)

    def open(self, connection: Connection, request: PreparedRequest, deadline: float) -> None:
        """Do nothing: httpx2 connects when it sends."""

    def release(self, connection: Connection, request: PreparedRequest) -> None:
        """End the thread; the client has had its connection back since the body ended."""
        connection.close()


class HTTPX2Connection(Connection):
    """One request of a caller's client, and its response as bytes of HTTP/1.1."""

    def __init__(self, client: httpx2.Client, machine: Machine) -> None:
        super().__init__()
        self._client = client
        self._machine = machine
        self._requests = queue.SimpleQueue[
            None
        ]()  # one for each step that the thread may take; signal handlers may put
        self._results: queue.SimpleQueue[bytes | BaseException | None] = queue.SimpleQueue()
        self._is_stepping = False
        self._is_closed = False
        self._response: httpx2.Response | None = None
        self._lock = threading.RLock()  # guards the socket: it must not be shut down when it serves another request
        self._connection_trace = ConnectionTrace()
        self._is_traced = False

    def send(self, data: bytes, deadline: float) -> bool:
        """Start a thread for the request; each `recv` lets it take a step.

        Raises:
            ConfigurationError: the client is closed, or rejects the URL.
        """
        request = request_for(self._client, self._machine.settings, self._trace)
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(self._run, request), name="firsttoken-httpx2", daemon=True).start()
        return True

    def recv(self, deadline: float) -> bytes:
        """Receive the next bytes of the response; b"" after its end.

        Raises:
            DeadlineError: the deadline has passed; the next call continues the wait.
            AbortedError: another thread called `abort`.
            ChatCompletionError: httpx2 raised, and its exception was mapped. What the caller's code raised propagates.
        """
        if not self._is_stepping and not self._aborted:
            self._is_stepping = True
            self._requests.put(None)
        step = self._take_step(deadline)
        if self._aborted or step is None:
            raise AbortedError
        self._is_stepping = False
        if isinstance(step, bytes):
            return step
        try:
            self.is_reused = self._connection_trace.is_reused
            raise map_exception(step, self._machine, self._response, self._connection_trace)
        finally:
            del step  # its traceback refers to this frame

    def abort(self) -> None:
        """Wake the thread that waits here, and httpx2 if its connection serves no other request."""
        self._aborted = True
        self._results.put(None)
        self._shutdown_socket()

    def close(self) -> None:
        """End the request; in a forked child do nothing, since it belongs to the parent."""
        if self._is_closed or self._process != current_process():
            return
        self._is_closed = True
        if self._is_stepping:
            self._shutdown_socket()  # the thread closes the response when its step is over
        elif self._response is not None:
            _close(self._response)
        self._requests.put(None)

    def is_untaken(self, *, at_eof: bool) -> bool | None:
        """Return None: httpx2 does not tell."""

    def __del__(self) -> None:
        """Do nothing: the thread refers to this object until it is closed."""

    def _take_step(self, deadline: float) -> bytes | BaseException | None:
        while True:
            left_s = min(deadline - clock(), MAX_WAIT_S)
            try:
                return self._results.get(timeout=max(0.0, left_s))
            except queue.Empty:
                if clock() >= deadline:
                    raise DeadlineError from None

    # What the thread does.

    def _run(self, request: httpx2.Request) -> None:
        steps = self._take_steps(request)
        try:
            while self._may_step():
                self._results.put(next(steps, b""))
        except BaseException as error:  # noqa: BLE001 - `recv` raises it, or what it means
            self._results.put(error)
        finally:
            if self._response is not None:
                _close(self._response)

    def _may_step(self) -> bool:
        self._requests.get()
        return not self._is_closed

    def _take_steps(self, request: httpx2.Request) -> Iterator[bytes]:
        response = self._response = self._client.send(request, stream=True, follow_redirects=False)
        self._track_socket(response.extensions)
        self._machine.client_secrets = sent_secrets(response)
        yield encode_head(response)
        for piece in buffered_body(response) if response.is_stream_consumed else response.iter_raw():
            yield encode_chunk(piece)
        yield END

    def _trace(self, event: str, info: Mapping[str, object]) -> None:
        """Trace httpcore2: which socket it has, and when it releases it."""
        self._is_traced = True
        self._connection_trace.on_event(event)
        if event.endswith(_SOCKET_EVENTS):
            self._track_socket({"network_stream": info.get("return_value")})
        elif event.startswith("http2.") or event.endswith(".response_closed.started"):
            with self._lock:
                self._socket = None
        if self._is_closed:
            self._shutdown_socket()

    def _track_socket(self, extensions: Mapping[str, object]) -> None:
        """Remember the socket, unless other requests may use it, now or unnoticed later."""
        info = getattr(extensions.get("network_stream"), "get_extra_info", None)
        shared = not self._is_traced or extensions.get("http_version") == b"HTTP/2"
        sock = None if info is None or shared else info("socket")
        with self._lock:
            self._socket = sock if isinstance(sock, socket.socket) else None

    def _shutdown_socket(self) -> None:
        with self._lock:
            if self._socket is not None and self._process == current_process():
                shut_down(self._socket)


def _close(response: httpx2.Response) -> None:
    try:
        response.close()
    except Exception:  # noqa: BLE001, S110 - a caller's transport raised, when nothing waits for it any more
        pass
