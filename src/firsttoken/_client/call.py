"""The course of a call, without the waiting: its attempts, deadlines and stamps, and what its failures mean."""

import copy
import os
import random
import time
from typing import TypeVar

from firsttoken._client.prepared import PreparedRequest
from firsttoken._models.base import Headers, Timing
from firsttoken._models.completion import ChatCompletion
from firsttoken._protocol.deadlines import Deadlines
from firsttoken._protocol.response import ResponseReader
from firsttoken._protocol.retry import retry_delay_s
from firsttoken.errors import APIConnectionError, ChatCompletionError

MIN_PAUSE_S = 0.01
"""What a caller does between two chunks is not counted, if it takes so long that it could matter."""

_NEVER = float("inf")

clock = time.monotonic


class Course:
    """A call under way: its attempts, deadlines and stamps. The shells add the connection and the waiting.

    Attributes:
        exchange: the answer to the attempt under way.
        left_at_s: when the caller was last given something, and went about its own business.
    """

    def __init__(self, plan: PreparedRequest) -> None:
        self.plan = plan
        self.started_s = clock()
        self.deadlines = Deadlines(plan.timeout, self.started_s, plan.endpoint.origin.address)
        self.retries = 0
        self.left_at_s = _NEVER
        self.exchange = self._new_exchange()

    def _new_exchange(self) -> ResponseReader:
        make = ResponseReader if self.plan.recorder is None else self.plan.recorder.exchange_factory(self.plan)
        return make(
            streamed=self.plan.streamed,
            expected_choices=self.plan.expected_choices,
            deadlines=self.deadlines,
            secrets=self.plan.secrets,
            wall_clock=time.time,
        )

    def begin_attempt(self) -> None:
        """Start over with an empty answer."""
        self.exchange = self._new_exchange()

    def authorize(self, token: object) -> None:
        """Take the token for the attempt that begins.

        Raises:
            ConfigurationError: it is no token.
        """
        self.plan = self.plan.with_token(token)
        self.begin_attempt()  # the token is one more word to keep out of errors

    def take_failure(self) -> ChatCompletionError:
        """The failure of the attempt, as a copy: the traceback of what is raised refers to all that keeps it."""
        self.exchange.release()
        kept = self.exchange.core.take_failure()
        assert kept is not None, "asked only where there is one"  # noqa: S101
        return copied(kept)

    def forked_error(self) -> APIConnectionError:
        """The failure of a forked child that reads on where its parent reads: each would get half of the bytes."""
        failure = APIConnectionError(
            f"the stream from {self.plan.endpoint.origin.address} belongs to the process that opened it",
            hint="a forked child can use the same client, but opens streams of its own",
        )
        core = self.exchange.core
        failure.retryable = False
        failure.chunks_received = core.chunks_yielded
        failure.partial = core.completion if core.chunks_yielded else None
        return failure

    def retry_delay_s(self, failure: ChatCompletionError) -> float | None:
        """How long to wait before another attempt; None where there is to be none."""
        core = self.exchange.core
        if self.retries >= self.plan.max_retries or core.chunks_yielded or core.ready:
            return None
        info = self.exchange.response
        delay_s = retry_delay_s(
            failure,
            Headers() if info is None else info.headers,
            attempt=self.retries,
            left_s=self.deadlines.left_s(clock()),
            jitter=random.random(),  # noqa: S311 - it spreads retries, it guards nothing
        )
        if delay_s is not None:
            self.retries += 1
        return delay_s

    def resume(self) -> None:
        """The caller is back, to wait: the deadlines of waiting have stood still."""
        now_s = clock()
        away_s = now_s - self.left_at_s
        if away_s > MIN_PAUSE_S:
            self.exchange.pause(away_s, now_s)

    def dressed(self, completion: ChatCompletion, ended_s: float | None = None) -> ChatCompletion:
        """The whole completion, with the response and the timing that it came with."""
        completion.complete = True
        completion._response_type = self.plan.response_type
        completion.response = self.exchange.response
        completion.timing = self.timing(clock() if ended_s is None else ended_s)
        return completion

    def timing(self, ended_s: float | None) -> Timing:
        """The stamps so far."""
        exchange = self.exchange
        return Timing(
            time_to_headers_s=self._since_start(exchange.headers_at_s),
            time_to_first_chunk_s=self._since_start(exchange.first_chunk_at_s),
            time_to_first_token_s=self._since_start(exchange.first_token_at_s),
            duration_s=self._since_start(ended_s),
            chunks=exchange.core.chunks_yielded,
        )

    def _since_start(self, moment_s: float | None) -> float | None:
        return None if moment_s is None else moment_s - self.started_s


NO_TOKEN = "no token from the token provider"  # noqa: S105 - what has not come, for messages


_Failure = TypeVar("_Failure", bound=BaseException)


def copied(failure: _Failure) -> _Failure:
    """A failure without its traceback, which refers to all that led to it; the cause stays."""
    copy_of_it = copy.copy(failure)
    copy_of_it.__cause__ = failure.__cause__
    return copy_of_it


def token_provider_error(error: Exception) -> RuntimeError:
    """What to raise for a token provider's `StopIteration`, which would end the caller's loop as if it were the end."""
    return RuntimeError(f"the token provider raised {type(error).__name__}")


def connection_failure(error: Exception, plan: PreparedRequest, what: str) -> APIConnectionError:
    """The failure that an error of the connection means; it is its cause.

    Args:
        error: an `OSError`, or what `ssl` and `socket` raise besides.
        plan: the call.
        what: failed: "no connection to", "lost the connection to".
    """
    address = plan.endpoint.origin.address
    through = f" through the proxy {plan.proxy.origin.address}" if plan.proxy is not None else ""
    words = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error) or type(error).__name__
    if isinstance(error, OSError) and error.errno and words.startswith("Connect call failed"):  # asyncio's own words
        words = os.strerror(error.errno)
    failure = APIConnectionError(f"{what} {address}{through}: {words}", hint=_hint(error))
    failure.retryable = not hasattr(error, "verify_message")  # no retry mends a certificate
    failure.__cause__ = error
    return failure


def _hint(error: Exception) -> str | None:
    if isinstance(error, ConnectionRefusedError):
        return "does the server run, and is this its port?"
    if hasattr(error, "verify_message"):
        code: object = getattr(error, "verify_code", 0)
        return _CERTIFICATE_HINTS.get(code, _UNTRUSTED_HINT) if isinstance(code, int) else _UNTRUSTED_HINT
    if "WRONG_VERSION_NUMBER" in str(error):
        return "the server does not speak TLS there; does base_url begin with https:// by mistake?"
    return None


_UNTRUSTED_HINT = "the certificate is not trusted; SSL_CERT_FILE can name a file with the one of a private authority"
_CERTIFICATE_HINTS = {  # X509_V_ERR_… of OpenSSL's x509_vfy.h
    9: "the certificate is not valid yet; is this machine's clock right?",
    10: "the certificate has expired; is this machine's clock right?",
    62: "the certificate is for another name; is the host of base_url the server's own?",
    64: "the certificate is for another name; is the host of base_url the server's own?",
}
