"""`firsttoken replay`: a recording once more, to stdout or to any client."""

import json
import signal
import time
from typing import NoReturn

from firsttoken import ChatCompletionRequest, Client, Timeout, chat_completion_request
from firsttoken._cli.ask import report, write_answer
from firsttoken._cli.status import EXPECTED_ERRORS, Status
from firsttoken._cli.terminal import Answer, OutputError, log_stderr
from firsttoken._json import as_object
from firsttoken.testing import RecordedExchange, Recording, RecordingError, ScriptedServer
from firsttoken.testing import replay as make_script

__all__ = ["replay", "serve"]

_SHORTEST_SILENCE_S = 1.0
"""How long to wait at least for what does not come, where a recording ends with a client that waited or left."""


def replay(path: str, speed: float, *, stats: bool) -> Status:
    """Write the answers to stdout as `ask` does; return the exit status of the first that is incomplete."""
    try:
        answers = _loaded(path).answers()
        with ScriptedServer(make_script(Recording(answers), speed=speed)) as server:
            statuses = [_write(server, exchange, speed, stats=stats) for exchange in answers]
    except KeyboardInterrupt:
        return Status.INTERRUPTED
    except OutputError as error:
        return error.report()
    except RecordingError as error:
        log_stderr(f"firsttoken: {error}")
        return Status.USAGE
    return next((status for status in statuses if status is not Status.OK), Status.OK)


def serve(path: str, speed: float, port: int) -> Status:
    """Answer any client until Ctrl-C or SIGTERM, the normal ends: status 0."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        script = make_script(_loaded(path), speed=speed)
        with ScriptedServer(script, port=port) as server:
            Answer().write(f"{server.base_url}\n")
            log_stderr(
                f"firsttoken: {path} is replayed until Ctrl-C; for clients:\n"
                f"export OPENAI_BASE_URL={server.base_url} OPENAI_API_KEY=any"
            )
            while True:
                time.sleep(1)  # Ctrl-C ends it everywhere, unlike other waits
    except KeyboardInterrupt:
        return Status.OK
    except OutputError as error:
        return error.report()
    except RecordingError as error:
        log_stderr(f"firsttoken: {error}")
        return Status.USAGE
    except OSError as error:
        log_stderr(f"firsttoken: can't listen on port {port}: {error.strerror}\nhint: port 0 takes one that is free")
        return Status.CONFIGURATION


def _loaded(path: str) -> Recording:
    recording = Recording.load(path)
    if not recording.exchanges:
        raise RecordingError(f"{path}: there is nothing to replay: the recording has no exchange")
    return recording


def _write(server: ScriptedServer, exchange: RecordedExchange, speed: float, *, stats: bool) -> Status:
    timeout = _timeout(exchange, speed)
    try:
        with Client(base_url=server.base_url, api_key="", proxy="", max_retries=0, timeout=timeout) as client:
            return write_answer(client, _request(exchange), Answer(), stats=stats)
    except EXPECTED_ERRORS as error:
        return report(error)


def _timeout(exchange: RecordedExchange, speed: float) -> Timeout:
    """No deadlines but where one passed, or the client left: there the server falls silent."""
    if exchange.end_reason not in ("client timeout", "client closed"):
        return Timeout(first_chunk_s=None, idle_s=None)
    silence_s = max(_SHORTEST_SILENCE_S, (exchange.ended_ns or 0) / 1e9 / speed)
    return Timeout(first_chunk_s=silence_s, idle_s=silence_s)


def _request(exchange: RecordedExchange) -> ChatCompletionRequest:
    """The request as it was, as far as it matters for how the answer is read."""
    try:
        fields = as_object(json.loads(exchange.request_body)) or {}
    except ValueError:
        fields = {}
    n = fields.get("n")
    choices = n if isinstance(n, int) and not isinstance(n, bool) and n > 0 else None
    return chat_completion_request(str(fields.get("model", "recorded")), "(recorded)", n=choices)


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
