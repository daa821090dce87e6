"""firsttoken._protocol.pieces: text and blocks that come in pieces."""

from typing import Any

import pytest

from firsttoken._protocol.pieces import BlockList, TextBuffer


def test_nothing_is_none_and_an_empty_piece_is_empty_text() -> None:
    parts = TextBuffer()
    assert parts.joined() is None
    parts.append("")
    assert parts.joined() == ""


def test_a_block_is_made_once_and_never_copied_again() -> None:
    parts = TextBuffer()
    blocks: list[str] = []
    for _ in range(300):
        parts.extend(["word "] * 1024)
        parts.compact()
        assert all(part is block for part, block in zip(parts, blocks, strict=False))
        blocks = list(parts)
    assert len(blocks) == 300


def blocks(*deltas: list[Any]) -> list[Any]:
    details = BlockList()
    for delta in deltas:
        details.add(delta)
    return details.snapshot()


def piece(text: str | None, **fields: Any) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": text, "index": 0, **fields}


def test_the_pieces_of_a_block_are_joined_and_signed_at_the_end() -> None:
    signed = {"type": "reasoning.text", "signature": "s", "index": 0}
    assert blocks([piece("Let", format="a")], [piece(" me", format="a")], [signed]) == [
        piece("Let me", format="a", signature="s")
    ]


def test_a_summary_grows_too() -> None:
    assert blocks(*([{"type": "reasoning.summary", "summary": word}] for word in "abc")) == [
        {"type": "reasoning.summary", "summary": "abc"}
    ]


@pytest.mark.parametrize(
    "other",
    [
        piece("b", index=1),
        {"type": "reasoning.summary", "summary": "b", "index": 0},
        {"type": "reasoning.encrypted", "data": "b", "index": 0},
        piece("b", id="2"),
        {"type": "reasoning.text", "text": 5, "index": 0},
        {"type": ["reasoning.text"]},
        "b",
        None,
    ],
)
def test_another_block_is_begun(other: Any) -> None:
    before, after = piece("a", id="1"), piece("c", id="1")
    assert blocks([before], [other], [after]) == [before, other, after]


def test_a_signed_block_is_complete() -> None:
    assert blocks([piece("a", signature="s")], [piece("b")]) == [piece("a", signature="s"), piece("b")]


def test_encrypted_blocks_are_complete() -> None:
    block = {"type": "reasoning.encrypted", "data": "x", "index": 0}
    assert blocks([block], [block]) == [block, block]


def test_the_blocks_of_one_delta_are_several() -> None:
    assert blocks([piece("a"), piece("b")], [piece("c")]) == [piece("a"), piece("bc")]


def test_an_id_and_what_else_was_missing_is_taken_from_later_pieces() -> None:
    assert blocks([piece(None, format=None)], [piece("a", id="1", format="f")], [piece("b", id="1")]) == [
        piece("ab", id="1", format="f")
    ]


def test_what_was_given_out_does_not_grow() -> None:
    details = BlockList()
    given: list[object] = [piece("a")]
    details.add(given)
    first = details.snapshot()
    details.add([piece("b")])
    assert (first, given) == ([piece("a")], [piece("a")])
    assert details.snapshot() == [piece("ab")]


def test_a_block_with_a_signed_block_inside_is_signed() -> None:
    signed = {"type": "thinking", "index": 0, "thinking": [{"type": "text", "text": "Hm.", "signature": "s"}]}
    other = {"type": "thinking", "index": 0, "thinking": [{"type": "text", "text": "New."}]}
    assert blocks([signed], [other]) == [signed, other]


@pytest.mark.parametrize("delta", [None, "Hi", [1]])
def test_a_delta_of_a_block_that_is_no_object_is_a_field_like_others(delta: object) -> None:
    assert blocks([{"type": "thinking", "thinking": "Hm.", "delta": delta}]) == [
        {"type": "thinking", "thinking": "Hm.", "delta": delta}
    ]
