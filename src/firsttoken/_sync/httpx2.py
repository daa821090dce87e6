"""A caller's own `httpx2.Client` as a connection.

httpx2 fixes how long a read may take when it sends the request, and nothing ends one early. Hence it runs in a thread
of its own, which takes one step for each `recv`: whoever waits here can be woken at any time, and no deadline is late.
"""

import contextvars
import os
import queue
import socket
import threading
from collections.abc import Iterator, Mapping

import httpx2

from firsttoken._client.call import Course, clock
from firsttoken._client.httpx2 import END, ConnectionTrace, failure_of, framed, head, read_already, request_for
from firsttoken._client.prepared import PreparedRequest
from firsttoken._sync.connection import _MAX_WAIT_S, AbortedError, Connection, DeadlineError, _shut_down
from firsttoken._sync.pool import ConnectionPool

_SOCKET_EVENTS = (".connect_tcp.complete", ".connect_unix_socket.complete", ".start_tls.complete")


class HTTPX2Transport(ConnectionPool):
    """Gives connections that are requests of a caller's client; which of its connections serve them is its business."""

    def __init__(self, client: httpx2.Client) -> None:
        super().__init__(None)
        self._client = client

    def acquire_idle(self, plan: PreparedRequest) -> None:
        """None: the client has the pool."""

    def new_connection(self, course: Course) -> Connection:
        """One for the next attempt of a call."""
        return HTTPX2Connection(self._client, course)

    def open(self, connection: Connection, plan: PreparedRequest, until_s: float) -> None:
        """Nothing: httpx2 connects when it sends."""

    def give_back(self, connection: Connection, plan: PreparedRequest) -> None:
        """Nothing: the client has it back since the body ended; what is left is the thread."""
        connection.close()


class HTTPX2Connection(Connection):
    """One request of a caller's client, and its response as bytes of HTTP/1.1."""

    def __init__(self, client: httpx2.Client, course: Course) -> None:
        super().__init__()
        self._client = client
        self._course = course
        self._wanted = threading.Semaphore(0)  # released once for each step that the thread may take
        self._steps: queue.SimpleQueue[bytes | BaseException | None] = queue.SimpleQueue()
        self._is_stepping = False
        self._is_closed = False
        self._response: httpx2.Response | None = None
        self._lock = threading.Lock()  # guards the socket: it must not be shut down when it serves another request
        self._trail = ConnectionTrace()
        self._is_traced = False

    def send(self, data: bytes, until_s: float) -> None:
        """Have a thread for the request, which `recv` then sets in motion.

        Raises:
            ConfigurationError: the client is closed, or finds the URL wrong.
        """
        request = request_for(self._client, self._course.plan, self._trace)
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(self._run, request), name="firsttoken-httpx2", daemon=True).start()

    def recv(self, until_s: float) -> bytes:
        """The next bytes of the response, as soon as there are any; b"" behind its end.

        Raises:
            DeadlineError: the deadline has passed; the next call waits on.
            AbortedError: another thread called `abort`.
            ChatCompletionError: what httpx2 raised means this. What code of the caller raised is raised as it is.
        """
        if not self._is_stepping and not self._aborted:
            self._is_stepping = True
            self._wanted.release()
        step = self._take_step(until_s)
        if self._aborted or step is None:
            raise AbortedError
        self._is_stepping = False
        if isinstance(step, bytes):
            return step
        try:
            self.used = self._trail.reused
            raise failure_of(step, self._course, self._response, self._trail)
        finally:
            del step  # its traceback refers to this frame

    def abort(self) -> None:
        """Make the thread that waits in here stop waiting, and httpx2 if its connection serves nobody else."""
        self._aborted = True
        self._steps.put(None)
        self._cut()

    def close(self) -> None:
        """End the request; in a forked child do nothing, since it is the parent's."""
        if self._is_closed or self._process != os.getpid():
            return
        self._is_closed = True
        if self._is_stepping:
            self._cut()  # the thread closes the response when its step is over
        elif self._response is not None:
            _close(self._response)
        self._wanted.release()

    def __del__(self) -> None:
        """Nothing: the thread holds this object until it is closed."""

    def _take_step(self, until_s: float) -> bytes | BaseException | None:
        while True:
            left_s = min(until_s - clock(), _MAX_WAIT_S)
            try:
                return self._steps.get(timeout=max(0.0, left_s))
            except queue.Empty:
                if clock() >= until_s:
                    raise DeadlineError from None

    # What the thread does.

    def _run(self, request: httpx2.Request) -> None:
        steps = self._take_steps(request)
        try:
            while self._may_step():
                self._steps.put(next(steps, b""))
        except BaseException as error:  # noqa: BLE001 - `recv` raises it, or what it means
            self._steps.put(error)
        finally:
            if self._response is not None:
                _close(self._response)

    def _may_step(self) -> bool:
        self._wanted.acquire()
        return not self._is_closed

    def _take_steps(self, request: httpx2.Request) -> Iterator[bytes]:
        response = self._response = self._client.send(request, stream=True, follow_redirects=False)
        self._track_socket(response.extensions)
        yield head(response)
        for piece in read_already(response) if response.is_stream_consumed else response.iter_raw():
            yield framed(piece)
        yield END

    def _trace(self, event: str, info: Mapping[str, object]) -> None:
        """httpcore2 tells what it does: which socket it has, and when it lets go of it."""
        self._is_traced = True
        self._trail.note(event)
        if event.endswith(_SOCKET_EVENTS):
            self._track_socket({"network_stream": info.get("return_value")})
        elif event.startswith("http2.") or event.endswith(".response_closed.started"):
            with self._lock:
                self._socket = None
        if self._is_closed:
            self._cut()

    def _track_socket(self, extensions: Mapping[str, object]) -> None:
        """Remember the socket, unless others may use it at the same time, or it could not be said when they do."""
        info = getattr(extensions.get("network_stream"), "get_extra_info", None)
        shared = not self._is_traced or extensions.get("http_version") == b"HTTP/2"
        sock = None if info is None or shared else info("socket")
        with self._lock:
            self._socket = sock if isinstance(sock, socket.socket) else None

    def _cut(self) -> None:
        with self._lock:
            if self._socket is not None and self._process == os.getpid():
                _shut_down(self._socket)


def _close(response: httpx2.Response) -> None:
    try:
        response.close()
    except Exception:  # noqa: BLE001, S110 - of a transport of the caller's own, where nobody waits for it any more
        pass
