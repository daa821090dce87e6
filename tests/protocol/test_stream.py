"""firsttoken._protocol.stream: what is yielded, what the outcome is, and when an answer is complete."""

import pytest

from firsttoken._protocol.completeness import COMPLETE
from firsttoken._protocol.decode import DecodeResult
from firsttoken.errors import (
    APIConnectionError,
    APIStatusError,
    BadRequestError,
    InternalServerError,
    RateLimitError,
    ResponseFormatError,
    StreamTruncatedError,
)
from firsttoken.sansio import StreamParser
from firsttoken.types import ChatCompletion
from tests.support.core import cut_every, drain, drive, refused, run
from tests.support.server import DONE, chunk, event

HELLO = event(chunk("Hello"))
STOP = event(chunk(finish="stop"))
USAGE = event(chunk(choices=[], usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}))


AUDIO = event(chunk(choices=[{"index": 0, "delta": {"audio": {"data": "AAAA"}}}]))


def of_choice(index: int, finish: str | None = None) -> bytes:
    return event(chunk(choices=[{"index": index, "delta": {"content": "x"}, "finish_reason": finish}]))


# When is a stream complete?


@pytest.mark.parametrize(
    "body",
    [
        HELLO + STOP + DONE,
        HELLO + STOP + USAGE + DONE,
        STOP + HELLO + DONE,
        of_choice(0, "stop") + of_choice(1) + DONE,
        HELLO + STOP,
        HELLO + STOP + USAGE,
        STOP,
        STOP[:-2],
        HELLO + STOP + DONE[:-2],
        HELLO + STOP + b"data: [DONE]",
        HELLO + STOP + b"data: [DONE] \n\n",
        HELLO + STOP + b"data:[DONE]\r\n\r\n",
        AUDIO + DONE,
        AUDIO + USAGE + DONE,
        of_choice(1, "stop") + of_choice(0) + of_choice(0, "stop"),
        event(chunk("x", finish="eos_token")),
        HELLO + STOP + b": a comment without end",
        HELLO + STOP + b'data: {"cut',
    ],
)
def test_a_stream_is_complete(body: bytes) -> None:
    outcome = run(body)
    assert outcome.failure is None
    assert outcome.complete


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "stream truncated after 0 chunks: no [DONE] and no choices received"),
        (b": ping\n\n", "stream truncated after 0 chunks: no [DONE] and no choices received"),
        (USAGE, "stream truncated after 1 chunk: no [DONE] and no choices received"),
        (HELLO, "stream truncated after 1 chunk: no [DONE] and no finish_reason for choice 0"),
        (
            HELLO + STOP + of_choice(2) + of_choice(1),
            "stream truncated after 4 chunks: no [DONE] and no finish_reason for choices 1, 2",
        ),
        (
            HELLO + b'data: {"choices":[{"ind',
            "stream truncated after 1 chunk: no [DONE] and no finish_reason for choice 0",
        ),
        (
            event(chunk("x", finish="")),
            "stream truncated after 1 chunk: no [DONE] and no finish_reason for choice 0",
        ),
        (HELLO + DONE, "stream truncated after 1 chunk: [DONE] but no finish_reason for choice 0"),
        (
            of_choice(0, "null") + of_choice(1, "None") + of_choice(0, "") + DONE,
            "stream truncated after 3 chunks: [DONE] but no finish_reason for choices 0, 1",
        ),
        (HELLO + USAGE + DONE, "stream truncated after 2 chunks: [DONE] but no finish_reason for choice 0"),
        (USAGE + DONE, "stream truncated after 1 chunk: [DONE] but no choices received"),
        (event({}) + DONE, "stream truncated after 1 chunk: [DONE] but no choices received"),
        (AUDIO, "stream truncated after 1 chunk: no [DONE] and no finish_reason for choice 0"),
        (
            b"".join(of_choice(index) for index in range(12)),
            (
                "stream truncated after 12 chunks: no [DONE] and no finish_reason "
                "for choices 0, 1, 2, 3, 4, 5, 6, 7 and 4 more"
            ),
        ),
        (DONE, "stream truncated after 0 chunks: [DONE] but no choices received"),
        (b": ping\n\n" + DONE, "stream truncated after 0 chunks: [DONE] but no choices received"),
    ],
)
def test_a_stream_is_truncated(body: bytes, message: str) -> None:
    for pieces in ([body], cut_every(body, 1)):
        outcome = run(pieces)
        assert not outcome.complete
        assert isinstance(outcome.failure, StreamTruncatedError)
        assert str(outcome.failure) == message
        assert outcome.failure.chunks_received == len(outcome.chunks)
        assert outcome.failure.partial == (outcome.completion if outcome.chunks else None)


def test_a_finish_reason_is_never_invented_and_the_last_one_wins() -> None:
    assert drive(StreamParser(require_finish_reason=False), [HELLO + DONE]).completion.choices[0].finish_reason is None
    body = STOP + event(chunk("x", finish="length")) + event(chunk("y", finish="")) + DONE
    assert run(body).completion.choices[0].finish_reason == "length"


def complete(expected_choices: int | None, *pieces: bytes) -> bool:
    return drive(StreamParser(expected_choices=expected_choices), pieces).complete


def test_of_one_choice_the_pieces_may_be_numbered() -> None:
    """As by servers that number an answer's pieces; choices that share a chunk, or take turns, are several."""
    pieces = [of_choice(0), of_choice(1), of_choice(2, "stop")]
    assert complete(1, *pieces)
    assert not complete(None, *pieces)
    assert not complete(3, *pieces)
    both = event(chunk(choices=[{"index": 0, "delta": {"content": "x"}}, {"index": 1, "delta": {}}]))
    assert not complete(1, both, of_choice(1, "stop"))
    assert not complete(1, of_choice(0), of_choice(1), of_choice(0, "stop"))


def test_the_pieces_of_one_choice_are_all_shown() -> None:
    pieces = [of_choice(0), of_choice(1), of_choice(2), of_choice(3, "stop"), of_choice(3)]
    for parts in (pieces, [b"".join(pieces)]):
        outcome = drive(StreamParser(expected_choices=1), parts)
        assert [choice.index for chunk in outcome.chunks for choice in chunk.choices] == [0] * 5
        assert [choice.index for choice in outcome.completion.choices] == [0]
        assert outcome.completion.text == "".join(chunk.text for chunk in outcome.chunks) != ""
    assert [choice.index for choice in drive(StreamParser(expected_choices=2), pieces).completion.choices] == [
        *range(4)
    ]


def test_of_one_choice_another_that_begins_after_its_end_is_no_piece() -> None:
    two = [of_choice(0), of_choice(0, "stop"), of_choice(1), of_choice(1, "stop")]
    outcome = drive(StreamParser(expected_choices=1), two)
    assert [choice.index for choice in outcome.completion.choices] == [0, 1]
    assert not complete(1, *two[:-1])


def test_pieces_may_be_numbered_and_each_have_a_finish_reason() -> None:
    for pieces in ([of_choice(0, "stop"), of_choice(1, "stop")], [USAGE, of_choice(1, "stop"), of_choice(2), USAGE]):
        outcome = drive(StreamParser(expected_choices=1), pieces)
        assert outcome.complete
        assert [choice.index for choice in outcome.completion.choices] == [0]
        assert outcome.completion.text == "".join(chunk.text for chunk in outcome.chunks)
        assert outcome.completion.choices[0].finish_reason == "stop"


def test_every_choice_that_was_asked_for_must_finish() -> None:
    assert not complete(2, of_choice(0, "stop"))
    assert complete(2, of_choice(0, "stop"), of_choice(1, "stop"))
    assert complete(2, of_choice(0, "stop"), DONE)


def test_done_alone_ends_the_answer_of_a_server_that_never_sends_a_finish_reason() -> None:
    assert drive(StreamParser(require_finish_reason=False), [HELLO + DONE]).complete
    assert not drive(StreamParser(require_finish_reason=False), [USAGE + DONE]).complete
    assert not drive(StreamParser(require_finish_reason=False), [HELLO]).complete
    failure = run(HELLO + DONE).failure
    assert failure is not None
    assert failure.hint is not None
    assert "require_finish_reason=False" in failure.hint


@pytest.mark.parametrize(
    ("expected_choices", "body", "may_end"),
    [
        (1, HELLO + STOP, True),
        (1, HELLO + STOP + USAGE, True),
        (1, HELLO, False),
        (1, HELLO + STOP + HELLO, False),
        (1, STOP + HELLO, False),
        (1, HELLO + STOP + HELLO + STOP, False),
        (1, STOP + STOP, False),
        (1, HELLO + STOP + event({"choices": []}), False),
        (1, HELLO + STOP + of_choice(1, "stop"), False),
        (1, HELLO + STOP + b": comment\n\n", True),
        (1, HELLO + STOP + b"data: {", False),
        (2, HELLO + STOP, False),
        (2, HELLO + STOP + of_choice(1) + of_choice(1, "stop"), True),
        (2, HELLO + STOP + of_choice(1, "stop") + of_choice(0), False),
    ],
)
def test_silence_may_end_an_answer_that_nothing_but_usage_has_followed(
    expected_choices: int, body: bytes, may_end: bool
) -> None:
    parser = StreamParser(expected_choices=expected_choices)
    parser.receive_data(body)
    assert parser.may_end_in_silence is may_end


def test_nothing_counts_behind_done() -> None:
    for behind in (HELLO, event({"choices": [], "cost": "0"}), event({"error": "late"}), b"data: {\n\n", DONE):
        for pieces in ([STOP + DONE + behind], [STOP + DONE, behind]):
            outcome = run(pieces)
            assert len(outcome.chunks) == 1
            assert outcome.failure is None
            assert outcome.complete


# Errors inside the stream


ERRORS: dict[str, tuple[bytes, type[APIStatusError], int | None, str, object]] = {
    "an object": (
        event({"error": {"message": "no", "code": 502}}),
        InternalServerError,
        502,
        "no",
        {"error": {"message": "no", "code": 502}},
    ),
    "text": (event({"error": "no"}), APIStatusError, None, "no", {"error": "no"}),
    "event: error": (
        b"event: error\n" + event({"error": {"message": "no", "status_code": 429}}),
        RateLimitError,
        429,
        "no",
        {"error": {"message": "no", "status_code": 429}},
    ),
    "event: error with a bare object": (
        b"event: error\n" + event({"message": "no"}),
        APIStatusError,
        None,
        "no",
        {"message": "no"},
    ),
    "event: error with text": (b"event: error\ndata: no\n\n", APIStatusError, None, "no", "no"),
    "event: error with [DONE]": (b"event: error\ndata: [DONE]\n\n", APIStatusError, None, "[DONE]", "[DONE]"),
    "object: error": (
        event({"object": "error", "message": "no"}),
        APIStatusError,
        None,
        "no",
        {"object": "error", "message": "no"},
    ),
    "in a choice": (
        event({"choices": [{"index": 0, "delta": {}, "error": {"message": "no"}}]}),
        APIStatusError,
        None,
        "no",
        {"choices": [{"index": 0, "delta": {}, "error": {"message": "no"}}]},
    ),
    "beside a choice": (
        event(chunk("x", finish="stop", error={"message": "no", "code": 400})),
        BadRequestError,
        400,
        "no",
        chunk("x", finish="stop", error={"message": "no", "code": 400}),
    ),
    "finish reason error": (
        event(chunk("x", finish="error")),
        APIStatusError,
        None,
        'finish reason "error"',
        chunk("x", finish="error"),
    ),
    "finish reason abort": (
        event(chunk(finish="abort")),
        APIStatusError,
        None,
        'finish reason "abort"',
        chunk(finish="abort"),
    ),
    "a bare error line": (
        b'error: {"error":{"message":"no"}}\n\n',
        APIStatusError,
        None,
        "no",
        {"error": {"message": "no"}},
    ),
    "a bare error line of text": (b"error: no\n\n", APIStatusError, None, "no", "no"),
    "bytes that are not UTF-8": (b"error: no\xff\n\n", APIStatusError, None, "no\ufffd", "no\ufffd"),
}


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("before", [b"", HELLO, HELLO + STOP])
@pytest.mark.parametrize("behind", [b"", HELLO, DONE])
def test_an_error_inside_the_stream(name: str, before: bytes, behind: bytes) -> None:
    data, kind, status, words, body = ERRORS[name]
    outcome = run(before + data + behind)
    error = refused(outcome)
    assert type(error) is kind
    assert str(error) == f"the server reported an error inside the stream: {words}"
    assert (error.status, error.in_stream, error.body) == (status, True, body)
    has_text = b'"content":"x"' in data.replace(b" ", b"")
    assert len(outcome.chunks) == before.count(b"data") + has_text  # what came with the error is yielded first
    assert error.chunks_received == len(outcome.chunks)
    assert error.partial == (outcome.completion if outcome.chunks else None)
    assert outcome.completion.text == "Hello" * (HELLO in before) + "x" * has_text


def test_an_error_without_an_end_counts() -> None:
    assert str(refused(run(HELLO + b'data: {"error":"no"}'))) == "the server reported an error inside the stream: no"


@pytest.mark.parametrize("error", [None, "", {}, False])
def test_an_error_of_nothing_is_none(error: object) -> None:
    outcome = run(event(chunk("Hello", finish="stop", error=error)))
    assert outcome.complete
    assert outcome.chunks[0].text == "Hello"
    assert outcome.chunks[0].extra == {"error": error}


# What is no chunk


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"data: hello\n\n",
            "the server sent data that is not JSON (Expecting value: line 1 column 1 (char 0)): 'hello'",
        ),
        (b"data: [1]\n\n", "expected a JSON object in the event: '[1]'"),
        (b"data: null\n\n", "expected a JSON object in the event: 'null'"),
        (b'data: {"a":"\xff"}\n\n', 'the server sent data that is not UTF-8 (invalid start byte): \'{"a":"\ufffd"}\''),
        (event({"choices": {}}), "choices must be a list: '{\"choices\":{}}'"),
        (event({"choices": [1]}), "each choice must be an object: '{\"choices\":[1]}'"),
        (
            event({"choices": [{"delta": "x"}]}),
            'delta must be an object: \'{"choices":[{"delta":"x"}]}\'',
        ),
        (
            b'data: {"a":' + b"[" * 9999 + b"\n\n",
            'the server sent JSON that is nested too deeply: \'{"a":' + "[" * 195 + "'…",
        ),
    ],
)
def test_what_is_no_chunk_is_a_failure_behind_the_good_chunks(data: bytes, message: str) -> None:
    for pieces in ([HELLO + data + HELLO], [HELLO, data, HELLO]):
        outcome = run(pieces)
        assert isinstance(outcome.failure, ResponseFormatError)
        assert str(outcome.failure) == message
        assert [made.text for made in outcome.chunks] == ["Hello"]
        assert outcome.failure.partial == outcome.completion


def test_an_event_that_is_too_large_is_a_failure_behind_the_good_chunks() -> None:
    outcome = drive(StreamParser(max_event_bytes=200), [HELLO + b"data: " + b"x" * 300 + b"\n\n" + HELLO])
    assert str(outcome.failure) == "event larger than 200 bytes"
    assert [made.text for made in outcome.chunks] == ["Hello"]


# What is yielded


def test_chunks_are_handed_out_one_by_one_and_folded_as_they_are() -> None:
    core = StreamParser()
    assert core.completion == ChatCompletion()
    assert core.completion.choices == []
    assert core.next_chunk() is None
    arrived = core.receive_data(HELLO + event(chunk(" world")) + STOP)
    assert [made.text for made in arrived] == ["Hello", " world", ""]
    assert core.completion == ChatCompletion()
    seen: list[str] = []
    for count, made in enumerate(drain(core), 1):
        seen.append(made.text)
        assert core.completion.text == "".join(seen)
        assert core.chunks_yielded == count
    assert core.end is None


def test_a_stream_of_many_reads() -> None:
    outcome = run([*[HELLO] * 100, STOP])
    assert outcome.complete
    assert outcome.completion.text == "Hello" * 100


@pytest.mark.parametrize("end", [b"", STOP])
def test_the_outcome_does_not_wait_for_the_reader(end: bytes) -> None:
    core = StreamParser()
    core.receive_data(HELLO * 3 + end)
    core.receive_eof()
    assert core.complete == bool(end)
    assert core.chunks_yielded == 0
    assert len(list(drain(core))) == 3 + bool(end)
    assert core.completion.text == "Hello" * 3


def test_a_failure_waits_behind_the_chunks_and_holds_what_was_handed_out() -> None:
    core = StreamParser()
    core.receive_data(HELLO + HELLO)
    lost = APIConnectionError("gone")
    core.set_end(lost)
    assert core.failure is lost
    assert lost.partial is None
    assert len(list(drain(core))) == 2
    assert lost.chunks_received == 2
    assert lost.partial is not None
    assert lost.partial.text == "HelloHello"


def test_the_first_outcome_stands() -> None:
    core = StreamParser()
    first = APIConnectionError("first")
    core.set_end(first)
    core.set_end(APIConnectionError("second"))
    core.set_end(COMPLETE)
    assert core.receive_data(HELLO + DONE) == core.receive_eof() == []
    assert (core.failure, core.complete) == (first, False)
    whole = StreamParser()
    whole.receive_data(STOP + DONE)
    whole.set_end(first)
    assert whole.receive_eof() == []
    assert (whole.failure, whole.complete) == (None, True)


def test_a_stopped_stream_hands_out_nothing_more() -> None:
    core = StreamParser()
    core.receive_data(HELLO * 3)
    core.next_chunk()
    core.drop_pending()
    assert core.next_chunk() is None
    assert core.chunks_yielded == 1
    assert core.completion.text == "Hello"
    core.drop_pending()
    assert core.chunks_yielded == 1


def test_an_answer_may_be_taken_as_complete_before_its_end() -> None:
    core = StreamParser()
    core.receive_data(HELLO)
    core.set_end(COMPLETE)
    assert core.complete
    assert [made.text for made in drain(core)] == ["Hello"]


def test_a_complete_answer_is_one_chunk() -> None:
    core = StreamParser()
    core.receive_body(DecodeResult(run(STOP).chunks[:1], done=True))
    assert core.complete
    assert core.chunks_yielded == 0
    assert len(list(drain(core))) == 1


def test_raw_is_the_exact_bytes_of_the_event() -> None:
    payloads = [b'{"choices":[],  "x":1}', b' {"choices":[]}', '{"id":"é"}'.encode()]
    body = b"".join(b"data: " + payload + b"\n\n" for payload in payloads)
    assert [made.raw for made in run(body).chunks] == payloads
    assert run(b'data: {\ndata:  "id": "x"}\n\n').chunks[0].raw == b'{\n "id": "x"}'


# What a completion says of itself


def test_a_completion_is_complete_when_all_of_a_complete_answer_was_handed_out() -> None:
    core = StreamParser()
    assert core.completion.complete is False
    core.receive_data(HELLO + STOP + DONE)
    assert core.complete
    for _ in range(2):
        assert core.completion.complete is False
        core.next_chunk()
    assert core.completion.complete is True


def test_a_completion_of_which_chunks_were_dropped_is_never_complete() -> None:
    core = StreamParser()
    core.receive_data(HELLO + STOP + DONE)
    core.drop_pending()
    assert core.complete
    assert core.completion.complete is False


def test_what_a_failure_holds_is_not_complete() -> None:
    failure = run(HELLO).failure
    assert failure is not None
    assert failure.partial is not None
    assert failure.partial.complete is False


def test_an_empty_delta_of_another_choice_after_the_end_of_the_only_one_is_nothing() -> None:
    pieces = [chunk("a"), chunk("b"), chunk("", "stop")]
    last = chunk("")
    last["choices"][0]["index"] = 1
    outcome = drive(StreamParser(expected_choices=1), [*map(event, [*pieces, last]), DONE])
    assert (outcome.failure, outcome.completion.text) == (None, "ab")
