"""firsttoken._protocol.accumulator: what folding means for each field of a chunk."""

from typing import Any

import msgspec
import pytest

from firsttoken._protocol.accumulator import COMPACT_AFTER
from firsttoken.sansio import Accumulator
from firsttoken.types import ChatCompletion, ChatCompletionChunk, CompletionUsage
from tests.support.core import run
from tests.support.server import chunk, event


def made(**fields: Any) -> ChatCompletionChunk:
    return msgspec.convert(fields, ChatCompletionChunk)


def accumulate(*chunks: ChatCompletionChunk) -> ChatCompletion:
    accumulator = Accumulator()
    for one in chunks:
        accumulator.add(one)
    return accumulator.completion


def test_nothing_folds_into_an_empty_completion() -> None:
    assert accumulate() == ChatCompletion()
    assert Accumulator().completion.choices == []


@pytest.mark.parametrize(("name", "blank", "value"), [("id", "", "a"), ("model", "", "m"), ("created", 0, 5)])
def test_the_head_is_that_of_the_first_chunk_that_has_one(name: str, blank: Any, value: Any) -> None:
    later = "other" if isinstance(value, str) else 9
    assert (
        getattr(accumulate(made(), made(**{name: blank}), made(**{name: value}), made(**{name: later})), name) == value
    )


@pytest.mark.parametrize("name", ["service_tier", "system_fingerprint"])
def test_the_last_word_about_the_server_wins(name: str) -> None:
    assert (
        getattr(
            accumulate(made(), made(**{name: "a"}), made(**{name: "b"}), made(**{name: None}), made(**{name: ""})), name
        )
        == "b"
    )


def test_the_last_usage_wins_and_nothing_is_summed() -> None:
    first, last = CompletionUsage(total_tokens=3), CompletionUsage(total_tokens=5)
    chunks = [ChatCompletionChunk(usage=usage) for usage in (first, last, None)]
    assert accumulate(*chunks).usage == last


def test_unknown_fields_are_folded_and_the_last_value_wins() -> None:
    extras: list[dict[str, object]] = [{"a": 1, "b": 1}, {}, {"b": 2}]
    chunks = [ChatCompletionChunk(extra=extra) for extra in extras]
    assert accumulate(*chunks).extra == {"a": 1, "b": 2}


def test_obfuscation_and_object_are_not_of_the_completion() -> None:
    assert accumulate(made(obfuscation="xyz", object="text_completion")) == ChatCompletion()


def test_choices_come_in_any_order() -> None:
    pieces = [(2, "c"), (0, "a"), (1, "b"), (0, "A"), (2, "C")]
    chunks = [made(choices=[{"index": index, "delta": {"content": text}}]) for index, text in pieces]
    completion = accumulate(*chunks)
    assert [choice.index for choice in completion.choices] == [0, 1, 2]
    assert [choice.message.content for choice in completion.choices] == ["aA", "b", "cC"]
    together = made(choices=[{"index": index, "delta": {"content": text}} for index, text in pieces])
    assert accumulate(together) == completion


def test_a_completion_is_a_value_of_its_own() -> None:
    accumulator = Accumulator()
    accumulator.add(made(**chunk("a", usage={"total_tokens": 1})))
    before = accumulator.completion
    assert before.usage
    before.usage.total_tokens = 99
    before.extra["mine"] = True
    before.choices[0].message.extra["mine"] = True
    accumulator.add(made(**chunk("b")))
    after = accumulator.completion
    assert before.text == "a"
    assert after.text == "ab"
    assert after.usage == CompletionUsage(total_tokens=1)
    assert after.extra == after.choices[0].message.extra == {}


def test_a_million_chunks_are_a_few_texts() -> None:
    accumulator = Accumulator()
    accumulator.add_all(made(**chunk("ab")) for _ in range(50 * COMPACT_AFTER))
    accumulator.add_all([])
    for _ in range(COMPACT_AFTER + 1):
        accumulator.add(made(**chunk("c")))
    assert accumulator.completion.text == "ab" * (50 * COMPACT_AFTER) + "c" * (COMPACT_AFTER + 1)
    assert len(accumulator._choices[0]._content) < 10


def test_details_of_usage_are_merged_and_zeros_wipe_nothing() -> None:
    first = {"prompt_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 3}}
    last = {"prompt_tokens": 0, "completion_tokens": 7, "completion_tokens_details": {"audio_tokens": 1}}
    usage = accumulate(*(made(choices=[], usage=counts) for counts in (first, last))).usage
    assert usage is not None
    assert usage.completion_tokens_details is not None
    details = usage.completion_tokens_details
    assert (usage.prompt_tokens, usage.completion_tokens) == (5, 7)
    assert (details.reasoning_tokens, details.audio_tokens) == (3, 1)


def test_a_list_that_a_server_sends_again_as_far_as_it_has_grown_is_the_last_one() -> None:
    extras: list[dict[str, object]] = [{"citations": ["a"]}, {"citations": ["a", "b"]}, {"citations": ["c"]}]
    assert accumulate(*(ChatCompletionChunk(extra=extra) for extra in extras[:2])).extra == {"citations": ["a", "b"]}
    assert accumulate(*(ChatCompletionChunk(extra=extra) for extra in extras)).extra == {"citations": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("usages", "total"),
    [
        (
            [
                {"prompt_tokens": 3, "completion_tokens": 2},
                {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
            ],
            5,
        ),
        ([{"total_tokens": 0}, {"prompt_tokens": 3, "completion_tokens": 2}], 5),
        ([{"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}], 0),
        ([{"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 9}, {"total_tokens": 0}], 9),
    ],
)
def test_a_total_of_zeros_does_not_stand_in_for_a_missing_one(usages: list[dict[str, int]], total: int) -> None:
    outcome = run(b"".join(event(chunk("a", usage=usage)) for usage in usages))
    assert outcome.completion.usage is not None
    assert outcome.completion.usage.total_tokens == total
