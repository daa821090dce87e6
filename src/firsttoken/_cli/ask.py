"""`firsttoken ask`: send a prompt, write the answer to stdout."""

from contextlib import closing
from typing import NamedTuple

from firsttoken import (
    ChatCompletion,
    ChatCompletionRequest,
    ChatCompletionStream,
    Client,
    chat_completion_request,
    system_message,
    user_message,
)
from firsttoken._cli.status import EXPECTED_ERRORS, Status, status_of
from firsttoken._cli.target import Target, resolve_target
from firsttoken._cli.terminal import Answer, OutputError, log_stderr, message_of, status_line
from firsttoken.errors import APIStatusError

__all__ = ["Question", "ask", "report", "write_answer"]


class Question(NamedTuple):
    """What the command line and standard input say together."""

    text: str
    model: str | None
    base_url: str | None
    system: str | None
    max_tokens: int | None
    temperature: float | None
    stats: bool
    record: str | None


def ask(question: Question) -> Status:
    """Write the answer to stdout as it comes, everything else to stderr; return the exit status."""
    answer = Answer()
    try:
        with resolve_target(question.base_url, question.model) as target:
            return _ask(question, target, answer)
    except KeyboardInterrupt:
        return Status.INTERRUPTED
    except OutputError as error:
        return error.report()
    except EXPECTED_ERRORS as error:
        return report(error, _model_hint(question, error))


def _ask(question: Question, target: Target, answer: Answer) -> Status:
    with Client(base_url=target.base_url, proxy=target.proxy) as client:
        request = _request(question, target)
        if question.record is None:
            return write_answer(client, request, answer, stats=question.stats)
        from firsttoken._cli.record import recorded

        with recorded(client, question.record) as status:
            write_answer(client, request, answer, stats=question.stats)
        return status()


def write_answer(client: Client, request: ChatCompletionRequest, answer: Answer, *, stats: bool) -> Status:
    """Send a request, write the answer to stdout as it comes, and notes on it to stderr.

    Raises:
        OutputError: stdout can't be written to.
        ChatCompletionError: there is no complete answer.
        ConfigurationError: the request can't be made.
    """
    stream = client.chat_completion_stream(request)
    try:
        _write_texts(stream, answer)
    except BaseException:
        answer.break_off()
        raise
    finally:
        if stats:
            log_stderr(_stats(stream))
    _print_notes(stream.completion)
    return Status.OK


def report(error: Exception, hint: str = "") -> Status:
    """Write what failed, one of `EXPECTED_ERRORS`; return the exit status."""
    status = status_of(error)
    incomplete = "the answer is incomplete: " if status is Status.TRUNCATED else ""
    log_stderr(f"firsttoken: {incomplete}{message_of(error)}{hint}")
    return status


def _model_hint(question: Question, error: Exception) -> str:
    of_model = isinstance(error, APIStatusError) and (error.status == 404 or error.param == "model")
    return "\nhint: no model was named; -m names one" if of_model and question.model is None else ""


def _request(question: Question, target: Target) -> ChatCompletionRequest:
    messages = [user_message(question.text)]
    request = chat_completion_request(target.model, messages, temperature=question.temperature)
    if question.system is not None:
        request.messages = [system_message(question.system), *messages]
    setattr(request, target.max_tokens_field, question.max_tokens)
    return request


def _write_texts(stream: ChatCompletionStream, answer: Answer) -> None:
    with closing(stream):  # entering the stream itself would wait for its head, unseen
        texts = iter(stream.iter_text())
        with status_line("waiting for the first token ..."):
            first = next(texts, "")
        answer.write(first)
        for text in texts:
            answer.write(text)
    answer.end()


def _print_notes(completion: ChatCompletion) -> None:
    """Write what the text alone does not show."""
    for choice in completion.choices[:1]:
        if choice.message.refusal:
            log_stderr(f"firsttoken: the model refuses: {choice.message.refusal}")
        if choice.finish_reason == "length":
            log_stderr("firsttoken: the answer stops at the limit of tokens, not at its end")
        elif choice.finish_reason not in {"stop", None}:
            log_stderr(f"firsttoken: the answer ends with the finish reason {choice.finish_reason!r}")


def _stats(stream: ChatCompletionStream) -> str:
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
