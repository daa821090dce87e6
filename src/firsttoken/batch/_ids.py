"""Which ids there are, how their contents differ, and which are finished, in 16 to 40 bytes each."""

from array import array
from hashlib import blake2b
from typing import Final

DONE: Final = 1
"""The output has the row."""

SEEN: Final = 2
"""The input has it."""

STARTED: Final = 4
"""It was given to the run."""

_FLAGS: Final = 7
_ABSENT: Final = 0


class IdTable:
    """A hash table from ids to flags and digests.

    Two arrays of integers, since a million entries of a dict take 200 MB: an id is told from others by 64 bits of its
    hash, a content by 61 of its digest. That two of a million ids are taken for one has a chance of 1 in 30 million.
    """

    def __init__(self) -> None:
        self._count = 0
        self._keys, self._values = array("Q"), array("Q")
        self._resize(1 << 12)

    def __len__(self) -> int:
        return self._count

    def get(self, row_id: str) -> int:
        """The flags of an id; 0 where it is not there."""
        return self._values[self._slot(_key(row_id))] & _FLAGS

    def digest(self, row_id: str) -> int:
        """The digest of an id's content; 0 where it is not known."""
        return self._values[self._slot(_key(row_id))] & ~_FLAGS

    def add(self, row_id: str, flag: int, digest: int = 0) -> int:
        """Set a flag of an id.

        Args:
            row_id: the id, which is put in if it is not there.
            flag: one of `DONE`, `SEEN` and `STARTED`.
            digest: of its content; 0 where it is not known.

        Returns:
            The flags that it had.

        Raises:
            ValueError: it has another content.
        """
        key, digest = _key(row_id), digest & ~_FLAGS
        slot = self._slot(key)
        if self._keys[slot] == _ABSENT:
            self._insert(slot, key, digest | flag)
            return 0
        value = self._values[slot]
        flags, known = value & _FLAGS, value & ~_FLAGS
        if digest and known and digest != known:
            raise ValueError(row_id)
        self._values[slot] = known | digest | flags | flag
        return flags

    def _insert(self, slot: int, key: int, value: int) -> None:
        self._keys[slot], self._values[slot] = key, value
        self._count += 1
        if self._count * 3 > len(self._keys) * 2:
            self._resize(len(self._keys) * 2)

    def _slot(self, key: int) -> int:
        keys, slot = self._keys, key & self._mask
        while (found := keys[slot]) != key and found != _ABSENT:
            slot = (slot + 1) & self._mask
        return slot

    def _resize(self, size: int) -> None:
        keys, values = self._keys, self._values
        self._keys, self._values = array("Q", bytes(8 * size)), array("Q", bytes(8 * size))
        self._mask = size - 1
        for key, value in zip(keys, values, strict=True):
            if key != _ABSENT:
                slot = self._slot(key)
                self._keys[slot], self._values[slot] = key, value


def _key(row_id: str) -> int:
    return int.from_bytes(blake2b(row_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()) or 1


def shard_of(row_id: str, shards: int) -> int:
    """Which of so many parts an id belongs to, from 0."""
    return _key(row_id) % shards
