"""Shows retries in the status line."""

from firsttoken._cli.terminal import update_status_line
from firsttoken._client.logs import reason_of
from firsttoken._models.observer import Attempt, CallInfo, CallObserver, Observer
from firsttoken.errors import ChatCompletionError

__all__ = ["RetryNotes"]


class RetryNotes(Observer):
    """An observer of a client."""

    def call_started(self, call: CallInfo) -> CallObserver:  # noqa: ARG002
        """A call begins."""
        return _RetryNote()


class _RetryNote(CallObserver):
    def attempt_started(self, attempt: Attempt) -> None:
        """An attempt to send the request begins."""
        if attempt.number > 1:
            update_status_line(f"waiting for the first token, attempt {attempt.number} ...")

    def attempt_failed(self, error: ChatCompletionError, retry_delay_s: float | None) -> None:
        """An attempt has failed."""
        if retry_delay_s is not None:
            update_status_line(f"{reason_of(error)}, trying again in {retry_delay_s:.1f} s ...")
