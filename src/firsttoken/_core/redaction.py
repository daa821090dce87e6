"""Keeping secrets out of errors: a server may repeat the key that it was sent."""

from firsttoken._core.payload import as_array, as_object
from firsttoken.errors import APIStatusError, ChatCompletionError

MASK = "[redacted]"


def scrub(error: ChatCompletionError, secrets: tuple[str, ...]) -> None:
    """Replace each secret wherever an error shows it."""
    for secret in secrets:
        if not secret:
            continue
        error.args = tuple(_scrubbed(arg, secret) for arg in error.args)
        if isinstance(error, APIStatusError):
            error.body = _scrubbed(error.body, secret)
            for name in ("code", "type", "param"):
                setattr(error, name, _scrubbed(getattr(error, name), secret))


def _scrubbed(value: object, secret: str) -> object:
    if isinstance(value, str):
        return value.replace(secret, MASK)
    fields = as_object(value)
    if fields is not None:
        return {_mask(key, secret): _scrubbed(item, secret) for key, item in fields.items()}
    items = as_array(value)
    return value if items is None else [_scrubbed(item, secret) for item in items]


def _mask(text: str, secret: str) -> str:
    return text.replace(secret, MASK)
