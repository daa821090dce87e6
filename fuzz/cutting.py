"""How a fuzzer's bytes say where to cut."""


def cut(data: bytes, seed: int) -> list[bytes]:
    """The data cut in front of and behind up to seven bytes; which they are, a number from 0 to 255 says."""
    places: set[int] = set()
    for _ in range(1 + seed % 7):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        place = (seed >> 16) % (len(data) + 1)
        places |= {place, place + 1}
    edges = sorted({0, *places})
    return [data[start:stop] for start, stop in zip(edges, [*edges[1:], None], strict=True)]
