"""Shows retries where a command shows what it waits for."""

from collections.abc import Callable

from firsttoken._client.observers import reason_of
from firsttoken._models.observer import Attempt, CallInfo, CallObserver, Observer
from firsttoken.errors import ChatCompletionError


class RetryNotes(Observer):
    """An observer of a client.

    Args:
        show: takes the line to show.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show

    def call_started(self, call: CallInfo) -> CallObserver:  # noqa: ARG002
        """A call begins."""
        return _RetryNote(self._show)


class _RetryNote(CallObserver):
    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show

    def attempt_started(self, attempt: Attempt) -> None:
        """An attempt to send the request begins."""
        if attempt.number > 1:
            self._show(f"waiting for the first token, attempt {attempt.number} ...")

    def attempt_failed(self, error: ChatCompletionError, retry_delay_s: float | None) -> None:
        """An attempt has failed."""
        if retry_delay_s is not None:
            self._show(f"{reason_of(error)}, trying again in {retry_delay_s:.1f} s ...")
