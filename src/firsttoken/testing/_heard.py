"""An exchange that is listened to: what happens to it is told to the attempt that writes it down.

Owns what is an end of the connection, and which. Decides nothing: it is an exchange like any other.
"""

from typing import TYPE_CHECKING

from firsttoken._core.exchange import Exchange
from firsttoken._course import clock
from firsttoken.errors import APIConnectionError, APITimeoutError, ChatCompletionError, StreamTruncatedError
from firsttoken.testing._recorded import RecordedEnding

if TYPE_CHECKING:
    from firsttoken.testing._recorder import Attempt


class HeardExchange(Exchange):
    """An exchange that is listened to."""

    def __init__(self, attempt: "Attempt", **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        self._attempt = attempt
        self._ending: RecordedEnding | None = None
        self._ended_s = 0.0

    def requesting(self, now_s: float) -> None:
        """The request goes out."""
        super().requesting(now_s)
        self._attempt.sent(now_s)

    def receive_data(self, data: bytes, now_s: float) -> None:
        """Take bytes of the connection, read at a time."""
        self._attempt.read(data, now_s)
        super().receive_data(data, now_s)

    def receive_eof(self, now_s: float) -> None:
        """Take the end of the connection."""
        self._note("server closed", now_s)
        super().receive_eof(now_s)

    def lose(self, failure: ChatCompletionError) -> None:
        """Take the loss of the connection."""
        # What is read wrong comes this way too, and is no end of the connection.
        match failure:
            case APITimeoutError() | APIConnectionError() if not self._attempt.was_sent:
                self._note("no connection", clock())
            case APITimeoutError():
                self._note("client timeout", clock())
            case APIConnectionError():
                self._note("server reset", clock())
            case StreamTruncatedError():  # a caller's own client says it so
                self._note("server closed", clock())
            case _:
                pass
        super().lose(failure)

    def expire(self, now_s: float) -> None:
        """The moment that `until_s` named has come."""
        super().expire(now_s)
        if isinstance(self.core.failure, APITimeoutError):
            self._note("client timeout", now_s)

    def release(self) -> None:
        """Nothing more will be received."""
        ending, ended_s = self._ending, self._ended_s
        if self.body_ended and ending != "server closed":
            ending, ended_s = "complete", clock()
        elif ending is None and self._attempt.was_sent:
            ending, ended_s = "client closed", clock()
        if ending is not None:  # else nothing has happened
            self._attempt.ended(ending, ended_s, self.core.failure)
        super().release()

    def _note(self, ending: RecordedEnding, now_s: float) -> None:
        if self._ending is None:
            self._ending, self._ended_s = ending, now_s
