"""Where an input is split into reads, chosen by the fuzzer's own bytes."""


def split(data: bytes, seed: int) -> list[bytes]:
    """The data split before and after up to seven bytes, which a number from 0 to 255 selects."""
    places: set[int] = set()
    for _ in range(1 + seed % 7):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        place = (seed >> 16) % (len(data) + 1)
        places |= {place, place + 1}
    edges = sorted({0, *places})
    return [data[start:stop] for start, stop in zip(edges, [*edges[1:], None], strict=True)]
