"""`firsttoken replay`: a recorded answer once more, to stdout as `ask` wrote it."""

import json

from firsttoken import ChatCompletionRequest, Client, Timeout, chat_completion_request
from firsttoken._cli.ask import write_answer
from firsttoken._cli.status import EXPECTED_ERRORS, Status
from firsttoken._cli.terminal import Answer, CommandError, report
from firsttoken._json import as_object
from firsttoken.testing import RecordedExchange, Recording, RecordingError, ScriptedServer
from firsttoken.testing import replay as make_script

_SHORTEST_SILENCE_S = 1.0
"""How long to wait at least for what does not come, where a recording ends with a client that waited or left."""


def replay(path: str, speed: float, *, stats: bool) -> Status:
    """Write the answers to stdout as `ask` does; return the exit status of the first that is incomplete.

    Raises:
        CommandError: the file can't be used, or stdout can't be written to.
    """
    answers = load_recording(path).answers()
    with ScriptedServer(make_script(Recording(answers), speed=speed)) as server:
        statuses = [_write(server, exchange, speed, stats=stats) for exchange in answers]
    return next((status for status in statuses if status is not Status.OK), Status.OK)


def load_recording(path: str) -> Recording:
    """The recording in a file.

    Raises:
        CommandError: it can't be read, or there is nothing to replay in it.
    """
    try:
        recording = Recording.load(path)
    except RecordingError as error:
        raise CommandError(str(error), Status.USAGE) from error
    if not recording.exchanges:
        raise CommandError(f"{path}: there is nothing to replay: the recording has no exchange", Status.USAGE)
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
