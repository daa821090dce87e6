"""`firsttoken ask`: send a prompt, write the answer to stdout, as text or as the events of `--json`."""

from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from typing import NamedTuple

from firsttoken import ChatCompletion, ChatCompletionRequest, ChatCompletionStream, Client, system_message
from firsttoken._cli.attachments import attachment_part, message_with
from firsttoken._cli.status import EXPECTED_ERRORS, Status, status_of_reason
from firsttoken._cli.target import Connection, Target
from firsttoken._cli.terminal import Answer, CommandError, log_stderr, report, status_line
from firsttoken._json import encode_json
from firsttoken.errors import APIStatusError, ChatCompletionError
from firsttoken.types import Message, Timing


class Question(NamedTuple):
    """What the command line and standard input say together."""

    text: str
    connection: Connection
    system: str | None = None
    attachments: tuple[str, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    json: bool = False
    stats: bool = False
    record: str | None = None


class EventLines:
    """The lines of `--json`: what happens in a stream, a JSON object on each; the last one says how it ended.

    Raises:
        OutputError: by both methods: stdout can't be written to.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._stream: ChatCompletionStream | None = None

    def write(self, stream: ChatCompletionStream) -> None:
        """Write each event of the stream as it comes, as `to_json()` of `firsttoken.events` has it.

        Raises:
            ChatCompletionError: the stream failed.
        """
        self._stream = stream
        with closing(stream):
            for event in stream.iter_events():
                self._answer.write(f"{event.to_json().decode()}\n")

    def end(self, status: Status, error: Exception | None) -> None:
        """Write the last line: outcome, exit status, model, finish reason, usage, timing and error."""
        stream = self._stream
        completion = ChatCompletion(complete=False) if stream is None else stream.completion
        line: dict[str, object] = {
            "type": "end",
            "outcome": _outcome_of(stream, status),
            "status": int(status),
            "model": completion.model or None,
            "request_id": None if completion.response is None else completion.response.request_id,
            "finish_reason": completion.choices[0].finish_reason if completion.choices else None,
            "usage": None if completion.usage is None else completion.usage.to_dict(),
            "timing": _timing(stream),
            "error": None if error is None else _error(error),
        }
        self._answer.write(f"{encode_json(line).decode()}\n")


def ask(question: Question) -> Status:
    """Write the answer to stdout as it comes, everything else to stderr; return the exit status.

    Raises:
        CommandError: stdout can't be written to, or the recording.
    """
    answer = Answer()
    lines = EventLines(answer) if question.json else None
    status, error = _outcome(question, answer, lines)
    if lines is not None:
        lines.end(status, error)
    return status


def _outcome(question: Question, answer: Answer, lines: EventLines | None) -> tuple[Status, Exception | None]:
    try:
        with question.connection.open() as (client, target):
            return _ask(question, client, target, answer, lines), None
    except KeyboardInterrupt:
        return Status.INTERRUPTED, None
    except EXPECTED_ERRORS as error:
        return report(error, _model_hint(question, error)), error


def _ask(question: Question, client: Client, target: Target, answer: Answer, lines: EventLines | None) -> Status:
    request = _request(question, target)
    if question.record is None:
        return write_answer(client, request, answer, stats=question.stats, lines=lines)
    with _recorded(client, question.record) as status:
        answered = write_answer(client, request, answer, stats=question.stats, lines=lines)
    return status() or answered


@contextmanager
def _recorded(client: Client, path: str) -> Generator[Callable[[], Status]]:
    """Record the block's calls, however it ends; gives a function that returns the exit status of a complete answer.

    Raises:
        CommandError: the file can't be opened.
    """
    from firsttoken.testing import RecordingError
    from firsttoken.testing._recording.recorder import Recorder

    try:
        recorder = Recorder(path)
    except RecordingError as error:
        raise CommandError(str(error), Status.NO_OUTPUT) from error
    try:
        with recorder.attach(client):
            yield lambda: Status.OK if recorder.failure is None else Status.NO_OUTPUT
    finally:
        exchanges = recorder.recording.exchanges
        if recorder.failure is None:
            reads = _counted(sum(len(exchange.reads) for exchange in exchanges), "read")
            log_stderr(f"firsttoken: recorded in {path}: {_counted(len(exchanges), 'request')}, {reads}")
        else:
            log_stderr(f"firsttoken: the recording is incomplete: {recorder.failure}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def write_answer(
    client: Client, request: ChatCompletionRequest, answer: Answer, *, stats: bool, lines: EventLines | None = None
) -> Status:
    """Send a request, write the answer to stdout as it comes, and notes on it to stderr; with `lines` its events.

    Returns:
        OK; or that the answer was cut, or filtered.

    Raises:
        OutputError: stdout can't be written to.
        ChatCompletionError: the answer is not complete.
        ConfigurationError: the request can't be made.
    """
    stream = client.chat_completion_stream(request)
    try:
        if lines is not None:
            lines.write(stream)
        else:
            _write_texts(stream, answer)
    except BaseException:
        answer.break_off()
        raise
    finally:
        if stats:
            log_stderr(stats_line(stream))
    print_notes(stream.completion)
    return status_of_reason(stream.completion.finish_reason)


def _model_hint(question: Question, error: Exception) -> str:
    of_model = isinstance(error, APIStatusError) and (error.status == 404 or error.param == "model")
    is_named = question.connection.model is not None or question.connection.profile is not None
    return "" if is_named or not of_model else "\nhint: no model was named; -m names one"


def _request(question: Question, target: Target) -> ChatCompletionRequest:
    message = message_with(question.text, [attachment_part(source) for source in question.attachments])
    messages: list[Message] = [message]
    if question.system is not None:
        messages.insert(0, system_message(question.system))
    return target.request(messages, max_tokens=question.max_tokens, temperature=question.temperature)


def _write_texts(stream: ChatCompletionStream, answer: Answer) -> None:
    with closing(stream):  # entering the stream itself would wait for its head, unseen
        texts = iter(stream.iter_text())
        with status_line("waiting for the first token ..."):
            first = next(texts, "")
        answer.write(first)
        for text in texts:
            answer.write(text)
    answer.end()


def print_notes(completion: ChatCompletion) -> None:
    """Write what the text alone does not show."""
    for choice in completion.choices[:1]:
        if choice.message.refusal:
            log_stderr(f"firsttoken: the model refuses: {choice.message.refusal}")
        status = status_of_reason(choice.finish_reason)
        reason = "" if choice.finish_reason in ("length", "content_filter") else f" ({choice.finish_reason})"
        if status is Status.CUT:
            log_stderr(f"firsttoken: the answer stops at the limit of tokens, not at its end{reason}")
        elif status is Status.FILTERED:
            log_stderr(f"firsttoken: the answer was cut by the server's content filter{reason}")
        elif choice.finish_reason not in {"stop", None}:
            log_stderr(f"firsttoken: the answer ends with the finish reason {choice.finish_reason!r}")


def stats_line(stream: ChatCompletionStream) -> str:
    """The line of `--stats`."""
    completion, timing = stream.completion, stream.timing
    first_s, duration_s = timing.time_to_first_token_s, timing.duration_s
    unit, count = "chunks", timing.chunks
    if completion.usage is not None:
        unit, count = "tokens", completion.usage.completion_tokens
    parts = ["no first token" if first_s is None else f"first token {first_s:.2f} s"]
    parts.append(f"{count} {unit}" if duration_s is None else f"{count} {unit} in {duration_s:.2f} s")
    if first_s is not None and duration_s is not None and duration_s > first_s and count > 1:
        parts.append(f"{(count - 1) / (duration_s - first_s):.1f} {unit}/s")  # after the first
    reason = next((choice.finish_reason for choice in completion.choices), None)
    parts.append(f"finish reason {reason or 'none'}")
    if completion.usage is None:
        parts.append("tokens not counted by the server")
    return f"firsttoken: {', '.join(parts)}"


def _outcome_of(stream: ChatCompletionStream | None, status: Status) -> str:
    if stream is not None and stream.state in ("complete", "stopped", "failed"):
        return stream.state
    return "stopped" if status is Status.INTERRUPTED else "failed"


def _timing(stream: ChatCompletionStream | None) -> dict[str, object]:
    timing = Timing() if stream is None else stream.timing
    return {name: getattr(timing, name) for name in timing.__struct_fields__}


def _error(error: Exception) -> dict[str, object]:
    fields: dict[str, object] = {
        "class": type(error).__name__,
        "message": str(error),
        "hint": getattr(error, "hint", None),
    }
    if isinstance(error, ChatCompletionError):
        fields |= {"retryable": error.retryable, "attempts": error.attempts}
    if isinstance(error, APIStatusError):
        fields |= {"http_status": error.status, "code": error.code, "retry_after_s": error.retry_after_s}
    return fields
