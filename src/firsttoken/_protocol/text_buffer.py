"""Text that grows: pieces are kept and joined in blocks, so that growing is linear and a long answer stays small."""

_BLOCK = 1024


class TextBuffer(list[str]):
    """Pieces of one text; None before the first piece, even if that is empty."""

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        super().__init__()
        self._blocks = 0  # how many items at the front are blocks, never to be touched again

    def joined(self) -> str | None:
        """The text so far."""
        return join_text("".join(self)) if self else None

    @property
    def text(self) -> str:
        """The text so far, "" before the first piece."""
        return join_text("".join(self))

    def compact(self) -> None:
        """Join the newest pieces once there are many: a million of them take ten times the memory of their text."""
        if len(self) - self._blocks >= _BLOCK:
            self[self._blocks :] = ["".join(self[self._blocks :])]
            self._blocks += 1


def join_text(text: str) -> str:
    """The text, with the halves of surrogate pairs joined, which servers cut in two; a lone half stays one."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return text


class SurrogateJoiner:
    """Joins surrogate pairs across the pieces of a text that is passed on: a high half waits for the next piece."""

    __slots__ = ("_high",)

    def __init__(self) -> None:
        self._high = ""

    @property
    def is_holding(self) -> bool:
        """Whether a half waits."""
        return bool(self._high)

    def feed(self, piece: str) -> str:
        """The text that can be passed on; it may be ""."""
        if not self._high and (piece.isascii() or not "\ud800" <= piece[-1] <= "\udfff"):
            return piece if piece.isascii() else join_text(piece)
        text = join_text(self._high + piece)
        self._high = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        return text[:-1] if self._high else text

    def flush(self) -> str:
        """The half that was not followed by another, at the end of the text."""
        high, self._high = self._high, ""
        return high
