"""Bytes and values that no server should send."""

import json
import random
import re
from typing import Any

from hypothesis import strategies as st

_PIECES = [
    *(b"data: ", b"data:", b"data", b"event: error", b"event:", b"error: x", b"id: 1", b"id: \0", b"retry: 5", b":"),
    *(b"\n", b"\n\n", b"\r", b"\r\n", b"\r\n\r\n", b" ", b"\0", b"\xef\xbb\xbf", b"\xff", b"[DONE]", b"null", b"1234"),
    *(b'{"choices":[]}', b'{"error":"no"}', b"{", b'"', "\u2028".encode(), b"\xc2\x85"),
]

sse_like = st.lists(st.sampled_from(_PIECES), max_size=20).map(b"".join)
"""Bytes made of what matters to the grammar of event streams."""

_odd_texts = st.text(st.characters() | st.characters(categories=["Cs"]), max_size=6)
_odd_numbers = st.sampled_from([0, -1, 2**31, 2**63, 2**64, -(2**70), 10**40, 0.5, -1.5, 1e300]) | st.floats()
_odd_scalars = st.none() | st.booleans() | _odd_numbers | _odd_texts
odd_values: st.SearchStrategy[Any] = st.recursive(
    _odd_scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_odd_texts, inner, max_size=3),
    max_leaves=6,
) | st.integers(50, 3000).map(lambda depth: _nested(depth))


def _nested(depth: int) -> str:
    return "\1" * depth


def as_json(value: Any) -> bytes:
    """JSON of any value, NaN and lone surrogates included; text of `\\1`s becomes arrays nested that deep."""
    text = json.dumps(value)
    return re.sub(r'"((?:\\u0001){50,})"', lambda found: "[" * (n := len(found[1]) // 6) + "]" * n, text).encode()


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The data with a few bytes changed, lost, doubled or put in."""
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(data) + 1)
        length = rng.choice([0, 1, 1, 5, 50])
        new = rng.choice([b"", b"\n", b"\r", b"\n\n", b"\0", b"\xff", b"}", b'"', data[place : place + length] * 2])
        data = data[:place] + new + data[place + length :]
    return data


def with_value_at(node: Any, value: Any, rng: random.Random) -> Any:
    """The JSON value with another value somewhere in it."""
    children: list[tuple[Any, Any]] = []
    if isinstance(node, dict):
        children += node.items()  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(node, list):
        children += enumerate(node)  # pyright: ignore[reportUnknownArgumentType]
    if not children or rng.random() < 0.15:
        return value
    name, child = rng.choice(children)
    copy: Any = dict(children) if isinstance(node, dict) else [item for _, item in children]
    copy[name] = with_value_at(child, value, rng)
    return copy
