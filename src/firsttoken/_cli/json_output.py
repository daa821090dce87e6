"""`--json`: what happens in a stream, a JSON object on each line; the last one says how it ended."""

from contextlib import closing

from firsttoken import ChatCompletionStream
from firsttoken._cli.status import Status
from firsttoken._cli.terminal import Answer
from firsttoken._json import encode_json
from firsttoken.errors import APIStatusError, ChatCompletionError
from firsttoken.types import ChatCompletion, Timing

__all__ = ["EventLines"]


class EventLines:
    """The lines of one answer.

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
            "outcome": _outcome(stream, status),
            "status": int(status),
            "model": completion.model or None,
            "request_id": None if completion.response is None else completion.response.request_id,
            "finish_reason": completion.choices[0].finish_reason if completion.choices else None,
            "usage": None if completion.usage is None else completion.usage.to_dict(),
            "timing": _timing(stream),
            "error": None if error is None else _error(error),
        }
        self._answer.write(f"{encode_json(line).decode()}\n")


def _outcome(stream: ChatCompletionStream | None, status: Status) -> str:
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
