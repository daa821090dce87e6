"""Keeping secrets out of errors: a server may repeat the key that it was sent."""

from firsttoken._core.payload import as_array, as_object
from firsttoken.errors import APIStatusError, ChatCompletionError

MASK = "[redacted]"
SHORTEST_PIECE = 6
"""A quotation in a message may end in the middle of a secret: from so many characters on that is masked too."""


def scrub(error: ChatCompletionError, secrets: tuple[str, ...]) -> None:
    """Replace each secret wherever an error shows it."""
    for secret in secrets:
        if not secret:
            continue
        error.args = tuple(_without_pieces(_scrubbed(arg, secret), secret) for arg in error.args)
        if isinstance(error, APIStatusError):
            error.body = _scrubbed(error.body, secret)
            for name in ("code", "type", "param"):
                setattr(error, name, _scrubbed(getattr(error, name), secret))


def _without_pieces(text: object, secret: str) -> object:
    if isinstance(text, str) and secret[:SHORTEST_PIECE] in text:
        for length in range(len(secret) - 1, SHORTEST_PIECE - 1, -1):
            text = text.replace(f"{secret[:length]}'…", f"{MASK}'…")  # as `quoted` ends
    return text


def _scrubbed(value: object, secret: str) -> object:
    if isinstance(value, str):
        return value.replace(secret, MASK)
    fields = as_object(value)
    if fields is not None:
        return {key.replace(secret, MASK): _scrubbed(item, secret) for key, item in fields.items()}
    items = as_array(value)
    return value if items is None else [_scrubbed(item, secret) for item in items]
