"""firsttoken._protocol.text_buffer: text that grows linearly."""

import pytest

from firsttoken._protocol.text_buffer import SurrogateJoiner, TextBuffer


def test_nothing_is_none_and_an_empty_piece_is_empty_text() -> None:
    parts = TextBuffer()
    assert parts.joined() is None
    parts.append("")
    assert parts.joined() == ""


def test_few_pieces_stay_pieces() -> None:
    parts = TextBuffer()
    for number in range(1023):
        parts.append(str(number))
        parts.compact()
    assert len(parts) == 1023


def test_many_pieces_become_blocks() -> None:
    parts = TextBuffer()
    for _ in range(100_000):
        parts.append("x")
        parts.compact()
    assert parts.joined() == "x" * 100_000
    assert len(parts) < 1024 + 100_000 / 1024


def test_a_block_is_made_once_and_never_copied_again() -> None:
    parts = TextBuffer()
    blocks: list[str] = []
    for _ in range(300):
        parts.extend(["word "] * 1024)
        parts.compact()
        assert all(part is block for part, block in zip(parts, blocks, strict=False))
        blocks = list(parts)
    assert len(blocks) == 300


def test_halves_of_a_surrogate_pair_are_joined_across_pieces() -> None:
    joiner = SurrogateJoiner()
    assert [joiner.feed(piece) for piece in ("a\ud83d", "", "\ude00b", "\ud83d", "\ud83d", "c")] == [
        *("a", "", "\U0001f600b", "", "\ud83d", "\ud83dc")
    ]
    assert not joiner.is_holding
    assert joiner.feed("\ud83d") == ""
    assert joiner.is_holding
    assert (joiner.flush(), joiner.flush()) == ("\ud83d", "")


@pytest.mark.parametrize("piece", ["", "x", "é", "\u00e9\U0001f600"])
def test_text_without_halves_is_passed_on(piece: str) -> None:
    joiner = SurrogateJoiner()
    assert (joiner.feed(piece), joiner.is_holding) == (piece, False)
