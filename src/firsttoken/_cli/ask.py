"""`firsttoken ask`: send a prompt, write the answer to stdout."""

from contextlib import closing
from typing import NamedTuple

from firsttoken import (
    ChatCompletion,
    ChatCompletionRequest,
    ChatCompletionStream,
    Client,
    system_message,
)
from firsttoken._cli.attachments import attachment_part, message_with
from firsttoken._cli.json_output import EventLines
from firsttoken._cli.status import EXPECTED_ERRORS, Status, status_of, status_of_reason
from firsttoken._cli.target import Connection, Target
from firsttoken._cli.terminal import Answer, OutputError, log_stderr, message_of, status_line
from firsttoken.errors import APIStatusError
from firsttoken.types import Message

__all__ = ["Question", "ask", "print_notes", "report", "stats_line", "write_answer"]


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


def ask(question: Question) -> Status:
    """Write the answer to stdout as it comes, everything else to stderr; return the exit status."""
    answer = Answer()
    lines = EventLines(answer) if question.json else None
    try:
        status, error = _outcome(question, answer, lines)
        if lines is not None:
            lines.end(status, error)
    except OutputError as failure:
        return failure.report()
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
    from firsttoken._cli.record import recorded

    with recorded(client, question.record) as status:
        answered = write_answer(client, request, answer, stats=question.stats, lines=lines)
    return status() or answered


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


def report(error: Exception, hint: str = "") -> Status:
    """Write what failed, one of `EXPECTED_ERRORS`; return the exit status."""
    status = status_of(error)
    incomplete = "the answer is incomplete: " if status is Status.TRUNCATED else ""
    log_stderr(f"firsttoken: {incomplete}{message_of(error)}{hint}")
    return status


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
