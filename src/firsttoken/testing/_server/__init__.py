"""The server: what a test holds in its hands. How a connection is served stands in `handler`."""

import os
import ssl
from types import TracebackType
from typing import TYPE_CHECKING, Self

from firsttoken._client.settings import MAX_WAIT_VARIABLE, max_wait_s
from firsttoken.testing._server.handler import ConnectionHandler
from firsttoken.testing._server.journal import Journal
from firsttoken.testing._server.listener import Authority, Port, WakeupPipe
from firsttoken.testing._server.script import Answering, Pace, Scripts

if TYPE_CHECKING:
    import pytest


_NO_DELAY = Pace()


class ScriptedServer:
    """A real HTTP/1.1 server on a loopback port whose scripts say what leaves on the wire, and when.

    Any client in any language can ask it; it runs in threads of its own, so that sync and async tests can use it, by
    `with` or by `async with`::

        with ScriptedServer(["Hel", gate, "lo", finish(), done()]) as server:
            client = Client(base_url=server.base_url, api_key=server.api_key)

    Every POST is answered by a script, whatever its path; other requests get a 404, use up no script, and are in the
    journal too. A request without `"stream": true` gets the same script as one JSON object, when it has come to its
    end: the chunks accumulated, comments and the like left out, an error event as a response with its status. A script
    with a `head()`, a `respond()` or a `wire_bytes()` is played as it is.

    What a script, or a function that gives one, raises is answered with a 500 (or a closed connection, where the answer
    had begun), and raised when the server is closed.

    Args:
        *answers: one script for each request, in turn; the last one answers all further ones. A `str` is a complete
            answer with that text, a list holds steps, a `Fault` is one, and a function is called with the `Request`,
            in the connection's thread, and gives a script. Without any, each answer is "Hello!".
        pace: how fast chunks follow each other. At once, if not given.
        tls: speak TLS, with a certificate of a throw-away authority: see `ca_file` and `client_context`. It needs
            the extra `testing`. Or a context of your own.
        port: 0 for any that is free.

    Attributes:
        journal: what the clients did.
        port: the port, which is taken as soon as the server is made.

    Raises:
        TypeError: an answer is not a script, or `pace` not a `Pace`.
        ValueError: `refuse()` is one of several.
        ImportError: `tls=True`, and trustme is not installed.
        OSError: the port is taken.
    """

    _join_s = 5.0  # how long `close` waits for the functions of scripts to return

    api_key = "sk-scripted-0123456789abcdef"
    """A key to give to clients, none of it secret; the server takes any."""

    def __init__(
        self, *answers: Answering, pace: Pace = _NO_DELAY, tls: bool | ssl.SSLContext = False, port: int = 0
    ) -> None:
        if not isinstance(pace, Pace):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is typed
            raise TypeError(f"pace must be a Pace, not {type(pace).__name__}; hint: as in Pace(gap_s=0.1)")
        self.journal = Journal()
        self._authority: Authority | None = None
        context = tls if isinstance(tls, ssl.SSLContext) else self._own_tls() if tls else None
        self._scheme = "http" if context is None else "https"
        self._scripts = Scripts(answers)
        self._wakeup = WakeupPipe()
        self._handler = ConnectionHandler(self._scripts, pace, context, self.journal, self._wakeup)
        self._process = os.getpid()
        self._is_started = False
        self._is_closed = False
        try:
            self._port = Port(port, self._handler.begin, self._handler.fail)
        except OSError:
            self._wakeup.close()
            raise
        self.port = self._port.number

    def __repr__(self) -> str:
        return f"ScriptedServer(base_url={self.base_url!r}, requests={len(self.journal.entries)})"

    @property
    def base_url(self) -> str:
        """What a client takes as its base URL; it ends in /v1."""
        return f"{self._scheme}://{'localhost' if self._scheme == 'https' else '127.0.0.1'}:{self.port}/v1"

    @property
    def ca_file(self) -> str:
        """The path of the authority's certificate, as `SSL_CERT_FILE` takes it; the file is gone with the server.

        Raises:
            ValueError: the server has no authority of its own.
        """
        return self._own_authority().file()

    def client_context(self) -> ssl.SSLContext:
        """A context for clients that trusts this server's authority, and nobody else.

        Raises:
            ValueError: the server has no authority of its own.
        """
        return self._own_authority().client_context()

    def set_scripts(self, *answers: Answering) -> None:
        """Answer the requests to come with these, as those of the constructor; an answer under way goes on.

        After `refuse()` the port refuses connections, and those that are there are closed at their next request.

        Raises:
            TypeError: an answer is not a script.
            ValueError: `refuse()` is one of several.
            RuntimeError: the server was closed.
        """
        self._require_port()
        self._scripts.replace(answers)
        if self._is_started:
            self._apply_accepting()

    def start(self) -> Self:
        """Take connections; entering the context does. A server that has started stays so.

        Raises:
            RuntimeError: the server was closed.
        """
        self._require_port()
        self._is_started = True
        self._apply_accepting()
        return self

    def close(self) -> None:
        """End all connections and threads, wherever their scripts are; again, it does nothing.

        In a forked child it gives up the child's copies of the sockets, and leaves the server to the parent.

        Raises:
            Exception: the first that a script or a function raised; once.
            RuntimeError: it is a script or a function of this server that would close it; nothing is closed.
        """
        self._stop()
        failure = self._handler.take_failure()
        if failure is not None:
            raise failure

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        self._stop()
        failure = self._handler.take_failure()
        if failure is not None and failure is not error:
            error.add_note(f"the scripted server's script had failed: {failure!r}")

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await _let_clients_close()
        self.__exit__(kind, error, traceback)

    def _own_tls(self) -> ssl.SSLContext:
        self._authority = Authority()
        return self._authority.server_context()

    def _own_authority(self) -> Authority:
        if self._authority is None:
            raise ValueError("this server has no authority of its own: it was not made with tls=True")
        return self._authority

    def _require_port(self) -> None:
        if self._is_closed:
            raise RuntimeError("the server was closed, and its port is given up; hint: make a new one")

    def _apply_accepting(self) -> None:
        if self._scripts.accepts_connections:
            self._port.open()
        else:
            self._port.stop_listening()

    def _stop(self) -> None:
        if self._is_closed:
            return
        if self._handler.is_in_script():  # it would wait for itself
            raise RuntimeError("a script can't close its own server; hint: close it where it was started")
        self._is_closed = True
        self._port.close()
        self._wakeup.set()
        if os.getpid() == self._process:
            self._handler.join(self._join_s)
        self._wakeup.close()
        if self._authority is not None:
            self._authority.close()


async def _let_clients_close() -> None:
    """Give asyncio the turns in which it closes what the test has left: else the server would seem to be the first."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:  # another kind of loop runs, as trio's
        return
    for _ in range(3):
        await asyncio.sleep(0)


class ChatServer(ScriptedServer):
    """A `ScriptedServer` that clients find by the environment, as the fixture `chat_server` gives it."""

    _environment: "pytest.MonkeyPatch"

    @property
    def max_wait_s(self) -> float | None:
        """The longest that any firsttoken client waits for an answer to begin or to go on, in seconds; None: no limit.

        For code that makes its own clients: with it, a server that falls silent costs a test so long instead of
        minutes. Whatever deadlines the code sets are cut to it, but for `connect_s` and `total_s`, and a wait before a
        retry is a tenth of it at most. It stands in the environment, as `FIRSTTOKEN_MAX_WAIT_S`, so that other
        processes obey it too, and counts for the calls that begin from now on.
        """
        return max_wait_s(os.environ)

    @max_wait_s.setter
    def max_wait_s(self, seconds: float | None) -> None:
        if seconds is None:
            self._environment.delenv(MAX_WAIT_VARIABLE, raising=False)
        else:
            max_wait_s({MAX_WAIT_VARIABLE: str(seconds)})  # refuses what is none
            self._environment.setenv(MAX_WAIT_VARIABLE, str(seconds))
