"""Serving: a thread for each connection, in which its scripts are played."""

import socket
import ssl
import threading
import time
from functools import partial

from firsttoken.testing._script import error as refuse_with
from firsttoken.testing._server.connection import (
    ClientDisconnectedError,
    MalformedRequestError,
    ServerClosingError,
    ServerConnection,
)
from firsttoken.testing._server.journal import EndReason, Journal, LoggedRequest, Request
from firsttoken.testing._server.listener import WakeupPipe
from firsttoken.testing._server.response import ResponseWriter, ScriptEndedError
from firsttoken.testing._server.script import Pace, Script, Scripts

_NO_RETRY = {"x-should-retry": "false"}
_LAST = {"connection": "close"}


class ConnectionHandler:
    """What serves the connections of a server.

    Args:
        scripts: that answer requests.
        pace: how fast they are played.
        tls: the server's side of TLS; None for none.
        journal: where it is noted.
        wakeup: is set when the server is closed.
    """

    def __init__(
        self, scripts: Scripts, pace: Pace, tls: ssl.SSLContext | None, journal: Journal, wakeup: WakeupPipe
    ) -> None:
        self._scripts = scripts
        self._pace = pace
        self._tls = tls
        self._journal = journal
        self._wakeup = wakeup
        self._failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []

    def begin(self, sock: socket.socket) -> None:
        """Serve a connection."""
        connection = ServerConnection(sock, self._journal._note_connection(), self._wakeup)
        thread = threading.Thread(target=self._serve, args=(connection,), name="scripted connection", daemon=True)
        self._threads = [thread, *(other for other in self._threads if other.is_alive())]
        thread.start()

    def fail(self, error: BaseException) -> None:
        """Keep what went wrong for when the server is closed."""
        self._failures.append(error)

    def is_in_script(self) -> bool:
        """Whether it is a connection's thread that asks."""
        return threading.current_thread() in self._threads

    def join(self, timeout_s: float) -> None:
        """Wait for the connections' threads, which the wakeup has told to end; so many seconds in all, at most."""
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            self._failures.append(RuntimeError("a script's function has not returned: its thread is left behind"))

    def take_failure(self) -> BaseException | None:
        """What was raised first; a note names the others."""
        if not self._failures:
            return None
        first, *others = self._failures
        self._failures = []
        if others:
            first.add_note(f"{len(others)} more failed, the last with {others[-1]!r}")
        return first

    def _serve(self, connection: ServerConnection) -> None:
        """Live through one connection."""
        try:
            if self._tls is not None:
                connection.begin_tls(self._tls)
            self._serve_requests(connection)
        except ClientDisconnectedError:
            self._journal._note_disconnect(connection.number)
        except ServerClosingError:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised where the server is closed
            self._failures.append(error)
        finally:
            connection.close()
            self._journal._note_connection_ended()

    def _serve_requests(self, connection: ServerConnection) -> None:
        """Answer the requests of a connection until one of the two ends it."""
        early = self._scripts.take_on_connect()
        if early is not None:
            self._play_early(early, connection)
            return
        while True:
            try:
                request = connection.read_request()
            except MalformedRequestError as error:
                self._journal._note_malformed(error.data)
                self._play_early(Script((refuse_with(400, str(error), headers=_LAST),)), connection)
                return
            if not self._answer(connection, request):
                return

    def _play_early(self, script: Script, connection: ServerConnection) -> None:
        try:
            _play(script, ResponseWriter(connection, None, self._pace))
        except ScriptEndedError as ended:
            connection.close(reset=ended.reset, close_notify=False)

    def _answer(self, connection: ServerConnection, request: Request) -> bool:
        """Answer a request; give whether the connection lives on."""
        entry = self._journal._note_request(request, connection)
        response = ResponseWriter(connection, entry, self._pace, partial(self._journal._note_end, entry, "complete"))
        try:
            self._play_for(request, response)
        except ScriptEndedError as ended:
            self._note_cut(response, entry, "server reset" if ended.reset else "server closed")
            connection.close(reset=ended.reset, close_notify=False)
            return False
        except ClientDisconnectedError as left:
            self._note_cut(response, entry, "client reset" if left.was_reset else "client closed")
            raise
        except ServerClosingError:
            self._note_cut(response, entry, "server closed")
            raise
        finally:
            entry._freeze_count()
        return response.keeps_alive

    def _play_for(self, request: Request, response: ResponseWriter) -> None:
        try:
            if request.method == "POST":
                _play(self._scripts.take(request), response)
            else:
                message = f"a scripted server answers POST alone, not {request.method} {request.target}"
                _play(Script((refuse_with(404, message, kind="invalid_request_error"),)), response)
        except (ScriptEndedError, ClientDisconnectedError, ServerClosingError):
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised where the server is closed
            self._failures.append(error)
            if response.headers_sent:
                raise ScriptEndedError(reset=False) from None
            refuse_with(500, f"the script failed: {error!r}", headers=_NO_RETRY).play(response)

    def _note_cut(self, response: ResponseWriter, entry: LoggedRequest, end_reason: EndReason) -> None:
        if not response.is_complete:
            self._journal._note_end(entry, end_reason)


def _play(script: Script, response: ResponseWriter) -> None:
    for step in script.steps:
        step.play(response)
    if not script.waits_for_request:
        raise ScriptEndedError(reset=False)
    response.end()
