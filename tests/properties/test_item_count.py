"""Law: no more calls and parts are accumulated than were counted, since their number is bounded by the count."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from firsttoken._protocol.item_count import ItemCount
from firsttoken._protocol.pieces import BlockList
from firsttoken._protocol.tool_calls import ToolCalls
from firsttoken.types import ChoiceDelta, ToolCallDelta

texts = st.sampled_from([None, "", "a", 5, [], [{"type": "text", "text": "a"}], [{"text": "a", "signature": "s"}], [1]])
words = st.sampled_from([None, "", "x", "y"])
fields = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from([None, "", "text", "thinking"]),
        "index": st.sampled_from([None, 0, 1]),
        "id": words,
        "signature": words,
        "text": texts,
        "thinking": texts,
        "data": texts,
    },
)
parts = fields | fields.map(lambda inner: {"index": 0, "delta": inner}) | st.sampled_from(["text", 1, None])
lists = st.lists(st.lists(parts, min_size=1, max_size=2), max_size=8)
functions = st.fixed_dictionaries({"name": words, "arguments": st.sampled_from([None, "", "{", "}", "{}", '{"a":1}'])})
calls = st.fixed_dictionaries(
    {"index": st.sampled_from([None, -1, 0, 1, 2, 4095]), "id": words, "function": st.none() | functions}
)


def test_parts_of_two_ids_are_two() -> None:
    count = ItemCount()
    for name in "xyy":
        count.add(0, ChoiceDelta(reasoning_details=[{"type": "reasoning.text", "id": name, "text": "a"}]))
    assert count.parts == 2


@settings(max_examples=200)
@given(lists)
def test_no_more_parts_are_accumulated_than_were_counted(deltas: list[list[Any]]) -> None:
    count, blocks = ItemCount(), BlockList()
    for pieces in deltas:
        count.add(0, ChoiceDelta(reasoning_details=pieces))
        blocks.add(pieces)
        assert len(blocks.snapshot()) <= count.parts


@settings(max_examples=200)
@given(st.lists(calls, max_size=12))
def test_no_more_calls_are_accumulated_than_were_counted(pieces: list[Any]) -> None:
    count, accumulated = ItemCount(), ToolCalls()
    for piece in pieces:
        delta = ToolCallDelta.from_dict(piece)
        count.add(0, ChoiceDelta(tool_calls=[delta]))
        accumulated.add(delta)
        assert len(accumulated.snapshot()) <= count.calls
