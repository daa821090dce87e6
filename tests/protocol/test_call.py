"""firsttoken._protocol.call: what a call does next, state by state, and that no order of events breaks it."""

import json
import math
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firsttoken import Timeout
from firsttoken._protocol.call import CallMachine
from firsttoken._protocol.call_states import ACTIONS, TRANSITIONS, Action, State
from firsttoken._protocol.deadlines import DRAIN_S, MIN_PAUSE_S, SILENCE_S
from firsttoken.errors import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    ChatCompletionError,
    ConfigurationError,
    InternalServerError,
    RateLimitError,
    ResponseFormatError,
    StreamTruncatedError,
)
from firsttoken.types import ChatCompletion, ChatCompletionChunk, ResponseInfo
from tests.support.exchange import NOW_S, Exchange, Settings, new_machine, response
from tests.support.server import DONE, chunk, completion, event

SSE = {"content-type": "text/event-stream", "x-request-id": "req_1"}
HELLO, STOP = event(chunk("Hello")), event(chunk(finish="stop"))
USAGE = event(chunk(choices=[], usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}))
ROLE = event(chunk(choices=[{"delta": {"role": "assistant", "content": ""}}]))
ANSWER = response(200, SSE, HELLO + STOP + DONE)
BUSY = response(503, {"retry-after": "1"}, b"busy")
BROKEN = event({"error": {"message": "no", "code": 500}})
RESET = ConnectionResetError(104, "Connection reset by peer")
RETRYING = Settings(max_retries=2)


def take_all(machine: CallMachine[Settings], now: float = NOW_S) -> list[Action]:
    """Yield what is pending, and do what gives up a connection; the actions up to the first of another kind."""
    actions: list[Action] = []
    while True:
        action = machine.next_action(now)
        actions.append(action)
        if action is Action.YIELD:
            machine.pending.popleft()
        elif action not in (Action.RELEASE, Action.CLOSE):
            return actions


def chunked(body: bytes) -> bytes:
    """A piece of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(body), body)


HEAD = response(200, SSE, b"", framing="chunked").removesuffix(b"0\r\n\r\n")


def receiving(given: Settings | None = None, *, is_reused: bool = False) -> CallMachine[Settings]:
    return Exchange(given or Settings(), is_reused=is_reused).machine


def opened(given: Settings | None = None, body: bytes = b"") -> CallMachine[Settings]:
    machine = receiving(given)
    machine.receive_data(HEAD + (chunked(body) if body else b""), NOW_S)
    return machine


# The way of a call


def test_the_steps_of_a_call() -> None:
    machine = new_machine(Settings(needs_token=True, needs_permit=True))
    assert (machine.state, machine.next_action(NOW_S)) == (State.TOKEN, Action.GET_TOKEN)
    machine.token_received(replace(machine.settings, secrets=("token",)), NOW_S)
    assert machine.settings.secrets == ("token",)
    assert (machine.state, machine.next_action(NOW_S)) == (State.PERMIT, Action.ACQUIRE_PERMIT)
    machine.permit_granted(NOW_S)
    assert (machine.state, machine.next_action(NOW_S)) == (State.CONNECTING, Action.CONNECT)
    machine.connected(NOW_S, is_reused=False)
    assert (machine.state, machine.next_action(NOW_S)) == (State.SENDING, Action.SEND)
    machine.sent(NOW_S)
    assert (machine.state, machine.next_action(NOW_S)) == (State.RECEIVING, Action.READ)
    assert not machine.is_open(NOW_S)
    machine.receive_data(ANSWER, NOW_S)
    assert machine.state is State.CONCLUDING
    assert machine.is_open(NOW_S)
    assert take_all(machine) == [Action.YIELD, Action.YIELD, Action.RELEASE, Action.FINISH]
    assert (machine.state, machine.outcome, machine.error) == (State.ENDED, "complete", None)
    assert machine.completion.text == "Hello"
    assert machine.completion.complete


def test_every_state_has_an_action_and_a_way_to_the_end() -> None:
    assert set(TRANSITIONS) == set(State)
    assert set(ACTIONS) == set(State) - {State.CONCLUDING}  # whose action depends on what is pending
    assert all("end" in steps for state, steps in TRANSITIONS.items() if state is not State.ENDED)


@pytest.mark.parametrize("streamed", [True, False])
def test_the_answer_of_a_blocking_call_has_no_chunks(streamed: bool) -> None:
    machine = receiving(Settings(streamed=streamed))
    machine.receive_data(response(200, {}, json.dumps(completion("Hello")).encode()), NOW_S + 1)
    assert take_all(machine, NOW_S + 1) == [Action.YIELD] * streamed + [Action.RELEASE, Action.FINISH]
    assert machine.completion.text == "Hello"
    assert machine.completion.timing is not None
    assert machine.completion.timing.duration_s == 1


# The end of an answer


def test_the_end_of_the_body_is_waited_for_a_moment_after_done() -> None:
    machine = opened(body=HELLO + STOP + DONE)
    assert take_all(machine) == [Action.YIELD, Action.YIELD, Action.READ]
    assert (machine.state, machine.outcome) == (State.DRAINING, "complete")
    assert machine.deadline == NOW_S + DRAIN_S
    machine.deadline_passed(NOW_S + DRAIN_S / 2)
    assert machine.state is State.DRAINING
    machine.receive_data(b"0\r\n\r\n", NOW_S)
    assert take_all(machine) == [Action.RELEASE, Action.FINISH]


@pytest.mark.parametrize("ending", ["deadline", "eof", "reset", "more"])
def test_a_connection_is_closed_if_the_end_of_the_body_does_not_come(ending: str) -> None:
    machine = opened(body=STOP + DONE)
    assert take_all(machine)[-1] is Action.READ
    match ending:
        case "deadline":
            machine.deadline_passed(machine.deadline)
        case "eof":
            machine.receive_eof(NOW_S)
        case "reset":
            machine.connection_lost(RESET, NOW_S)
        case _:
            machine.receive_data(b"0\r\n\r\nHTTP/1.1 200 OK\r\n", NOW_S)
    assert take_all(machine) == [Action.CLOSE, Action.FINISH]
    assert machine.outcome == "complete"


def test_a_connection_that_was_lost_after_the_answer_is_not_drained() -> None:
    machine = opened(body=STOP + DONE)
    machine.receive_eof(NOW_S)
    assert take_all(machine) == [Action.YIELD, Action.CLOSE, Action.FINISH]


def test_surplus_after_the_response_closes_the_connection() -> None:
    machine = receiving()
    machine.receive_data(ANSWER, NOW_S)
    machine.receive_data(b"HTTP/1.1 200 OK\r\n\r\n", NOW_S)
    assert take_all(machine)[-2:] == [Action.CLOSE, Action.FINISH]


def test_an_answer_to_half_a_request_closes_the_connection() -> None:
    machine = new_machine()
    machine.connected(NOW_S, is_reused=False)
    machine.sent(NOW_S, is_complete=False)
    machine.receive_data(response(413, {}, b"too large"), NOW_S)
    assert take_all(machine) == [Action.CLOSE, Action.FINISH]
    assert str(machine.error).startswith("the server answered 413")


# Completeness by silence


@pytest.mark.parametrize(("idle_s", "silence_s"), [(300.0, SILENCE_S), (None, SILENCE_S), (7.0, 7.0)])
def test_silence_ends_an_answer_whose_choices_have_finished(idle_s: float | None, silence_s: float) -> None:
    machine = opened(Settings(timeout=Timeout(idle_s=idle_s)), HELLO + STOP + USAGE)
    take_all(machine)
    assert machine.deadline == NOW_S + silence_s
    machine.deadline_passed(machine.deadline)
    assert take_all(machine) == [Action.CLOSE, Action.FINISH]
    assert machine.outcome == "complete"


def test_any_byte_puts_the_silence_off() -> None:
    machine = opened(body=HELLO + STOP)
    take_all(machine)
    machine.receive_data(chunked(b": ping\n\n"), NOW_S + 20)
    assert machine.deadline == NOW_S + 20 + SILENCE_S
    machine.receive_data(chunked(b":"), NOW_S + 30)
    assert machine.deadline == NOW_S + 300  # half an event: something may follow


@pytest.mark.parametrize(
    "body",
    [
        HELLO,
        STOP,
        event(chunk("Hello", finish="stop")) + HELLO,
        event(chunk("", finish="stop")) + HELLO + STOP,
        HELLO + STOP + event(chunk(choices=[])),
        HELLO + STOP + ROLE,
    ],
)
def test_silence_ends_nothing_else(body: bytes) -> None:
    """Some servers send a finish reason with every chunk, and think between two."""
    machine = opened(body=body)
    take_all(machine)
    assert machine.deadline == NOW_S + 300
    machine.deadline_passed(machine.deadline)
    take_all(machine)
    assert isinstance(machine.error, APITimeoutError)
    assert machine.error.phase == "idle"


def test_what_the_caller_does_between_two_chunks_is_no_silence() -> None:
    machine = opened(body=HELLO + STOP)
    take_all(machine)
    machine.resume(NOW_S + 100)
    assert machine.deadline == NOW_S + 100 + SILENCE_S


# Deadlines


@pytest.mark.parametrize(
    ("given", "deadline", "phase", "message"),
    [
        (Settings(needs_token=True), 600, "first_chunk", "timed out after 600 s (first_chunk_s) waiting for the token"),
        (
            Settings(needs_permit=True, timeout=Timeout(total_s=9)),
            9,
            "total",
            "timed out after 9 s (total_s) waiting for the limiter",
        ),
        (Settings(), 10, "connect", "timed out after 10 s (connect_s) connecting to test:80"),
    ],
)
def test_the_deadline_of_what_comes_before_the_request(
    given: Settings, deadline: float, phase: str, message: str
) -> None:
    machine = new_machine(given)
    assert machine.deadline == NOW_S + deadline
    machine.deadline_passed(machine.deadline)
    assert take_all(machine) == [Action.FINISH]
    assert isinstance(machine.error, APITimeoutError)
    assert machine.error.phase == phase
    assert str(machine.error).startswith(message)


def test_a_token_that_comes_too_late_is_not_used() -> None:
    machine = new_machine(Settings(needs_token=True))
    machine.token_received(machine.settings, NOW_S + 600)
    assert take_all(machine) == [Action.FINISH]
    assert isinstance(machine.error, APITimeoutError)


@pytest.mark.parametrize("state", [State.SENDING, State.RECEIVING])
@pytest.mark.parametrize("streamed", [True, False])
def test_the_deadline_of_the_request(state: State, streamed: bool) -> None:
    given = Settings(streamed=streamed, timeout=Timeout(first_chunk_s=60, response_s=90))
    machine = new_machine(given)
    machine.connected(NOW_S, is_reused=False)
    if state is State.RECEIVING:
        machine.sent(NOW_S)
    assert machine.deadline == NOW_S + (60 if streamed else 90)
    machine.deadline_passed(machine.deadline)
    assert take_all(machine) == [Action.CLOSE, Action.FINISH]
    assert isinstance(machine.error, APITimeoutError)
    assert machine.error.phase == ("first_chunk" if streamed else "response")


IDLE = event(chunk("")) + b": ping\n\n" + ROLE + b": x"
IMPATIENT = Settings(timeout=Timeout(first_chunk_s=60, idle_s=30))


def test_what_is_no_progress_does_not_move_the_deadline_of_the_first_chunk() -> None:
    machine = opened(IMPATIENT)
    machine.receive_data(chunked(IDLE), NOW_S + 10)
    assert machine.deadline == NOW_S + 60


@pytest.mark.parametrize(("away_s", "deadline"), [(0.0, 50.0), (MIN_PAUSE_S, 50.0), (5.0, 55.0), (500.0, 550.0)])
def test_only_progress_moves_the_deadline_and_time_spent_elsewhere_does_not_count(
    away_s: float, deadline: float
) -> None:
    machine = opened(IMPATIENT)
    machine.receive_data(chunked(HELLO), NOW_S + 20)
    machine.receive_data(chunked(IDLE), NOW_S + 45)
    take_all(machine, NOW_S + 45)
    machine.resume(NOW_S + 45 + away_s)
    assert machine.deadline == NOW_S + deadline


def test_a_deadline_that_is_reported_early_means_nothing() -> None:
    machine = opened(IMPATIENT)
    machine.deadline_passed(NOW_S + 59)
    assert machine.state is State.RECEIVING


def processed(tokens: int) -> bytes:
    return event(chunk(choices=[], prompt_progress={"total": 9000, "processed": tokens}))


def test_the_deadline_of_the_first_chunk_starts_anew_while_the_prompt_is_processed() -> None:
    machine = opened(IMPATIENT)
    for second, tokens, deadline in ((30, 100, 90), (50, 200, 110), (70, 200, 110), (80, 50, 110)):
        machine.receive_data(chunked(processed(tokens)), NOW_S + second)
        assert machine.deadline == NOW_S + deadline
    machine.receive_data(chunked(HELLO), NOW_S + 90)
    machine.receive_data(chunked(processed(900)), NOW_S + 100)
    assert machine.deadline == NOW_S + 120  # idle_s is not put off


def test_stamps_are_those_of_the_reads() -> None:
    machine = receiving()
    data = response(200, SSE, ROLE + HELLO + STOP + DONE, framing="eof")
    head = data.index(b"\r\n\r\n") + 4
    ends = [10, head, head + len(ROLE), head + len(ROLE) + len(HELLO), len(data)]
    for start, end, now in zip([0, *ends], ends, (1.0, 2.0, 3.0, 4.0, 5.0), strict=False):
        machine.receive_data(data[start:end], NOW_S + now)
    take_all(machine, NOW_S + 6)
    timing = machine.timing
    assert (timing.time_to_headers_s, timing.time_to_first_chunk_s, timing.time_to_first_token_s) == (2, 3, 4)
    assert (timing.duration_s, timing.chunks) == (6, 3)


# Retries


@pytest.mark.parametrize(
    ("data", "kind", "delay_s"),
    [
        (BUSY, InternalServerError, 1.0),
        (response(429, {}, b""), RateLimitError, 0.5),
        (HEAD + chunked(BROKEN), InternalServerError, 0.5),
        (b"", APIConnectionError, 0.5),
        (None, APIConnectionError, 0.5),
    ],
)
def test_what_may_pass_is_tried_again(data: bytes | None, kind: type[ChatCompletionError], delay_s: float) -> None:
    def fail(machine: CallMachine[Settings]) -> None:
        if data:
            machine.receive_data(data, NOW_S)
        elif data is None:
            machine.connection_lost(RESET, NOW_S)
        else:
            machine.receive_eof(NOW_S)

    machine = receiving(RETRYING)
    for attempt in (1, 2):
        assert machine.attempts == attempt
        fail(machine)
        assert take_all(machine)[-1] is Action.SLEEP
        assert machine.deadline == NOW_S + (delay_s if delay_s == 1.0 else delay_s * 2 ** (attempt - 1))
        machine.deadline_passed(machine.deadline - 0.1)
        assert machine.state is State.BACKOFF
        machine.deadline_passed(machine.deadline)
        assert machine.next_action(NOW_S) is Action.CONNECT
        assert machine.allows_idle_connection
        machine.connected(NOW_S, is_reused=False)
        machine.sent(NOW_S)
    fail(machine)
    assert take_all(machine)[-1] is Action.FINISH
    assert machine.outcome == "failed"
    assert type(machine.error) is kind
    assert isinstance(machine.error, ChatCompletionError)
    assert machine.error.attempts == 3


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (response(401, {}, b"no"), AuthenticationError),
        (response(200, {}, b"<html>"), ResponseFormatError),
        (HEAD + chunked(b"data: {\n\n"), ResponseFormatError),
        (response(503, {"x-should-retry": "false"}, b""), InternalServerError),
        (response(503, {"retry-after": "61"}, b""), InternalServerError),
        (response(200, SSE, DONE), StreamTruncatedError),
    ],
)
def test_what_stays_is_not_tried_again(data: bytes, kind: type[ChatCompletionError]) -> None:
    machine = receiving(RETRYING)
    machine.receive_data(data, NOW_S)
    assert take_all(machine)[-1] is Action.FINISH
    assert type(machine.error) is kind


def test_nothing_is_tried_again_once_a_chunk_was_yielded() -> None:
    machine = opened(RETRYING, HELLO)
    assert take_all(machine) == [Action.YIELD, Action.READ]
    machine.connection_lost(RESET, NOW_S)
    assert take_all(machine) == [Action.CLOSE, Action.FINISH]
    assert isinstance(machine.error, APIConnectionError)
    assert machine.error.partial is not None
    assert machine.error.partial.text == "Hello"
    assert (machine.error.chunks_received, machine.error.request_id) == (1, "req_1")


def test_a_wait_past_the_total_deadline_is_not_taken() -> None:
    machine = receiving(replace(RETRYING, timeout=Timeout(total_s=0.9)))
    machine.receive_data(BUSY, NOW_S)
    assert take_all(machine)[-1] is Action.FINISH


def test_no_connection_is_tried_again() -> None:
    machine = new_machine(RETRYING)
    machine.connection_lost(ConnectionRefusedError(111, "Connection refused"), NOW_S)
    assert take_all(machine) == [Action.SLEEP]
    machine.deadline_passed(machine.deadline)
    machine.connection_lost(APIConnectionError("of a proxy"), NOW_S)
    assert machine.state is State.CONCLUDING


def test_after_a_refusal_the_connection_is_kept_for_the_retry() -> None:
    machine = receiving(RETRYING)
    machine.receive_data(BUSY, NOW_S)
    assert take_all(machine) == [Action.RELEASE, Action.SLEEP]


def test_each_attempt_has_a_token_and_a_permit_of_its_own() -> None:
    machine = new_machine(replace(RETRYING, needs_token=True, needs_permit=True))
    for number in (1, 2):
        assert machine.next_action(NOW_S) is Action.GET_TOKEN
        assert machine.settings.secrets == ()
        machine.token_received(replace(machine.settings, secrets=(str(number),)), NOW_S)
        assert machine.next_action(NOW_S) is Action.ACQUIRE_PERMIT
        machine.permit_granted(NOW_S)
        machine.connection_lost(OSError("no"), NOW_S)
        take_all(machine)
        machine.deadline_passed(machine.deadline)


@pytest.mark.parametrize(("status", "waits"), [(429, False), (503, False), (500, True)])
def test_what_the_limiter_waits_for_is_not_waited_for_twice(status: int, *, waits: bool) -> None:
    """A retry after an overload queues for its permit at once, and comes first when the limiter's pause is over."""
    machine = new_machine(replace(RETRYING, needs_permit=True))
    machine.permit_granted(NOW_S)
    machine.connected(NOW_S, is_reused=False)
    machine.sent(NOW_S)
    machine.receive_data(response(status, {"retry-after": "5"}, b""), NOW_S)
    assert take_all(machine) == [Action.RELEASE, Action.SLEEP]
    assert machine.deadline == NOW_S + 5 * waits


def test_a_configuration_error_ends_the_call() -> None:
    machine = new_machine(RETRYING)
    error = ConfigurationError("SSL_CERT_FILE can't be read")
    machine.fail(error, NOW_S)
    assert take_all(machine) == [Action.FINISH]
    assert machine.error is error
    machine.fail(ConfigurationError("another"), NOW_S)
    assert machine.error is error


# Stale connections


@pytest.mark.parametrize("is_untaken", [True, None])
@pytest.mark.parametrize("ending", ["eof", "reset", "data left over"])
def test_a_stale_connection_is_replaced_once_by_a_new_one(is_untaken: bool | None, ending: str) -> None:
    machine = receiving(is_reused=True)
    if ending == "eof":
        machine.receive_eof(NOW_S, is_untaken=is_untaken)
    elif ending == "reset":
        machine.connection_lost(RESET, NOW_S, is_untaken=is_untaken)
    else:
        machine.receive_data(b"0\r\n\r\n", NOW_S)
    assert take_all(machine) == [Action.CLOSE, Action.CONNECT]
    assert not machine.allows_idle_connection
    assert machine.attempts == 1
    machine.connected(NOW_S, is_reused=False)
    machine.sent(NOW_S)
    machine.receive_eof(NOW_S, is_untaken=is_untaken)
    assert take_all(machine) == [Action.CLOSE, Action.FINISH]
    assert isinstance(machine.error, APIConnectionError)


@pytest.mark.parametrize("ending", ["eof", "reset"])
def test_a_request_that_may_have_been_taken_is_not_sent_again(ending: str) -> None:
    machine = receiving(is_reused=True)
    if ending == "eof":
        machine.receive_eof(NOW_S, is_untaken=False)
    else:
        machine.connection_lost(RESET, NOW_S, is_untaken=False)
    assert take_all(machine) == [Action.CLOSE, Action.FINISH]
    assert isinstance(machine.error, APIConnectionError)
    assert machine.error.retryable


def test_a_response_that_has_begun_is_not_asked_for_again() -> None:
    machine = receiving(is_reused=True)
    machine.receive_data(b"HTTP/1.1 2", NOW_S)
    machine.receive_eof(NOW_S, is_untaken=True)
    assert take_all(machine) == [Action.CLOSE, Action.FINISH]
    assert isinstance(machine.error, StreamTruncatedError)


# The end from outside


def in_state(state: State) -> CallMachine[Settings]:
    given = replace(RETRYING, needs_token=state is State.TOKEN, needs_permit=state is State.PERMIT)
    machine = new_machine(given)
    if state in (State.TOKEN, State.PERMIT, State.CONNECTING):
        return machine
    machine.connected(NOW_S, is_reused=False)
    if state is State.SENDING:
        return machine
    machine.sent(NOW_S)
    if state is State.BACKOFF:
        machine.receive_data(BUSY, NOW_S)
        take_all(machine)
    elif state is State.DRAINING:
        machine.receive_data(HEAD + chunked(STOP + DONE), NOW_S)
        take_all(machine)
    elif state is State.CONCLUDING:
        machine.receive_data(ANSWER, NOW_S)
    elif state is State.ENDED:
        machine.receive_data(ANSWER, NOW_S)
        take_all(machine)
    return machine


@pytest.mark.parametrize("state", State)
def test_a_call_can_be_closed_in_every_state(state: State) -> None:
    machine = in_state(state)
    assert machine.state is state
    before = machine.outcome
    machine.close(NOW_S)
    assert machine.state is State.ENDED
    assert machine.outcome == (before or "stopped")
    assert take_all(machine)[-1] is Action.FINISH
    machine.close(NOW_S)
    assert machine.outcome == (before or "stopped")
    assert not machine.pending


def test_closing_keeps_what_was_decoded_where_somebody_goes_on_to_read() -> None:
    machine = in_state(State.CONCLUDING)
    machine.close(NOW_S, keep_pending=True)
    assert machine.outcome == "stopped"
    assert [made.text for made in machine.pending] == ["Hello", ""]


def test_closing_after_the_last_chunk_of_a_complete_answer_completes_it() -> None:
    machine = in_state(State.CONCLUDING)
    machine.pending.clear()
    machine.close(NOW_S)
    assert machine.outcome == "complete"


def test_a_connection_that_comes_after_the_end_is_closed() -> None:
    machine = new_machine()
    machine.close(NOW_S)
    machine.connected(NOW_S, is_reused=False)
    assert take_all(machine) == [Action.CLOSE, Action.FINISH]


def test_a_forked_child_is_told_whose_the_stream_is() -> None:
    machine = opened(body=HELLO)
    take_all(machine)
    error = machine.forked_error()
    assert str(error) == "the stream from test:80 belongs to the process that opened it"
    assert (error.retryable, error.chunks_received, machine.outcome) == (False, 1, None)


# What a listener is told


@dataclass
class Listening:
    """Writes down what it is told."""

    told: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])

    def attempt_started(self, number: int, settings: Settings) -> Settings:
        self.told.append(("attempt_started", number))
        return replace(settings, secrets=(*settings.secrets, "added"))

    def request_sent(self, at: float) -> None:
        self.told.append(("request_sent", at))

    def response_started(self, response: ResponseInfo, at: float) -> None:
        self.told.append(("response_started", response.status, at))

    def data_received(self, data: bytes, at: float) -> None:
        self.told.append(("data_received", len(data), at))

    def chunks_received(self, chunks: Sequence[ChatCompletionChunk], at: float) -> None:
        self.told.append(("chunks_received", len(chunks), at))

    def attempt_failed(self, error: ChatCompletionError, retry_delay_s: float | None) -> None:
        self.told.append(("attempt_failed", type(error), retry_delay_s))

    def call_ended(self, outcome: str, completion: ChatCompletion, error: ChatCompletionError | None) -> None:
        self.told.append(("call_ended", outcome, completion.text, type(error)))


def listened(given: Settings | None = None) -> tuple[CallMachine[Settings], Listening]:
    listening = Listening()
    machine = CallMachine(
        given or Settings(), NOW_S, jitter=lambda: 0.0, wall_clock=lambda: 1_700_000_000.0, listener=listening
    )
    return machine, listening


def test_a_listener_is_told_of_everything_in_order() -> None:
    machine, listening = listened(RETRYING)
    for data in (BUSY, HEAD + chunked(HELLO + STOP + DONE), b"0\r\n\r\n"):
        if machine.state is State.BACKOFF:
            machine.deadline_passed(machine.deadline)
        if machine.state is State.CONNECTING:
            assert machine.settings.secrets == ("added",)
            machine.connected(NOW_S, is_reused=False)
            machine.sent(NOW_S + 1)
        machine.receive_data(data, NOW_S + 2)
        take_all(machine, NOW_S + 2)
    take_all(machine)
    assert listening.told == [
        ("attempt_started", 1),
        ("request_sent", NOW_S + 1),
        ("data_received", len(BUSY), NOW_S + 2),
        ("response_started", 503, NOW_S + 2),
        ("attempt_failed", InternalServerError, 1.0),
        ("attempt_started", 2),
        ("request_sent", NOW_S + 1),
        ("data_received", len(HEAD + chunked(HELLO + STOP + DONE)), NOW_S + 2),
        ("response_started", 200, NOW_S + 2),
        ("chunks_received", 2, NOW_S + 2),
        ("data_received", 5, NOW_S + 2),
        ("call_ended", "complete", "Hello", type(None)),
    ]


def test_a_listener_is_told_of_the_end_of_the_connection() -> None:
    machine, listening = listened()
    machine.connected(NOW_S, is_reused=False)
    machine.sent(NOW_S)
    machine.receive_eof(NOW_S)
    take_all(machine)
    assert listening.told[2:] == [
        ("data_received", 0, NOW_S),
        ("attempt_failed", APIConnectionError, None),
        ("call_ended", "failed", "", APIConnectionError),
    ]


# Any order of events

DATA = [
    ANSWER,
    HEAD,
    chunked(HELLO),
    chunked(STOP),
    chunked(STOP + DONE),
    b"0\r\n\r\n",
    BUSY,
    response(200, SSE | {"content-encoding": "deflate"}, b"x\x9c"),
    event({"error": {"code": 500}}),
    b"HTTP/1.1 200",
    b"garbage\r\n\r\n",
    b"\r\n",
]

Event = Callable[["Driven"], None]


class Driven:
    """A machine, and what a driver would have in its hands: it checks what must never happen."""

    def __init__(self, given: Settings) -> None:
        self.listening = Listening()
        self.now = NOW_S
        self.machine = CallMachine(given, self.now, jitter=lambda: 0.5, wall_clock=lambda: 0.0, listener=self.listening)
        self.has_connection = False
        self.outcome: str | None = None

    def act(self) -> Action:
        action = self.machine.next_action(self.now)
        if action in (Action.RELEASE, Action.CLOSE):
            assert self.has_connection, "a connection is given up that there is not"
            self.has_connection = False
        elif action in (Action.READ, Action.SEND, Action.PROCESS):
            assert self.has_connection, f"{action} without a connection"
        elif action is Action.CONNECT:
            assert not self.has_connection, "a second connection"
        elif action is Action.FINISH:
            assert not self.has_connection, "a connection is left"
            assert self.machine.outcome is not None
        self.check()
        return action

    def check(self) -> None:
        machine = self.machine
        if self.outcome is not None:
            assert machine.outcome == self.outcome, "a second outcome"
        self.outcome = machine.outcome
        assert (machine.outcome == "failed") == (machine.error is not None)
        assert sum(told[0] == "call_ended" for told in self.listening.told) <= 1

    def connect(self, *, is_reused: bool) -> None:
        if self.machine.state is State.CONNECTING and not self.has_connection and self.act() is Action.CONNECT:
            self.has_connection = True
            self.machine.connected(self.now, is_reused=is_reused)

    def finish(self) -> None:
        """Whatever comes no more: time passes, and the call ends."""
        for _ in range(200):
            action = self.act()
            if action is Action.FINISH:
                break
            if action is Action.YIELD:
                self.machine.pending.popleft()
            elif action is Action.PROCESS:
                self.machine.process_pending(self.now)
            elif action not in (Action.RELEASE, Action.CLOSE):
                assert self.machine.deadline < math.inf, f"{action} for ever"
                self.now = max(self.now, self.machine.deadline)
                self.machine.deadline_passed(self.now)
        else:
            pytest.fail(f"the call does not end: {self.machine.state}")
        assert sum(told[0] == "call_ended" for told in self.listening.told) == 1


def _yield(driven: Driven) -> None:
    if driven.machine.pending:
        driven.machine.pending.popleft()


EVENTS: list[Event] = [
    lambda driven: driven.connect(is_reused=False),
    lambda driven: driven.connect(is_reused=True),
    lambda driven: driven.machine.token_received(driven.machine.settings, driven.now),
    lambda driven: driven.machine.permit_granted(driven.now),
    lambda driven: driven.machine.connection_lost(OSError("no"), driven.now),
    lambda driven: driven.machine.sent(driven.now),
    lambda driven: driven.machine.sent(driven.now, is_complete=False),
    lambda driven: driven.machine.receive_eof(driven.now),
    lambda driven: driven.machine.receive_eof(driven.now, is_untaken=False),
    lambda driven: driven.machine.connection_lost(RESET, driven.now),
    lambda driven: driven.machine.connection_lost(APIConnectionError("of its own"), driven.now),
    lambda driven: driven.machine.deadline_passed(driven.now),
    lambda driven: driven.machine.process_pending(driven.now),
    lambda driven: driven.machine.fail(ConfigurationError("no"), driven.now),
    lambda driven: driven.machine.resume(driven.now),
    lambda driven: driven.machine.close(driven.now),
    lambda driven: driven.machine.close(driven.now, keep_pending=True),
    lambda driven: driven.machine.describe(ChatCompletionError("x")),
    _yield,
]
USUAL = [0, 2, 3, 5]
"""The events that take a call on its way, so that many runs get somewhere."""


@settings(max_examples=1000, deadline=None)
@given(
    given=st.builds(
        Settings,
        streamed=st.booleans(),
        max_retries=st.integers(0, 2),
        needs_token=st.booleans(),
        needs_permit=st.booleans(),
        timeout=st.just(Timeout(total_s=2000)),
    ),
    steps=st.lists(
        st.sampled_from(USUAL)
        | st.integers(0, len(EVENTS) - 1)
        | st.sampled_from(DATA)
        | st.floats(0, 700)
        | st.just("act"),
        max_size=25,
    ),
)
def test_no_order_of_events_breaks_a_call(given: Settings, steps: list[int | float | bytes | str]) -> None:
    """No hang, no second outcome, no connection that is released and used."""
    driven = Driven(given)
    for step in steps:
        if isinstance(step, bytes):
            driven.machine.receive_data(step, driven.now)
        elif isinstance(step, float):
            driven.now += step
        elif step == "act":
            driven.act()
        else:
            EVENTS[int(step)](driven)
        driven.check()
    driven.finish()


# What the outcome says of the call


def test_silence_after_finish_reasons_without_a_token_ends_nothing() -> None:
    """It is asked for when silence would end an answer; this one had no token yet."""
    machine = opened(body=ROLE + STOP)
    take_all(machine)
    machine.deadline_passed(NOW_S + SILENCE_S)
    assert machine.next_action(NOW_S + SILENCE_S) is Action.READ
    assert machine.deadline > NOW_S + SILENCE_S


@pytest.mark.parametrize("status", [404, 503])
def test_an_error_names_the_proxy_that_answered_and_the_address_that_was_not_found(status: int) -> None:
    machine = receiving(Settings(url="http://test/v1/chat/completions", route_address="proxy:3128"))
    machine.receive_data(response(status, {}, b"no"), NOW_S)
    take_all(machine)
    where = " to POST http://test/v1/chat/completions" if status == 404 else ""
    phrase = {404: "Not Found", 503: "Service Unavailable"}[status]
    assert str(machine.error).startswith(f"proxy:3128 answered {status} {phrase}{where}: ")


def test_a_head_that_repeats_a_secret_is_masked() -> None:
    machine = receiving(Settings(secrets=("sk-0123456789",)))
    machine.receive_data(response(200, SSE | {"x-key": "sk-0123456789"}, HELLO + STOP + DONE), NOW_S)
    assert machine.response is not None
    assert machine.response.headers["x-key"] == "[redacted]"


def test_the_models_of_a_list() -> None:
    machine = receiving(Settings(streamed=False, method="GET", url="http://test/v1/models"))
    machine.receive_data(response(200, {}, b'{"data": [{"id": "a"}]}'), NOW_S)
    take_all(machine)
    assert (machine.outcome, machine.models) == ("complete", ["a"])


def test_a_body_in_place_of_a_list_of_models() -> None:
    machine = receiving(Settings(streamed=False, method="GET", url="http://test/v1/models"))
    machine.receive_data(response(200, {}, b"{}"), NOW_S)
    take_all(machine)
    assert isinstance(machine.error, ResponseFormatError)
    assert str(machine.error).startswith("expected a list of models")


def test_the_limiter_keeps_the_wait_that_the_server_asked_for() -> None:
    machine = new_machine(replace(RETRYING, needs_permit=True))
    machine.permit_granted(NOW_S)
    machine.connected(NOW_S, is_reused=False)
    machine.sent(NOW_S)
    machine.receive_data(response(503, {"retry-after": "30"}, b"busy"), NOW_S)
    assert take_all(machine)[-1] is Action.SLEEP
    assert machine.deadline == NOW_S  # at once, to the end of the limiter's own queue


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (ConnectionRefusedError(111, "refused"), "is the server running on this port?"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong"), "the server does not speak TLS there; does base_url"),
        (ssl.SSLCertVerificationError(1, "no"), "the certificate is not trusted; SSL_CERT_FILE can name a file"),
        (OSError(5, "no"), None),
    ],
)
def test_the_hint_for_a_connection_that_was_not_made(error: Exception, hint: str | None) -> None:
    if isinstance(error, ssl.SSLCertVerificationError):
        error.verify_message, error.verify_code = "self-signed certificate", 18
    machine = new_machine()
    machine.connection_lost(error, NOW_S)
    take_all(machine)
    assert isinstance(machine.error, APIConnectionError)
    assert machine.error.hint == hint or (hint is not None and str(machine.error.hint).startswith(hint))


def test_a_pause_of_the_caller_in_the_middle_of_an_answer_ends_nothing() -> None:
    machine = opened(body=HELLO)
    take_all(machine)
    machine.resume(NOW_S + 1)
    assert machine.deadline == NOW_S + 1 + SILENCE_S  # when it is seen that the answer has not finished
    machine.deadline_passed(machine.deadline)
    assert (machine.outcome, machine.deadline) == (None, NOW_S + 1 + 300)


def test_reasoning_is_taken_out_of_an_answer_that_is_not_streamed() -> None:
    machine = receiving(Settings(streamed=False, reasoning_tags=("<think>", "</think>")))
    body = json.dumps(completion("<think>Hm.</think>Hi")).encode()
    machine.receive_data(response(200, {"content-type": "application/json"}, body), NOW_S)
    take_all(machine)
    message = machine.completion.choices[0].message
    assert (message.content, message.reasoning_text) == ("Hi", "Hm.")
