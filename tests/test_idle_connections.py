"""firsttoken._client.sockets: which idle connection a request may use."""

from firsttoken._client.sockets import MAX_IDLE_S, IdleConnections


def test_the_one_used_last_comes_first() -> None:
    pool = IdleConnections[str]()
    for name in ("a", "b", "c"):
        pool.put(1, "x", name, 0.0)
    assert [pool.take(1, "x") for _ in range(4)] == ["c", "b", "a", None]


def test_owners_and_addresses_do_not_mix() -> None:
    pool = IdleConnections[str]()
    pool.put(1, "x", "a", 0.0)
    assert pool.take(2, "x") is None
    assert pool.take(1, "y") is None
    assert pool.take(1, "x") == "a"


def test_those_that_were_idle_for_too_long_are_given_back() -> None:
    pool = IdleConnections[str]()
    pool.put(1, "x", "a", 0.0)
    pool.put(1, "x", "b", 1.0)
    pool.put(1, "y", "other", 0.0)
    assert pool.next_expiry(1) == MAX_IDLE_S
    assert pool.expire(1, MAX_IDLE_S - 0.5) == []
    assert pool.expire(2, 1000.0) == []
    assert pool.expire(1, MAX_IDLE_S) == ["a", "other"]
    assert pool.next_expiry(1) == MAX_IDLE_S + 1
    assert pool.expire(1, 1000.0) == ["b"]
    assert pool.next_expiry(1) is None
    assert pool.take(1, "x") is None


def test_of_too_many_the_one_that_was_idle_for_longest_is_given_back() -> None:
    pool = IdleConnections[str](max_idle=2)
    assert [pool.put(1, "x", name, 0.0) for name in ("a", "b", "c")] == [[], [], ["a"]]
    assert pool.put(1, "y", "d", 0.0) == []
    assert pool.put(2, "x", "e", 0.0) == []
    assert IdleConnections[str](max_idle=0).put(1, "x", "a", 0.0) == ["a"]


def test_clearing_gives_back_what_is_ones_own_and_leaves_the_rest() -> None:
    pool = IdleConnections[str]()
    pool.put(1, "x", "a", 0.0)
    pool.put(1, "y", "b", 0.0)
    pool.put(2, "x", "c", 0.0)
    assert pool.clear(1) == ["a", "b"]
    assert pool.clear(1) == []
    assert pool.take(2, "x") == "c"


class _Emptied(list[tuple[float, str]]):
    """A stack that another thread empties between a look and a grasp."""

    def pop(self, index: object = -1) -> tuple[float, str]:
        self.clear()
        raise IndexError


def test_another_thread_may_be_faster() -> None:
    pool = IdleConnections[str]()
    pool._idle[1, "x"] = _Emptied([(0.0, "a")])
    assert pool.take(1, "x") is None
    pool._idle[1, "x"] = _Emptied([(0.0, "a")])
    assert pool.expire(1, 1000.0) == []
