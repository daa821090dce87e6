"""The table of ids, beside a dict."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.batch._ids import DONE, SEEN, STARTED, IdTable, shard_of


@given(st.lists(st.tuples(st.text(max_size=3), st.sampled_from([DONE, SEEN, STARTED]))))
def test_flags_are_those_of_a_dict(additions: list[tuple[str, int]]) -> None:
    table, expected = IdTable(), dict[str, int]()
    for row_id, flag in additions:
        assert table.add(row_id, flag) == expected.get(row_id, 0)
        expected[row_id] = expected.get(row_id, 0) | flag
    assert {row_id: table.get(row_id) for row_id in expected} == expected
    assert len(table) == len(expected)


def test_it_grows() -> None:
    table = IdTable()
    for number in range(20_000):
        assert table.add(f"row {number}", DONE, number << 3) == 0
    assert len(table) == 20_000
    assert all(table.digest(f"row {number}") == number << 3 for number in range(20_000))
    assert table.get("row 20000") == 0


def test_another_content_is_noticed_where_both_are_known() -> None:
    table = IdTable()
    table.add("a", DONE)
    table.add("a", SEEN, 8)
    assert table.add("a", STARTED, 8) == DONE | SEEN
    table.add("a", STARTED)
    with pytest.raises(ValueError, match="a"):
        table.add("a", STARTED, 16)


def test_each_id_belongs_to_one_shard() -> None:
    shards = [shard_of(f"row {number}", 4) for number in range(4000)]
    assert all(800 < shards.count(shard) < 1200 for shard in range(4))
