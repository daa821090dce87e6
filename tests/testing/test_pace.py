"""The times at which events are due: by their values, no clock is asked."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.testing import Pace, ScriptedServer, done, finish, pause
from tests.support.raw_client import asked, texts_in

seconds = st.floats(0, 10)


def first(pace: Pace, answer: int = 1, count: int = 20) -> list[float]:
    return list(islice(pace.delays_s(answer), count))


def test_by_default_all_is_due_at_once() -> None:
    assert first(Pace()) == [0.0] * 20


def test_the_first_chunk_waits_for_itself() -> None:
    assert first(Pace(first_chunk_s=2, gap_s=0.5), count=3) == [2, 0.5, 0.5]


@given(seconds, seconds, seconds, st.integers())
def test_the_same_seed_gives_the_same_times(first_chunk_s: float, gap_s: float, jitter_s: float, seed: int) -> None:
    pace = Pace(first_chunk_s, gap_s, jitter_s, seed)
    delays_s = first(pace, 7)
    assert delays_s == first(Pace(first_chunk_s, gap_s, jitter_s, seed), 7)
    assert all(
        max(0, due_s - jitter_s) <= delay_s <= due_s + jitter_s
        for due_s, delay_s in zip([first_chunk_s, *[gap_s] * 19], delays_s, strict=True)
    )


def test_another_seed_or_another_answer_has_other_times() -> None:
    pace = Pace(gap_s=1, jitter_s=0.5, seed=1)
    assert first(pace) != first(Pace(gap_s=1, jitter_s=0.5, seed=2))
    assert first(pace, 1) != first(pace, 2)


def test_a_server_keeps_them() -> None:
    """Each wait ends when it is due or later, so the answer can't be there before their sum."""
    pace = Pace(first_chunk_s=0.05, gap_s=0.01, jitter_s=0.005, seed=3)
    with ScriptedServer(["a", "b", finish(), done()], pace=pace) as server:
        for number, stream in enumerate((True, False), 1):
            assert asked(server, stream=stream)
            entry = server.journal.entries[-1]
            assert entry.ended_at is not None
            assert entry.ended_at - entry.received_at >= sum(first(pace, number, 4))


def test_pauses_of_less_than_a_millisecond_are_not_rounded_up_to_one() -> None:
    taken_s: list[float] = []
    for _ in range(3):
        with ScriptedServer([*["x", pause(0.0001)] * 200]) as server:
            assert len(texts_in(asked(server))) == 200
            (entry,) = server.journal.entries
        assert entry.ended_at is not None
        taken_s.append(entry.ended_at - entry.received_at)
    assert 0.02 <= min(taken_s) < 0.2


def test_a_pace_is_one() -> None:
    with pytest.raises(TypeError, match=r"^pace must be a Pace, not float; hint: as in Pace\(gap_s=0\.1\)$"):
        ScriptedServer(pace=0.1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
