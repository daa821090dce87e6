"""firsttoken._models.completion: a complete completion."""

import pickle

import msgspec
import pytest

from firsttoken.types import (
    ChatCompletion,
    ChatCompletionMessage,
    Choice,
    Headers,
    ResponseInfo,
    Timing,
)
from tests.support.server import completion


def made(content: str = "Hi") -> ChatCompletion:
    return msgspec.convert(completion(content), ChatCompletion)


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        ([], ""),
        ([Choice()], ""),
        ([Choice(message=ChatCompletionMessage(content="a"))], "a"),
        ([Choice(index=1, message=ChatCompletionMessage(content="b"))], ""),
        ([Choice(index=1), Choice(message=ChatCompletionMessage(content="a"))], "a"),
    ],
)
def test_text_is_that_of_choice_0_wherever_it_stands(choices: list[Choice], text: str) -> None:
    assert ChatCompletion(choices=choices).text == text


def test_equality_leaves_out_how_the_answer_came() -> None:
    one, other = made(), made()
    one.response = ResponseInfo(status=200, headers=Headers({"a": "b"}))
    one.timing = Timing(chunks=3)
    assert one == other
    assert not one != other  # noqa: SIM202 - msgspec has an operator of its own for it
    other.extra = {"x": 1}
    for unequal in (other, made("Ho"), "Hi", None):
        assert one != unequal
        assert not one == unequal  # noqa: SIM201


def test_a_completion_pickles_with_all_it_has() -> None:
    one = made()
    one.response = ResponseInfo(status=200, headers=Headers({"A": "b"}), request_id="r")
    one.timing = Timing(chunks=3)
    twin = pickle.loads(pickle.dumps(one))
    assert twin == one
    assert twin.timing == one.timing
    assert twin.response.headers["a"] == "b"
    assert twin.choices[0].extra == {}


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (ChatCompletionMessage(), ""),
        (ChatCompletionMessage(reasoning_content="a", reasoning="a", thinking="a"), "a"),
        (ChatCompletionMessage(reasoning="b"), "b"),
        (ChatCompletionMessage(reasoning_content="", thinking="c"), "c"),
        (ChatCompletionMessage(reasoning_details=[{"text": "d"}]), "d"),
        (ChatCompletionMessage(reasoning_details=[{"type": "reasoning.encrypted", "data": "d"}]), ""),
    ],
)
def test_reasoning_has_one_accessor(message: ChatCompletionMessage, text: str) -> None:
    assert message.reasoning_text == text
