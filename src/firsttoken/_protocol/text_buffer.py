"""Text that grows: pieces are kept and joined in blocks, so that growing is linear and a long answer stays small."""

_BLOCK = 1024


class TextBuffer(list[str]):
    """Pieces of one text; None as long as there is no piece, not even an empty one."""

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        super().__init__()
        self._blocks = 0  # how many items at the front are blocks, never to be touched again

    def joined(self) -> str | None:
        """The text so far."""
        return "".join(self) if self else None

    def compact(self) -> None:
        """Join the newest pieces once there are many: a million of them take ten times the memory of their text."""
        if len(self) - self._blocks >= _BLOCK:
            self[self._blocks :] = ["".join(self[self._blocks :])]
            self._blocks += 1
