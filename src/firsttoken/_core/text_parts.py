"""Text that grows: pieces are kept and joined in blocks, so that growing is linear and a long answer stays small."""

_BLOCK = 1024


class TextParts(list[str]):
    """Pieces of one text; None as long as there is no piece, not even an empty one."""

    __slots__ = ()

    def joined(self) -> str | None:
        """The text so far."""
        return "".join(self) if self else None

    def compact(self) -> None:
        """Join the newest pieces once there are many: a million of them would weigh ten times their text."""
        if len(self) >= _BLOCK:
            self[:] = ["".join(self)] if len(self[0]) < _BLOCK * 64 else [self[0], "".join(self[1:])]
